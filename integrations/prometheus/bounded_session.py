"""The session that prometheus-api-client sends its requests through: bounds the whole answer in time and size.

`requests` bounds a single read of the socket only, and the library would hold a thread as long as a server drips.
"""

from __future__ import annotations

import io
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

_CHUNK_BYTES = 262_144
_LONGEST_GET = 4096  # characters of a query; longer ones go by POST, whose parameters are not part of the address


class Refused(Exception):
    """Prometheus answered another status than 200. body: its first 64 KiB."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body[:65_536]


class TooLarge(Exception):
    """The answer is larger than it may be."""


class TooSlow(Exception):
    """The answer did not arrive whole in time."""


class BoundedSession(requests.Session):
    """timeout_s: of one request, answer included. largest_body: in bytes, unpacked."""

    def __init__(self, timeout_s: float, largest_body: int) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._largest_body = largest_body
        adapter = HTTPAdapter(max_retries=Retry(total=0, read=False), pool_maxsize=16)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]
        deadline = time.monotonic() + self._timeout_s
        parameters = options.get("params") or {}
        if len(str(parameters.get("query", ""))) > _LONGEST_GET:
            method, options["data"], options["params"] = "POST", parameters, None
        options |= {"timeout": self._timeout_s, "stream": True, "allow_redirects": False}
        with super().request(method, url, **options) as response:
            body = self._whole(response, deadline)
        if response.status_code != 200:
            raise Refused(response.status_code, dict(response.headers), body)
        response.raw = io.BytesIO(body)  # what `Response.content` reads from
        return response

    def _whole(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._largest_body:
                raise TooLarge
            if time.monotonic() > deadline:
                raise TooSlow
        return bytes(body)
