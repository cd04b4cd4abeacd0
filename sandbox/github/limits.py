"""What stands before every answer of GitHub's API: the token, the rate limit, conditional requests, its error bodies."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DOCS = "https://docs.github.com/rest"
MESSAGES = {
    400: "Problems parsing JSON",
    401: "Bad credentials",
    403: "Resource not accessible by personal access token",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Git Repository is empty.",
    410: "This API has been removed.",
    422: "Validation Failed",
    500: "Server Error",
    503: "Service unavailable",
}
UNICORN = """<!DOCTYPE html>
<html>
  <head><title>Unicorn! &middot; GitHub</title></head>
  <body><p><strong>We had issues producing the response to your request.</strong></p>
  <p>Sorry about that. Please try refreshing and contact us if the problem persists.</p></body>
</html>
"""
SECONDARY = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. "
    "If you reach out to GitHub Support for help, please include the request ID."
)
PRIMARY = (
    "API rate limit exceeded for user ID 583231. "
    "If you reach out to GitHub Support for help, please include the request ID."
)


def error(status: int, message: str = "", **more: Any) -> web.Response:
    """GitHub's error object; 502 and 504 are the page of its front, which is no JSON."""
    if status in (502, 504) and not message:
        return web.Response(status=status, text=UNICORN, content_type="text/html")
    body = {"message": message or MESSAGES.get(status, "Server Error"), "documentation_url": DOCS, **more}
    if status == 422 and not message:
        body.setdefault("errors", [])
    return web.json_response(body | {"status": str(status)}, status=status)


def invalid(resource: str, field: str, code: str) -> web.Response:
    return error(422, "Validation Failed", errors=[{"resource": resource, "field": field, "code": code}])


def limited(retry_after_s: int | None, status: int = 403) -> web.Response:
    """Both limits answer 403 or 429: the secondary one with `Retry-After`, the primary one (None) without."""
    where = f"{DOCS}/using-the-rest-api/rate-limits-for-the-rest-api"
    response = error(status, PRIMARY if retry_after_s is None else SECONDARY, documentation_url=where)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


@dataclass
class RateLimit:
    """The primary limit. A window begins with the first request after the last one's end."""

    limit: int = 5000
    window_s: float = 3600.0
    now: Callable[[], float] = field(default=time.time)
    used: int = 0
    reset_at: float = 0.0

    def roll(self) -> None:
        if self.now() >= self.reset_at:
            self.used, self.reset_at = 0, self.now() + self.window_s

    def exhaust(self, reset_in_s: float = 3600.0) -> None:
        """From now on every request is refused, until the reset."""
        self.used, self.reset_at = self.limit, self.now() + reset_in_s

    def view(self) -> dict[str, Any]:
        self.roll()
        return {
            "limit": self.limit,
            "used": self.used,
            "remaining": max(0, self.limit - self.used),
            "reset": int(self.reset_at),
            "resource": "core",
        }

    def headers(self) -> dict[str, str]:
        return {f"X-RateLimit-{name.capitalize()}": str(value) for name, value in self.view().items()}


def conditional(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Give a 200 its weak ETag; answer 304 when the caller has it already."""
    if request.method not in ("GET", "HEAD") or response.status != 200 or not isinstance(response, web.Response):
        return response
    body = response.body if isinstance(response.body, bytes) else b""
    tag = f'W/"{hashlib.sha256(body).hexdigest()}"'
    kept = {"ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60", "Vary": "Accept, Authorization"}
    response.headers.update(kept)
    wanted = [each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")]
    if tag.removeprefix("W/") in wanted:
        return web.Response(status=304, headers=kept)
    return response
