"""The bodies of HTTP requests, within limits: the one thing that all REST APIs do alike."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from voltroot.errors import Malformed, TooLarge

LARGEST_BODY = 64 * 1024


async def read_body(request: Request) -> bytes:
    """Return the body, or raise TooLarge; of what is too large a little more is read, so that the answer arrives.

    A caller who is gone before the body is here has asked nothing: that is Malformed, and nobody hears it.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > 16 * LARGEST_BODY:
                break
    except ClientDisconnect as error:
        raise Malformed("the connection ended within the request's body") from error
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"the request has more than {LARGEST_BODY} octets")
    return bytes(body)
