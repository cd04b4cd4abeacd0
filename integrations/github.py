"""GitHub's REST API, reading only: tags with their signatures, checks, links. Never trusts `verified`: that is `Signatures`' work.

Source: docs.github.com/rest, version 2022-11-28. The token goes to the API's own origin alone and is in no error.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from integrations.http_calls import Answer, HttpCalls, Limits, garbage, retry_after_s, retrying, status_error
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.ports import CiCheck, Tag

SYSTEM = "github"
MOST_TAGS = 1000
_PAGE = 100
_MOST_PAGES = 10
_DEEPEST_TAG = 5
_CACHED_ANSWERS = 500
_LARGEST_CACHED = 256 * 1024
_SECONDARY_WAIT_S = 60.0  # docs: "wait at least one minute" where no header says how long

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PASSED = frozenset({"success", "skipped", "neutral"})


class GitHub:
    """Fulfils `runbook.ports.CodeHost`."""

    def __init__(
        self,
        api_url: str = "https://api.github.com",
        token: Callable[[], str] | None = None,
        *,
        web_url: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """token: gives the access token, asked at each call; None asks anonymously. web_url: derived from api_url where empty."""
        self._api_url = api_url.rstrip("/")
        self._web_url = (web_url or _web_url(self._api_url)).rstrip("/")
        self._token = token
        self._limits = limits or Limits(timeout_s=10.0)
        self._clock = clock
        self._calls = HttpCalls(SYSTEM, self._limits)
        self._cache: OrderedDict[str, tuple[str, Answer]] = OrderedDict()

    async def aclose(self) -> None:
        await self._calls.aclose()

    # --- the port ---------------------------------------------------------------------------------------------------

    async def tag(self, repository: str, name: str) -> Tag | None:
        """See the port. Raises Permanent("not_found") where the repository itself can't be seen."""
        found = await self._get_or_none(repository, f"git/ref/tags/{_quoted(name)}")
        if found is None:
            await self._require_repository(repository)
            return None
        with _Shape(self._where, "tag"):
            kind, sha = found["object"]["type"], found["object"]["sha"]
        if kind == "commit":
            return Tag(name=name, commit=sha, tag_object=None)
        outer = await self._get(repository, f"git/tags/{_checked_sha(sha)}")
        with _Shape(self._where, "tag"):
            tagger, verification = outer.get("tagger") or {}, outer.get("verification") or {}
            return Tag(
                name=name,
                commit=await self._peeled(repository, name, outer),
                tag_object=sha,
                tagger=f"{tagger.get('name', '')} <{tagger.get('email', '')}>" if tagger else "",
                payload=verification.get("payload") or "",
                signature=verification.get("signature") or None,
            )

    async def tag_names(self, repository: str, prefix: str) -> tuple[str, ...]:
        names: list[str] = []
        async for page in self._pages(repository, f"git/matching-refs/tags/{_quoted(prefix)}"):
            with _Shape(self._where, "list of refs"):
                names += [entry["ref"].removeprefix("refs/tags/") for entry in page]
        return tuple(names[:MOST_TAGS])

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        """See the port. Raises Permanent("invalid") for a commit that GitHub doesn't have."""
        sha = _checked_sha(commit)
        newest: dict[tuple[Any, str], Mapping[str, Any]] = {}
        async for page in self._pages(repository, f"commits/{sha}/check-runs?filter=latest"):
            with _Shape(self._where, "list of check runs"):
                for run in page["check_runs"]:
                    key = ((run.get("app") or {}).get("id"), run["name"])
                    if key not in newest or run["id"] > newest[key]["id"]:
                        newest[key] = run
        statuses: list[Mapping[str, Any]] = []
        async for page in self._pages(repository, f"commits/{sha}/status"):
            with _Shape(self._where, "combined status"):
                statuses += page["statuses"]
        with _Shape(self._where, "list of checks"):
            return (*map(_of_run, newest.values()), *map(_of_status, statuses))

    def compare_url(self, repository: str, base: str, head: str) -> str:
        return f"{self._web_url}/{repository}/compare/{quote(base)}...{quote(head)}"

    # --- tags -------------------------------------------------------------------------------------------------------

    async def _peeled(self, repository: str, name: str, tag: Mapping[str, Any]) -> str:
        """The commit at the end of a chain of tag objects."""
        for _ in range(_DEEPEST_TAG):
            kind, sha = tag["object"]["type"], tag["object"]["sha"]
            if kind == "commit":
                return str(sha)
            if kind != "tag":
                remedy = "Tag a commit and push the tag under a new name"
                raise Permanent(SYSTEM, "tag_target", f"the tag {name} names a {kind}, not a commit", remedy)
            tag = await self._get(repository, f"git/tags/{_checked_sha(sha)}")
        raise Permanent(
            SYSTEM, "tag_target", f"the tag {name} names tags of tags, deeper than {_DEEPEST_TAG}", "Tag the commit"
        )

    async def _require_repository(self, repository: str) -> None:
        """GitHub answers 404 for a private repository too, when the token may not see it: that is no "no such tag"."""
        if await self._get_or_none(repository, "") is None:
            raise status_error(SYSTEM, 404, f"GitHub shows no repository {repository}", self._remedy(404, repository))

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _pages(self, repository: str, path: str) -> AsyncIterator[Any]:
        url = f"{self._url(repository, path)}{'&' if '?' in path else '?'}per_page={_PAGE}"
        for _ in range(_MOST_PAGES):
            answer = await self._asked(repository, url)
            yield answer.json(SYSTEM, self._where)
            following = answer.links.get("next")
            if not following:
                return
            if _origin(following) != _origin(self._api_url):  # the token goes nowhere else
                raise garbage(SYSTEM, self._where, "link to its own next page")
            url = following

    async def _get(self, repository: str, path: str) -> Any:
        return (await self._asked(repository, self._url(repository, path))).json(SYSTEM, self._where)

    async def _get_or_none(self, repository: str, path: str) -> Any:
        try:
            return await self._get(repository, path)
        except Permanent as error:
            if error.code in ("github.not_found", "github.empty"):
                return None
            raise

    def _url(self, repository: str, path: str) -> str:
        if not _REPOSITORY.fullmatch(repository) or ".." in repository:
            raise Permanent(SYSTEM, "bad_name", f"{repository!r} is no owner/name", "Correct the service's repository")
        return f"{self._api_url}/repos/{repository}/{path}".rstrip("/")

    async def _asked(self, repository: str, url: str) -> Answer:
        async def attempt() -> Answer:
            return await self._attempt(repository, url)

        return await retrying("github get", self._limits, attempt)

    async def _attempt(self, repository: str, url: str) -> Answer:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        cached = self._cache.get(url)
        if cached is not None:
            headers["If-None-Match"] = cached[0]  # an unchanged answer doesn't count against the rate limit
        answer = await self._calls.ask("GET", url, headers=headers)
        if answer.status == 304 and cached is not None:
            self._cache.move_to_end(url)
            return cached[1]
        if answer.status != 200:
            raise self._refused(repository, answer)
        self._remember(url, answer)
        return answer

    def _remember(self, url: str, answer: Answer) -> None:
        etag = answer.headers.get("ETag")
        if etag and len(answer.body) <= _LARGEST_CACHED:
            self._cache[url] = (etag, answer)
            self._cache.move_to_end(url)
            while len(self._cache) > _CACHED_ANSWERS:
                self._cache.popitem(last=False)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def _refused(self, repository: str, answer: Answer) -> ForgeError:
        words = answer.detail()
        if answer.status in (301, 302, 307, 308):
            cause = f"{repository} has another name at GitHub now"
            return Permanent(SYSTEM, "moved", cause, "Write its present name into the service's configuration")
        if answer.status == 409:  # what GitHub says to a question about the refs or commits of a repository without any
            return Permanent(SYSTEM, "empty", f"the repository {repository} is empty", "Push a commit and its tag")
        if answer.status in (403, 429) and (limited := self._rate_limited(answer, words)):
            return limited
        cause = f"GitHub answered {answer.status} for {repository}" + (f": {words}" if words else "")
        return status_error(SYSTEM, answer.status, cause, self._remedy(answer.status, repository), answer.headers)

    def _rate_limited(self, answer: Answer, words: str) -> Temporary | None:
        """Source: "Rate limits for the REST API", exceeding the rate limit."""
        wait_s = self._asked_wait_s(answer, words)
        if wait_s is None:
            return None
        remedy = "It passes by itself; a token of a GitHub App has a higher limit than a person's"
        return Temporary(SYSTEM, "rate_limited", f"GitHub's rate limit is used up for {wait_s:.0f} s", remedy, wait_s)

    def _asked_wait_s(self, answer: Answer, words: str) -> float | None:
        headers = answer.headers
        if "Retry-After" in headers:
            return retry_after_s(headers["Retry-After"], datetime.fromtimestamp(self._clock(), UTC))
        if headers.get("X-RateLimit-Remaining") == "0":
            reset = headers.get("X-RateLimit-Reset", "")
            return max(0.0, float(reset) - self._clock()) if reset.isdigit() else _SECONDARY_WAIT_S
        if answer.status == 429 or "rate limit" in words.lower():
            return _SECONDARY_WAIT_S
        return None

    def _remedy(self, status: int, repository: str) -> str:
        remedies = {
            401: "Renew the token in GITHUB_TOKEN: GitHub doesn't accept it",
            403: f"Give the token read access to contents, checks and commit statuses of {repository}",
            404: f"Check the name {repository}, and that the token in GITHUB_TOKEN may read its contents",
            422: "Check that the commit was pushed to this repository",
        }
        return remedies.get(status, "")

    @property
    def _where(self) -> str:
        return f"GitHub ({urlsplit(self._api_url).hostname})"


