"""GitHub's pages: `per_page`, `page` and the `Link` header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")


def page_of(request: web.Request, items: list[T]) -> tuple[list[T], dict[str, str]]:
    """The asked page and its headers. per_page: 30 by default, at most 100; a number that is none counts as absent."""
    (page, size), headers = page_at(request, len(items))
    return items[(page - 1) * size : page * size], headers


def paged(request: web.Request, items: list[Any], view: Callable[[Any], dict[str, Any]]) -> web.Response:
    """The asked page as an answer."""
    page, headers = page_of(request, items)
    return web.json_response([view(each) for each in page], headers=headers)


def page_at(request: web.Request, total: int) -> tuple[tuple[int, int], dict[str, str]]:
    """The asked page's number and size, and the headers."""
    size = min(100, max(1, _number(request, "per_page", 30)))
    page = max(1, _number(request, "page", 1))
    last = max(1, -(-total // size))
    near = {"prev": page - 1, "first": 1} if page > 1 else {}
    if page < last:
        near |= {"next": page + 1, "last": last}
    links = [f'<{_address(request, size, number)}>; rel="{name}"' for name, number in near.items()]
    return (page, size), {"Link": ", ".join(links)} if links else {}


def _address(request: web.Request, size: int, page: int) -> str:
    return str(request.url.update_query(per_page=str(size), page=str(page)))


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdigit() else default
