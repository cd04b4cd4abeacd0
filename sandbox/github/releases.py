"""Releases and their drafts, which only those see who may write. GitHub keeps any number of drafts for one tag.

Source: docs.github.com/rest/releases/releases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from sandbox.github import limits
from sandbox.github.events import Events
from sandbox.github.paging import paged
from sandbox.github.repository import Release, Repository
from sandbox.github.views import Json, Views

LONGEST_NOTES = 125_000
_FIELDS = ("tag_name", "target_commitish", "name", "body", "draft", "prerelease")
_TOO_LONG = {
    "resource": "Release",
    "code": "custom",
    "field": "body",
    "message": "body is too long (maximum is 125000 characters)",
}


def endpoints() -> list[tuple[str, Callable[[web.Request, Repository, Views], web.Response]]]:
    return [
        ("/releases", _list),
        ("/releases/latest", _latest),
        ("/releases/tags/{tag:.+}", _by_tag),
        ("/releases/{id:\\d+}", _one),
    ]


def create(repository: Repository, views: Views, body: Json, events: Events, now: datetime) -> web.Response:
    tag = str(body.get("tag_name") or "")
    if not tag:
        return limits.invalid("Release", "tag_name", "missing_field")
    if any(release.tag_name == tag and not release.draft for release in repository.releases):
        return limits.invalid("Release", "tag_name", "already_exists")
    if (refused := _too_long(body)) is not None:
        return refused
    target = str(body.get("target_commitish") or repository.default_branch)
    made = Release(next(repository.ids), tag, target, tag, "", False, False, now)
    _change(made, body)
    repository.releases.append(made)
    events.released(repository, made, "created", *(() if made.draft else ("published", "released")))
    return web.json_response(views.release(made), status=201)


def rewrite(request: web.Request, repository: Repository, views: Views, body: Json, events: Events) -> web.Response:
    release = _asked(request, repository, views)
    if (refused := _too_long(body)) is not None:
        return refused
    was_draft = release.draft
    _change(release, body)
    if not release.draft:
        events.released(repository, release, *(("published", "released") if was_draft else ("edited",)))
    return web.json_response(views.release(release))


def delete(request: web.Request, repository: Repository, views: Views, events: Events) -> web.Response:
    release = _asked(request, repository, views)
    repository.releases.remove(release)
    events.released(repository, release, "deleted")
    return web.Response(status=204)


def _list(request: web.Request, repository: Repository, views: Views) -> web.Response:
    shown = [each for each in reversed(repository.releases) if views.writer or not each.draft]
    return paged(request, shown, views.release)


def _latest(_: web.Request, repository: Repository, views: Views) -> web.Response:
    whole = [each for each in repository.releases if not each.draft and not each.prerelease]
    if not whole:
        raise web.HTTPNotFound
    return web.json_response(views.release(whole[-1]))


def _by_tag(request: web.Request, repository: Repository, views: Views) -> web.Response:
    tag = request.match_info["tag"]
    found = [each for each in repository.releases if each.tag_name == tag and not each.draft]
    if not found:
        raise web.HTTPNotFound
    return web.json_response(views.release(found[-1]))


def _one(request: web.Request, repository: Repository, views: Views) -> web.Response:
    return web.json_response(views.release(_asked(request, repository, views)))


def _asked(request: web.Request, repository: Repository, views: Views) -> Release:
    number = int(request.match_info["id"])
    found = next((release for release in repository.releases if release.id == number), None)
    if found is None or (found.draft and not views.writer):
        raise web.HTTPNotFound
    return found


def _change(release: Release, body: Json) -> None:
    for name in _FIELDS:
        if body.get(name) is not None:
            setattr(release, name, body[name])


def _too_long(body: Json) -> web.Response | None:
    if len(str(body.get("body") or "")) <= LONGEST_NOTES:
        return None
    return limits.error(422, "Validation Failed", errors=[_TOO_LONG])
