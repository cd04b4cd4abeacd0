"""Requests to GitHub's REST API: token, pages, conditional requests, and every refusal as one of `runbook.errors`.

Source: docs.github.com/rest, version 2022-11-28. The token goes to the API's own origin alone and is in no error.
"""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from integrations.http_calls import Answer, HttpCalls, Limits, garbage, retry_after_s, retrying, status_error
from runbook.errors import ForgeError, Permanent, Temporary

T = TypeVar("T")

SYSTEM = "github"
MOST_PAGES = 10
JSON = "application/vnd.github+json"
_PAGE = 100
_CACHED_ANSWERS = 500
_LARGEST_CACHED = 256 * 1024
_LONGEST_TEXT = 500
_SECONDARY_WAIT_S = 60.0  # docs: "wait at least one minute" where no header says how long

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitHubCalls:
    """Questions about one account's repositories, each bounded in time, retries and size."""

    def __init__(
        self,
        api_url: str = "https://api.github.com",
        token: Callable[[], str] | None = None,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """token: gives the access token, asked at each call; None asks anonymously. clock: seconds since the epoch."""
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._limits = limits or Limits(timeout_s=10.0)
        self._clock = clock
        self._calls = HttpCalls(SYSTEM, self._limits)
        self._cache: OrderedDict[tuple[str, str], tuple[str, Answer]] = OrderedDict()

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def pages(self, repository: str, path: str, size: int = _PAGE) -> AsyncIterator[Any]:
        """At most MOST_PAGES pages of size things, a hundred at most; what comes behind them is not read."""
        url = f"{self.url(repository, path)}{'&' if '?' in path else '?'}per_page={min(size, _PAGE)}"
        for _ in range(MOST_PAGES):
            answer = await self._asked(repository, url)
            yield answer.json(SYSTEM, self.where)
            following = answer.links.get("next")
            if not following:
                return
            if _origin(following) != _origin(self._api_url):  # the token goes nowhere else
                raise garbage(SYSTEM, self.where, "link to its own next page")
            url = following

    async def get(self, repository: str, path: str, accept: str = JSON) -> Any:
        return (await self._asked(repository, self.url(repository, path), accept)).json(SYSTEM, self.where)

    async def get_or_none(self, repository: str, path: str) -> Any:
        try:
            return await self.get(repository, path)
        except Permanent as error:
            if error.code in ("github.not_found", "github.empty"):
                return None
            raise

    async def text(self, repository: str, path: str, accept: str) -> str:
        """An answer that is no JSON, at most a few hundred characters of it."""
        answer = await self._asked(repository, self.url(repository, path), accept)
        return answer.body[:_LONGEST_TEXT].decode(errors="replace").strip()

    async def write(self, method: str, repository: str, path: str, body: Mapping[str, Any], right: str) -> Any:
        """One attempt, never repeated here: whoever asks knows whether a repeat would add. right: the token's permission that it needs.

        A Temporary means that nobody knows whether it was written.
        """
        url, headers = self.url(repository, path), self._headers(JSON)
        answer = await self._calls.ask(method, url, headers=headers, json_body=body)
        if answer.status not in (200, 201):
            raise self._refused(repository, answer, right)
        return answer.json(SYSTEM, self.where)

    async def deciding(self, name: str, decide: Callable[[], Awaitable[T]]) -> T:
        """Repeats a write that looks first whether it is still needed. name: for the log."""
        return await retrying(f"github {name}", self._limits, decide)

    async def require_repository(self, repository: str) -> None:
        """GitHub answers 404 for a private repository too, when the token may not see it: that is no "no such thing in it"."""
        if await self.get_or_none(repository, "") is None:
            raise status_error(SYSTEM, 404, f"GitHub shows no repository {repository}", self._remedy(404, repository))

    def url(self, repository: str, path: str) -> str:
        if not _REPOSITORY.fullmatch(repository) or ".." in repository:
            raise Permanent(SYSTEM, "bad_name", f"{repository!r} is no owner/name", "Correct the service's repository")
        return f"{self._api_url}/repos/{repository}/{path}".rstrip("/")

    async def _asked(self, repository: str, url: str, accept: str = JSON) -> Answer:
        async def attempt() -> Answer:
            return await self._attempt(repository, url, accept)

        return await retrying("github get", self._limits, attempt)

    async def _attempt(self, repository: str, url: str, accept: str) -> Answer:
        headers, key = self._headers(accept), (url, accept)
        cached = self._cache.get(key)
        if cached is not None:
            headers["If-None-Match"] = cached[0]  # an unchanged answer doesn't count against the rate limit
        answer = await self._calls.ask("GET", url, headers=headers)
        if answer.status == 304 and cached is not None:
            self._cache.move_to_end(key)
            return cached[1]
        if answer.status != 200:
            raise self._refused(repository, answer)
        self._remember(key, answer)
        return answer

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "X-GitHub-Api-Version": "2022-11-28"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        return headers

    def _remember(self, key: tuple[str, str], answer: Answer) -> None:
        etag = answer.headers.get("ETag")
        if etag and len(answer.body) <= _LARGEST_CACHED:
            self._cache[key] = (etag, answer)
            self._cache.move_to_end(key)
            while len(self._cache) > _CACHED_ANSWERS:
                self._cache.popitem(last=False)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def _refused(self, repository: str, answer: Answer, right: str = "") -> ForgeError:
        """right: what the token needs for what was asked; empty for a question."""
        words = answer.detail() + _wrong_fields(answer)
        if answer.status in (301, 302, 307, 308):
            cause = f"{repository} has another name at GitHub now"
            return Permanent(SYSTEM, "moved", cause, "Write its present name into the service's configuration")
        if (
            answer.status == 409 and not right
        ):  # what GitHub says to a question about the refs or commits of a repository without any
            return Permanent(SYSTEM, "empty", f"the repository {repository} is empty", "Push a commit and its tag")
        if answer.status in (403, 429) and (limited := self._rate_limited(answer, words)):
            return limited
        cause = f"GitHub answered {answer.status} for {repository}" + (f": {words}" if words else "")
        remedy = self._remedy(answer.status, repository, right)
        return status_error(SYSTEM, answer.status, cause, remedy, answer.headers)

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

    def _remedy(self, status: int, repository: str, right: str = "") -> str:
        if right and status in (403, 404):
            return f"Give the token in GITHUB_TOKEN the permission `{right}` for {repository}"
        if right and status == 422:
            return ""
        remedies = {
            401: "Renew the token in GITHUB_TOKEN: GitHub doesn't accept it",
            403: f"Give the token read access to contents, checks and commit statuses of {repository}",
            404: f"Check the name {repository}, and that the token in GITHUB_TOKEN may read its contents",
            422: "Check that the commit was pushed to this repository",
        }
        return remedies.get(status, "")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    @property
    def where(self) -> str:
        return f"GitHub ({urlsplit(self._api_url).hostname})"


class Shape:
    """Turns the reading of an answer that lacks what GitHub documents into Permanent("garbage")."""

    def __init__(self, where: str, what: str) -> None:
        self._where, self._what = where, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise garbage(SYSTEM, self._where, self._what) from error


def _wrong_fields(answer: Answer) -> str:
    """What a 422 says beyond "Validation Failed": `field: code` or words, of the first few. Source: REST API, client errors."""
    if answer.status != 422:
        return ""
    try:
        found = json.loads(answer.body)["errors"]
        named = [
            each if isinstance(each, str) else f"{each.get('field', '')}: {each.get('message') or each['code']}"
            for each in found[:3]
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" ({'; '.join(named)[:200]})" if named else ""


def checked_sha(text: str) -> str:
    if not _SHA.fullmatch(text):
        raise Permanent(SYSTEM, "bad_name", f"{text[:100]!r} is no commit or object id")
    return text


def checked_ref(name: str) -> str:
    """A ref's name as it stands in a path. Raises Permanent for what no git ref may be (git-check-ref-format): it could leave the path."""
    parts = name.split("/")
    if any(part.startswith(".") or not part for part in parts) or ".." in name or any(ord(sign) < 33 for sign in name):
        raise Permanent(SYSTEM, "bad_name", f"{name[:100]!r} is no name of a tag or branch")
    return quote(name)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
