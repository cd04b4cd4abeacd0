"""The endpoints of GitHub's REST API: HTTP in, views out. It decides nothing about tokens or limits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from aiohttp import web

from sandbox.github import limits, releases
from sandbox.github.contents import contents
from sandbox.github.events import Events
from sandbox.github.gate import given_token
from sandbox.github.paging import page_at, page_of, paged
from sandbox.github.repository import Repository, Status, UnknownRef
from sandbox.github.scanning import NOT_ACCESSIBLE, NOT_ENABLED, Seen
from sandbox.github.scanning import endpoints as scanning_endpoints
from sandbox.github.views import Json, Views, user

Endpoint = Callable[[web.Request, Repository, Views], web.Response]
Served = Callable[[web.Request], Awaitable[web.StreamResponse]]
STATES = ("error", "failure", "pending", "success")
MOST_STATUSES = 1000
MOST_COMPARED = 250
"""Commits of a comparison that nobody asked for page by page."""


class Account(Protocol):
    """What the endpoints need of the server."""

    url: str
    repositories: dict[str, Repository]
    renamed: dict[str, str]
    rate: limits.RateLimit
    now: Callable[[], datetime]
    token: str
    contents_token: str
    events: Events

    def set_status(
        self, repo: str, sha: str, context: str, state: str, description: str = "", url: str = ""
    ) -> Status: ...


class Api:
    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> list[web.RouteDef]:
        repo = "/repos/{owner}/{repo}"
        endpoints: list[tuple[str, Endpoint]] = [
            ("", _repo),
            ("/git/ref/{ref:.+}", _ref),
            ("/git/matching-refs/{ref:.*}", _matching_refs),
            ("/git/tags/{sha}", _tag),
            ("/git/commits/{sha}", _git_commit),
            ("/tags", _tags),
            ("/branches", _branches),
            ("/branches/{branch:.+}", _branch),
            ("/commits", _commits),
            ("/commits/{ref:.+}/check-runs", _check_runs),
            ("/commits/{ref:.+}/statuses", _statuses),
            ("/commits/{ref:.+}/status", _combined_status),
            ("/commits/{ref:.+}/pulls", _pulls_of_commit),
            ("/commits/{ref:.+}", _commit),
            ("/compare/{spec:.+}", _compare),
            ("/contents/{path:.*}", contents),
            ("/actions/runs", _workflow_runs),
            ("/pulls", _pulls),
            ("/pulls/{number:\\d+}", _pull),
            ("/pulls/{number:\\d+}/reviews", _reviews),
            *releases.endpoints(),
        ]
        found = [web.get(repo + path, self._served(endpoint)) for path, endpoint in endpoints]
        found += [web.get(repo + path, self._scanned(endpoint)) for path, endpoint in scanning_endpoints()]
        return [
            web.get("/rate_limit", self._rate_limit),
            web.get("/user", self._user),
            *found,
            web.post(repo + "/statuses/{sha}", self._post_status),
            web.post(repo + "/releases", self._post_release),
            web.patch(repo + "/releases/{id:\\d+}", self._patch_release),
            web.delete(repo + "/releases/{id:\\d+}", self._delete_release),
        ]

    async def _rate_limit(self, _: web.Request) -> web.Response:
        view = self.account.rate.view()
        return web.json_response({"resources": {"core": view}, "rate": view})

    async def _user(self, _: web.Request) -> web.Response:
        return web.json_response(user("forge"))

    def _open(self, request: web.Request) -> tuple[Repository, Views]:
        name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        repository = self.account.repositories.get(name)
        if repository is None and name in self.account.renamed:
            raise _moved(request, name, self.account.renamed[name])
        if repository is None:
            raise web.HTTPNotFound
        return repository, Views(repository, self.account.url, writer=given_token(request) == self.account.token)

    def _served(self, endpoint: Endpoint) -> Served:
        async def serve(request: web.Request) -> web.StreamResponse:
            repository, views = self._open(request)
            try:
                return endpoint(request, repository, views)
            except UnknownRef as unknown:
                return limits.error(422, f"No commit found for SHA: {unknown}")

        return serve

    def _scanned(self, endpoint: Seen) -> Served:
        async def serve(request: web.Request) -> web.StreamResponse:
            repository, views = self._open(request)
            if self.account.contents_token in request.headers.get("Authorization", ""):
                return limits.error(403, NOT_ACCESSIBLE)
            if not repository.scanning.enabled:
                return limits.error(403, NOT_ENABLED)
            return endpoint(request, repository.scanning, views.base, f"refs/heads/{repository.default_branch}")

        return serve

    async def _post_status(self, request: web.Request) -> web.Response:
        repository, views = self._open(request)
        body, sha = await _body(request), request.match_info["sha"]
        if sha not in repository.commits:
            return limits.error(422, f"No commit found for SHA: {sha}")
        if body.get("state") not in STATES:
            return limits.invalid("Status", "state", "invalid")
        context, description = str(body.get("context", "default")), str(body.get("description") or "")
        if len(description) > 140:
            return limits.error(
                422, "Validation Failed", errors=["description is too long (maximum is 140 characters)"]
            )
        if sum((each.sha, each.context) == (sha, context) for each in repository.statuses) >= MOST_STATUSES:
            return limits.error(422, "This SHA and context has reached the maximum number of statuses.")
        target = str(body.get("target_url") or "")
        made = self.account.set_status(repository.full_name, sha, context, body["state"], description, target)
        return web.json_response(views.status(made), status=201)

    async def _post_release(self, request: web.Request) -> web.Response:
        repository, views = self._open(request)
        return releases.create(repository, views, await _body(request), self.account.events, self.account.now())

    async def _patch_release(self, request: web.Request) -> web.Response:
        repository, views = self._open(request)
        return releases.rewrite(request, repository, views, await _body(request), self.account.events)

    async def _delete_release(self, request: web.Request) -> web.Response:
        repository, views = self._open(request)
        return releases.delete(request, repository, views, self.account.events)


def _moved(request: web.Request, name: str, new: str) -> web.HTTPMovedPermanently:
    where = request.url.with_path(request.path.replace(name, new, 1)).with_query(request.query)
    body = json.dumps({"message": "Moved Permanently", "url": str(where), "documentation_url": limits.DOCS})
    return web.HTTPMovedPermanently(where, text=body, content_type="application/json")


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise web.HTTPBadRequest from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest
    return body


def _repo(_: web.Request, __: Repository, views: Views) -> web.Response:
    return web.json_response(views.repo())


def _ref(request: web.Request, repository: Repository, views: Views) -> web.Response:
    ref = f"refs/{request.match_info['ref']}"
    if not repository.commits:
        raise web.HTTPConflict
    if ref not in repository.refs:
        raise web.HTTPNotFound
    return web.json_response(views.ref(ref))


def _matching_refs(request: web.Request, repository: Repository, views: Views) -> web.Response:
    if not repository.commits:
        raise web.HTTPConflict
    prefix = f"refs/{request.match_info['ref']}"
    return paged(request, sorted(ref for ref in repository.refs if ref.startswith(prefix)), views.ref)


def _tag(request: web.Request, repository: Repository, views: Views) -> web.Response:
    tag = repository.tags.get(request.match_info["sha"])
    if tag is None:
        raise web.HTTPNotFound
    return web.json_response(views.tag(tag))


def _git_commit(request: web.Request, repository: Repository, views: Views) -> web.Response:
    commit = repository.commits.get(request.match_info["sha"])
    if commit is None:
        raise web.HTTPNotFound
    return web.json_response(views.git_commit(commit))


def _tags(request: web.Request, repository: Repository, views: Views) -> web.Response:
    names = [ref.removeprefix("refs/tags/") for ref in repository.refs if ref.startswith("refs/tags/")]
    return paged(request, sorted(names, reverse=True), views.listed_tag)


def _branches(request: web.Request, repository: Repository, views: Views) -> web.Response:
    names = sorted(ref.removeprefix("refs/heads/") for ref in repository.refs if ref.startswith("refs/heads/"))
    return paged(request, names, lambda name: views.branch(name, whole=False))


def _branch(request: web.Request, repository: Repository, views: Views) -> web.Response:
    name = request.match_info["branch"]
    if f"refs/heads/{name}" not in repository.refs:
        return limits.error(404, "Branch not found")
    return web.json_response(views.branch(name, whole=True))


def _commits(request: web.Request, repository: Repository, views: Views) -> web.Response:
    if not repository.commits:
        raise web.HTTPConflict
    try:
        history = repository.history(repository.resolve(request.query.get("sha", repository.default_branch)))
    except UnknownRef as unknown:
        raise web.HTTPNotFound from unknown
    return paged(request, history, lambda sha: views.commit(repository.commits[sha]))


def _commit(request: web.Request, repository: Repository, views: Views) -> web.Response:
    if not repository.commits:
        raise web.HTTPConflict
    sha = repository.resolve(request.match_info["ref"])
    if request.headers.get("Accept", "").endswith(".sha"):
        return web.Response(text=sha)
    return web.json_response(views.commit(repository.commits[sha]))


def _check_runs(request: web.Request, repository: Repository, views: Views) -> web.Response:
    sha = repository.resolve(request.match_info["ref"])
    query = request.query
    runs = [run for run in repository.checks if run.head_sha == sha]
    if query.get("filter", "latest") == "latest":
        runs = [run for run in runs if not run.superseded]
    for name, value in (("check_name", "name"), ("status", "status")):
        if name in query:
            runs = [run for run in runs if getattr(run, value) == query[name]]
    page, headers = page_of(request, runs)
    view = {"total_count": len(runs), "check_runs": [views.check_run(run) for run in page]}
    return web.json_response(view, headers=headers)


def _statuses(request: web.Request, repository: Repository, views: Views) -> web.Response:
    sha = repository.resolve(request.match_info["ref"])
    return paged(request, [each for each in reversed(repository.statuses) if each.sha == sha], views.status)


def _combined_status(request: web.Request, repository: Repository, views: Views) -> web.Response:
    sha = repository.resolve(request.match_info["ref"])
    every = repository.latest_statuses(sha)
    page, headers = page_of(request, every)
    return web.json_response(views.combined(sha, page, every), headers=headers)


def _pulls_of_commit(request: web.Request, repository: Repository, views: Views) -> web.Response:
    sha = repository.resolve(request.match_info["ref"])
    return paged(request, [pull for pull in repository.pulls if sha in pull.shas], views.pull)


def _pulls(request: web.Request, repository: Repository, views: Views) -> web.Response:
    state = request.query.get("state", "open")
    found = [
        pull
        for pull in reversed(repository.pulls)
        if state == "all" or (state == "closed") == bool(pull.merged_at or pull.closed_at)
    ]
    return paged(request, found, views.pull)


def _pull(request: web.Request, repository: Repository, views: Views) -> web.Response:
    number = int(request.match_info["number"])
    pull = next((pull for pull in repository.pulls if pull.number == number), None)
    if pull is None:
        raise web.HTTPNotFound
    return web.json_response(views.pull(pull))


def _reviews(request: web.Request, repository: Repository, views: Views) -> web.Response:
    number = int(request.match_info["number"])
    pull = next((pull for pull in repository.pulls if pull.number == number), None)
    if pull is None:
        raise web.HTTPNotFound
    return paged(request, list(pull.approved_by), lambda who: views.review(pull, who))


def _compare(request: web.Request, repository: Repository, views: Views) -> web.Response:
    base, dots, head = request.match_info["spec"].partition("...")
    if not dots:
        raise web.HTTPNotFound
    paged = {"page", "per_page"} & request.query.keys()
    try:
        before, after = repository.resolve(base), repository.resolve(head)
        page, headers = page_at(request, repository.ahead(before, after)) if paged else ((1, MOST_COMPARED), {})
        return web.json_response(views.compare(before, after, page), headers=headers)
    except UnknownRef as unknown:
        raise web.HTTPNotFound from unknown
    except StopIteration:
        return limits.error(404, f"No common ancestor between {base} and {head}.")


def _workflow_runs(request: web.Request, repository: Repository, views: Views) -> web.Response:
    query, runs = request.query, list(reversed(repository.runs))
    for name, value in (("head_sha", "head_sha"), ("branch", "branch"), ("event", "event")):
        if name in query:
            runs = [run for run in runs if getattr(run, value) == query[name]]
    if "status" in query:
        runs = [run for run in runs if query["status"] in (run.status, run.conclusion)]
    page, headers = page_of(request, runs)
    view = {"total_count": len(runs), "workflow_runs": [views.run(run) for run in page]}
    return web.json_response(view, headers=headers)
