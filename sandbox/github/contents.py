"""The contents endpoint: files, folders, links and submodules as GitHub shows them, with its bounds on size.

Source: docs.github.com/rest/repos/contents.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from aiohttp import web

from sandbox.github import limits
from sandbox.github.objects import GitObject, Link, Submodule
from sandbox.github.repository import Repository, UnknownRef
from sandbox.github.views import Json, Views

RAW = ("application/vnd.github.raw", "application/vnd.github.v3.raw")
LARGEST_SHOWN = 1024 * 1024
LARGEST = 100 * LARGEST_SHOWN
MOST_LISTED = 1000
TOO_LARGE = "This API returns blobs up to 100 MB in size. The requested blob is too large to fetch via the API."


def contents(request: web.Request, repository: Repository, views: Views) -> web.Response:
    ref, path = request.query.get("ref", repository.default_branch), request.match_info["path"].strip("/")
    try:
        files = repository.files[repository.resolve(ref)]
    except UnknownRef:
        return limits.error(404, f"No commit found for the ref {ref}")
    if path in files:
        return _file(request, files, path, views)
    below = f"{path}/" if path else ""
    inside = sorted({name[len(below) :].split("/")[0] for name in files if name.startswith(below)})
    if not inside:
        raise web.HTTPNotFound
    return web.json_response([_listed(files, below + name, views) for name in inside[:MOST_LISTED]])


def _file(request: web.Request, files: Mapping[str, bytes], path: str, views: Views) -> web.Response:
    body = files[path]
    if isinstance(body, Submodule):
        return web.json_response(views.content(path, body.decode(), None) | {"type": "submodule"})
    if isinstance(body, Link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), body.decode()))
        if target not in files:
            return web.json_response(_link(views, path, body))
        body = files[target]
    if len(body) > LARGEST:
        wrong = [{"resource": "Blob", "field": "data", "code": "too_large"}]
        return limits.error(403, TOO_LARGE, errors=wrong)
    if request.headers.get("Accept", "").split("+")[0] in RAW:
        return web.Response(body=bytes(body), content_type="application/vnd.github.raw+json")
    view = views.content(path, _blob(body), bytes(body) if len(body) <= LARGEST_SHOWN else b"")
    return web.json_response(
        view if len(body) <= LARGEST_SHOWN else view | {"size": len(body), "encoding": "none", "content": ""}
    )


def _listed(files: Mapping[str, bytes], path: str, views: Views) -> Json:
    """In a list a submodule is called a file: GitHub keeps that for old clients."""
    if path not in files:
        return views.content(path, "", None) | {"type": "dir"}
    body = files[path]
    if isinstance(body, Submodule):
        return views.content(path, body.decode(), None)
    return _link(views, path, body) if isinstance(body, Link) else _plain(views, path, body)


def _plain(views: Views, path: str, body: bytes) -> Json:
    return views.content(path, _blob(body), None) | {"size": len(body)}


def _link(views: Views, path: str, body: bytes) -> Json:
    return _plain(views, path, body) | {"type": "symlink", "target": body.decode()}


def _blob(body: bytes) -> str:
    return GitObject("blob", body).sha
