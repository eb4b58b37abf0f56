"""The bodies of HTTP requests, within limits: the one thing that all REST APIs do alike."""

from __future__ import annotations

from starlette.requests import Request

from voltroot.errors import TooLarge

LARGEST_BODY = 64 * 1024


async def read_body(request: Request) -> bytes:
    """Return the body, or raise TooLarge; of what is too large a little more is read, so that the answer arrives."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > 16 * LARGEST_BODY:
            break
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"the request has more than {LARGEST_BODY} octets")
    return bytes(body)
