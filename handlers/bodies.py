"""Bodies of requests to forge's own server: read piece by piece, no further than a bound, and for no longer than a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, TransferEncodingError

_PIECE_BYTES = 64 * 1024


class Refused(Exception):
    """What the sender is told: error and remedy, one sentence each."""

    def __init__(self, status: int, error: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.remedy, self.headers = status, error, remedy, dict(headers or {})


async def read_body(
    request: web.Request,
    limit_s: float,
    most_bytes: int,
    too_large: Refused,
    seen: Callable[[bytes], None] = lambda piece: None,
) -> bytes:
    """aiohttp undoes gzip on the way, piece by piece too: the bound is of what comes out. seen: is shown each piece. Raises Refused."""
    pieces, size = [], 0
    try:
        async with asyncio.timeout(limit_s):
            async for piece in request.content.iter_chunked(_PIECE_BYTES):
                size += len(piece)
                if size > most_bytes:
                    raise too_large
                seen(piece)
                pieces.append(piece)
    except TimeoutError:
        raise Refused(408, f"the body didn't arrive within {limit_s:g} s", "Send it again") from None
    except (ContentEncodingError, TransferEncodingError, web.RequestPayloadError):
        raise Refused(400, "the body is cut off or not encoded as its header says", "Send it again, whole") from None
    return b"".join(pieces)
