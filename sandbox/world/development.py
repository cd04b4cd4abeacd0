"""What developers do from day to day: pull requests that are merged, CI that builds and tests what came of them, tags on what is good.

GitHub tells the bot of it by webhooks, as the real one does; nothing here tells it in another way.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.github import LocalGitHub
from sandbox.github.hooks import Hook
from sandbox.github.repository import PullRequest
from sandbox.world.releases import Releases
from sandbox.world.tags import CHECKS, REPOSITORY, Tagged

Json = dict[str, Any]
VALIDATED = "forge/dev-validated"
BEGINNING = "Begin what comes after v1.5.0"
NEXT = "v1.6.0"
IDEAS = (
    ("Sell saws", "Bea Bauer"),
    ("Sell screws by the pound", "Cyd Clausen"),
    ("Show what is in stock", "Bea Bauer"),
    ("Sell planes", "Eli Engel"),
    ("Spell vice right <!channel>", "Cyd Clausen"),
    ("Sell chisels", "Eli Engel"),
)
_CANDIDATE = re.compile(re.escape(NEXT) + r"-rc\.(\d+)")


class Development:
    """kept: what was done here, in order, to do it again at a second start. pace_s: how long CI takes.

    scan: tells of the scanned images of a commit.
    """

    def __init__(
        self, github: LocalGitHub, releases: Releases, scan: Callable[[str], None], kept: list[Json], *, pace_s: float,
    ) -> None:  # fmt: skip
        self._github = github
        self._releases = releases
        self._scan = scan
        self._kept = kept
        self._pace_s = pace_s
        self._work: set[asyncio.Task[None]] = set()
        self._hook: Hook | None = None

    def begin(self, began: datetime) -> None:
        """The branch goes on from what was released, with everything that was done here before."""
        files = Tagged(NEXT, BEGINNING).files()
        sha = self._github.commit(REPOSITORY, BEGINNING, "Bea Bauer", files=files, at=began)
        self._releases.build(sha)
        self._github.set_checks(REPOSITORY, sha, dict.fromkeys(CHECKS, "success"))
        for event in self._kept:
            with self._at(datetime.fromisoformat(event["at"])):
                self._again(event)

    async def stop(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def lead(self, address: str, secret: str) -> None:
        """GitHub delivers to the bot at this address from now on."""
        url = f"{address}/webhooks/github"
        if self._hook is None:
            self._hook = self._github.add_hook(REPOSITORY, url, secret)
        self._hook.url = url

    # --- pull requests

    @property
    def waiting(self) -> tuple[int, str]:
        """Number and title of the pull request that is merged next."""
        pull = self._open()
        return pull.number, pull.title

    def merge(self, ci: str = "success") -> str:
        """Merge the pull request that waits; CI begins, and concludes so after a while. Returns the commit."""
        at = datetime.now(UTC).replace(microsecond=0)
        self._kept.append({"what": "merge", "at": at.isoformat(), "ci": ci})
        with self._at(at):
            sha = self._merge()
        self._soon(self._run_ci(sha, ci))
        return sha

    def _merge(self) -> str:
        pull = self._open()
        return self._github.merge(REPOSITORY, pull.number, by=pull.author)

    def _open(self) -> PullRequest:
        """The one that waits to be merged; opened where none does."""
        pulls = self._github.repository(REPOSITORY).pulls
        if pulls and pulls[-1].merged_at is None:
            return pulls[-1]
        number = len(pulls) + 1
        title, author = IDEAS[(number - 1) % len(IDEAS)]
        files = {f"products/{number}.txt": f"{title}\n"}
        tip = self.tip
        at = self._github.repository(REPOSITORY).commits[tip].at
        head = f"topic-{number}"
        sha = self._github.commit(REPOSITORY, title, author, files=files, parent=tip, branch=head, at=at)
        return self._github.pull_request(REPOSITORY, title, [sha], author=author, merged=False, head=head)

    @property
    def tip(self) -> str:
        """The newest commit of the branch."""
        return self._github.repository(REPOSITORY).refs["refs/heads/main"]

    # --- CI

    async def _run_ci(self, sha: str, outcome: str) -> None:
        run = self._github.begin_ci(REPOSITORY, sha, CHECKS)
        await asyncio.sleep(self._pace_s)
        self._release_images(sha)
        self._github.conclude_ci(REPOSITORY, run, {CHECKS[0]: "success", CHECKS[1]: outcome})

    def _release_images(self, sha: str) -> None:
        self._releases.build(sha)
        self._scan(sha)

    # --- tags

    @property
    def validated(self) -> str:
        """The newest commit that forge has marked as validated in dev; empty where none is."""
        repository = self._github.repository(REPOSITORY)
        good = {each.sha for each in repository.statuses if (each.context, each.state) == (VALIDATED, "success")}
        return next((sha for sha in repository.history(self.tip) if sha in good), "")

    def next_candidate(self) -> str:
        return f"{NEXT}-rc.{len(self._candidates()) + 1}"

    def tag_candidate(self, version: str = "", commit: str = "") -> str:
        """A release engineer signs the next candidate, on what dev has validated; returns its name. Raises ValueError without such a commit."""
        commit = commit or self.validated
        if not commit:
            raise ValueError("nothing was validated in dev yet")
        return self._tag(version or self.next_candidate(), commit)

    def tag_final(self) -> str:
        """Signed on the newest candidate, with its notes published. Raises ValueError where there is no candidate."""
        candidates = self._candidates()
        if not candidates:
            raise ValueError(f"there is no candidate of {NEXT} yet")
        return self._tag(NEXT, self._releases.commits[candidates[-1]])

    def _tag(self, version: str, commit: str) -> str:
        at = datetime.now(UTC).replace(microsecond=0)
        self._kept.append({"what": "tag", "at": at.isoformat(), "version": version, "commit": commit})
        with self._at(at):
            self._tag_now(version, commit)
        return version

    def _tag_now(self, version: str, commit: str) -> None:
        self._releases.tag(version, commit, self._github.now())
        if version != NEXT:
            return
        drafts = [each for each in self._github.repository(REPOSITORY).releases if each.draft]
        if any(each.tag_name == version for each in drafts):
            self._github.publish_release(REPOSITORY, version)
        else:
            self._github.release(REPOSITORY, version, "What developers made since v1.5.0.\n")

    def _candidates(self) -> list[str]:
        found = [(int(match[1]), name) for name in self._releases.commits if (match := _CANDIDATE.fullmatch(name))]
        return [name for _, name in sorted(found)]

    # --- doing it again

    def _again(self, event: Json) -> None:
        if event["what"] == "tag":
            self._tag_now(event["version"], event["commit"])
            return
        sha = self._merge()
        self._release_images(sha)
        self._github.set_checks(REPOSITORY, sha, {CHECKS[0]: "success", CHECKS[1]: event["ci"]})

    @contextlib.contextmanager
    def _at(self, moment: datetime) -> Iterator[None]:
        """What is made meanwhile has this time, so that a second start gives the same commits."""
        now = self._github.now
        self._github.now = lambda: moment
        try:
            yield
        finally:
            self._github.now = now

    def _soon(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = asyncio.create_task(run(), name="CI")
        self._work.add(task)
        task.add_done_callback(self._work.discard)


def development_panel(development: Development) -> Json:
    """The panel's part; see `Controls`."""
    number, title = development.waiting
    controls: Sequence[Json] = (
        {"id": "merge success", "kind": "button", "label": f"Merge pull request #{number}: {title}"},
        {"id": "merge failure", "kind": "button", "label": "Merge it, and its tests fail", "danger": True},
        {
            "id": "tag candidate",
            "kind": "button",
            "label": f"Sign {development.next_candidate()} on what dev has validated",
        },
        {"id": "tag final", "kind": "button", "label": f"Sign {NEXT} on the newest candidate"},
    )
    words = (
        "What is merged and green is deployed to dev by itself. /forge status says what runs where, /forge plan staging which "
        "candidate comes next, with the tag to sign; here a button signs it. /forge deploy staging offers candidates."
    )
    return {"title": "Development", "help": words, "controls": list(controls)}
