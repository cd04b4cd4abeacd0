"""What happens in a repository, told to its hooks as GitHub does: one event may have several payloads.

Nothing is made where no hook wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sandbox.github.hooks import Hook, Hooks
from sandbox.github.payloads import NOTHING, Payloads
from sandbox.github.repository import CheckRun, CheckSuite, Release, Repository, WorkflowRun
from sandbox.github.views import Json


class Events:
    """api: gives the address of the API, which is known once it is served."""

    def __init__(self, hooks: Hooks, api: Callable[[], str]) -> None:
        self._hooks = hooks
        self._api = api

    def ping(self, repository: Repository, hook: Hook, at: datetime) -> None:
        self._hooks.send(hook, "ping", Payloads(repository, self._api()).ping(hook, at))

    def moved(self, repository: Repository, ref: str, before: str | None, after: str | None, sender: str) -> None:
        """A branch or tag names something else now; None: nothing."""
        old, new = before or NOTHING, after or NOTHING
        if old == new:
            return
        if NOTHING in (old, new):
            created = old == NOTHING
            kind = "create" if created else "delete"
            self._tell(repository, kind, lambda payloads: payloads.ref(ref, sender, created=created))
        self._tell(repository, "push", lambda payloads: payloads.push(ref, old, new, sender))

    def released(self, repository: Repository, release: Release, *actions: str) -> None:
        for action in actions:
            self._tell(repository, "release", partial(Payloads.release, action=action, release=release))

    def suite_completed(self, repository: Repository, suite: CheckSuite, runs: Sequence[CheckRun]) -> None:
        self._tell(repository, "check_suite", lambda payloads: payloads.check_suite(suite, runs))

    def run(self, repository: Repository, run: WorkflowRun, *actions: str) -> None:
        for action in actions:
            self._tell(repository, "workflow_run", partial(Payloads.workflow_run, action=action, run=run))

    def _tell(self, repository: Repository, event: str, payload: Callable[[Payloads], Json]) -> None:
        wanting = self._hooks.of(repository.full_name, event)
        if wanting:
            made = payload(Payloads(repository, self._api()))
            for hook in wanting:
                self._hooks.send(hook, event, made)
