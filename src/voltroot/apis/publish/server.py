"""The HTTP of publishing: paths, media types, caching, and OCSP over GET and POST (RFC 6960 Appendix A)."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from voltroot.apis.bodies import read_body
from voltroot.apis.publish import errors
from voltroot.apis.publish.published import Published
from voltroot.apis.publish.publisher import Publisher
from voltroot.errors import Failure, NotFound

log = logging.getLogger("voltroot")

Handler = Callable[[Request], Awaitable[Response]]


CERTIFICATE, CERTS_ONLY = "application/pkix-cert", "application/pkcs7-mime"
PEM = "application/pem-certificate-chain"
CRL, OCSP_RESPONSE = "application/pkix-crl", "application/ocsp-response"


def routes(publisher: Publisher) -> list[Route]:
    """Return where everything is; a Failure becomes plain text, OCSP has errors of its own."""
    pages = _Pages(publisher)
    gets: dict[str, Handler] = {
        "/ca": pages.cas,
        "/ca/roots.pem": pages.roots,
        "/ca/{slug}.cer": pages.certificate,
        "/ca/{slug}.pem": pages.pem,
        "/ca/{slug}/chain.pem": pages.chain,
        "/ca/{slug}": pages.certs_only,
        "/crl/{slug}.crl": pages.crl,
        "/crl/{slug}/{shard}.crl": pages.crl,
        "/ocsp/{request:path}": pages.get_ocsp,
        "/health": pages.health,
        "/ready": pages.ready,
        "/metrics": pages.metrics,
    }
    posts: dict[str, Handler] = {"/ocsp": pages.post_ocsp, "/ocsp/": pages.post_ocsp}
    return [
        *(Route(path, _saying_why(handler), methods=["POST"]) for path, handler in posts.items()),
        *(Route(path, _saying_why(handler), methods=["GET"]) for path, handler in gets.items()),
    ]


class _Pages:
    """One method for each path."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def cas(self, request: Request) -> Response:
        """All CAs as JSON."""
        return Response(await run_in_threadpool(self._publisher.cas), media_type="application/json")

    async def roots(self, request: Request) -> Response:
        """The bundle of roots."""
        edition = request.query_params.get("edition")
        return Response(await run_in_threadpool(self._publisher.roots, edition), media_type=PEM)

    async def certificate(self, request: Request) -> Response:
        """A CA in DER."""
        octets = await run_in_threadpool(self._publisher.certificate, request.path_params["slug"])
        return Response(octets, media_type=CERTIFICATE)

    async def pem(self, request: Request) -> Response:
        """A CA in PEM."""
        return Response(await run_in_threadpool(self._publisher.pem, request.path_params["slug"]), media_type=PEM)

    async def chain(self, request: Request) -> Response:
        """A CA and those above it in PEM."""
        return Response(await run_in_threadpool(self._publisher.chain, request.path_params["slug"]), media_type=PEM)

    async def certs_only(self, request: Request) -> Response:
        """The same as PKCS #7."""
        octets = await run_in_threadpool(self._publisher.certs_only, request.path_params["slug"])
        return Response(octets, media_type=CERTS_ONLY)

    async def crl(self, request: Request) -> Response:
        """A full CRL or a part of one."""
        slug, shard = request.path_params["slug"], _shard(request.path_params.get("shard"))
        lists = self._publisher.lists
        published = lists.ready(slug, shard)
        if published is None:
            published = await run_in_threadpool(lists.read, slug, shard)
        return _published(request, published, CRL)

    async def get_ocsp(self, request: Request) -> Response:
        """The answer to a request in the path (RFC 5019 5)."""
        return _published(request, await self._answer(_in_path(request.path_params["request"])), OCSP_RESPONSE)

    async def post_ocsp(self, request: Request) -> Response:
        """The answer to a request in the body."""
        answer = await self._answer(await read_body(request))
        # Answers to POST are not for caches (RFC 9110 9.3.3): they have no headers to read there.
        return Response(answer.octets, media_type=OCSP_RESPONSE)

    async def health(self, request: Request) -> Response:
        """That the process lives."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Whether it can do its work, and why not."""
        reasons = await run_in_threadpool(self._publisher.readiness.obstacles)
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """The metrics in Prometheus's text format."""
        text = await run_in_threadpool(self._publisher.metrics.text)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _answer(self, octets: bytes) -> Published:
        responder = self._publisher.responder
        answer = responder.ready(octets)
        if answer is None:
            answer = await run_in_threadpool(responder.answer, octets)
        return answer.published


def _saying_why(handler: Handler) -> Handler:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except Failure as failure:
            status, text = errors.answer(failure)
            facts = {"door": "publish", "path": request.url.path, "status": status, "why": str(failure)}
            log.log(logging.ERROR if status >= 500 else logging.INFO, "request.refused", extra=facts)
            return PlainTextResponse(f"{text}\n", status)

    return endpoint


def _published(request: Request, published: Published, media_type: str) -> Response:
    """Return the octets, or only that the client has them already (RFC 9110 13.1.2)."""
    if published.etag is not None and published.etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=published.headers)
    return Response(published.octets, headers=published.headers, media_type=media_type)


def _shard(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise NotFound(f"the parts of a CRL have numbers, {text} is none")
    return int(text)


def _in_path(text: str) -> bytes:
    """Return the request in the path: base64, percent-encoded or not, with more slashes before it or not.

    What is not base64 comes back as no octets at all, which is malformed to the responder.
    """
    encoded = unquote(text).lstrip("/").replace(" ", "+").rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return b""