class _Shape:
    """Turns the reading of an answer that lacks what GitHub documents into Permanent("garbage")."""

    def __init__(self, where: str, what: str) -> None:
        self._where, self._what = where, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyError | TypeError | AttributeError):
            raise garbage(SYSTEM, self._where, self._what) from error


def _of_run(run: Mapping[str, Any]) -> CiCheck:
    done = "success" if run.get("conclusion") in _PASSED else "failure"
    return CiCheck(
        run["name"],
        done if run["status"] == "completed" else "pending",
        run.get("html_url") or run.get("details_url") or "",
    )


def _of_status(status: Mapping[str, Any]) -> CiCheck:
    state = status["state"]
    return CiCheck(
        status["context"], state if state in ("success", "pending") else "failure", status.get("target_url") or ""
    )


def _quoted(name: str) -> str:
    """A ref's name in a path. Raises Permanent for what no git ref may be (git-check-ref-format): it could leave the path."""
    if ".." in name or name.startswith("/") or name.endswith("/") or any(ord(sign) < 33 for sign in name):
        raise Permanent(SYSTEM, "bad_name", f"{name[:100]!r} is no name of a tag")
    return quote(name)


def _checked_sha(text: str) -> str:
    if not _SHA.fullmatch(text):
        raise Permanent(SYSTEM, "bad_name", f"{text[:100]!r} is no commit or object id")
    return text


def _web_url(api_url: str) -> str:
    """`https://api.github.com` serves `https://github.com`; GitHub Enterprise has its API under `/api/v3` of its own host."""
    parts = urlsplit(api_url)
    if parts.hostname == "api.github.com":
        return "https://github.com"
    if (parts.hostname or "").startswith("api.") and parts.hostname.endswith(".ghe.com"):  # type: ignore[union-attr]
        return f"https://{parts.hostname.removeprefix('api.')}"  # type: ignore[union-attr]
    return api_url.removesuffix("/api/v3")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
