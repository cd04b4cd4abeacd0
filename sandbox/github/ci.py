"""Continuous integration as GitHub shows it: check runs that begin and conclude, their suites, workflow runs. It runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sandbox.github.events import Events
from sandbox.github.repository import CheckRun, CheckSuite, Repository, WorkflowRun
from sandbox.github.views import concluded

RUNNING = {"pending": "in_progress", "in_progress": "in_progress", "queued": "queued"}


class Ci:
    def __init__(self, events: Events, now: Callable[[], datetime]) -> None:
        self._events = events
        self._now = now

    def set_checks(
        self, repository: Repository, sha: str, checks: Mapping[str, str], branch: str, key: str = ""
    ) -> None:
        """checks: name -> conclusion, or `queued`, `in_progress`, `pending`; set again, a name reruns. key: of the suite they belong to."""
        suite = self._suite(repository, sha, branch, key)
        for name, outcome in checks.items():
            for old in repository.checks:
                old.superseded = old.superseded or (old.head_sha, old.name) == (sha, name)
            status, conclusion = _state(outcome)
            ended = self._now() if conclusion else None
            made = CheckRun(next(repository.ids), name, sha, status, conclusion, self._now(), False, suite.id, ended)
            repository.checks.append(made)
        self._tell_end(repository, suite)

    def run(self, repository: Repository, name: str, sha: str, outcome: str, branch: str, event: str) -> WorkflowRun:
        """A run without check runs of its own."""
        status, conclusion = _state(outcome)
        run = WorkflowRun(next(repository.ids), name, sha, branch, event, status, conclusion, self._now())
        repository.runs.append(run)
        self._events.run(repository, run, _action(status))
        return run

    def begin(
        self, repository: Repository, sha: str, checks: Iterable[str], workflow: str, branch: str, event: str
    ) -> WorkflowRun:
        """Its check runs are in progress."""
        run = WorkflowRun(next(repository.ids), workflow, sha, branch, event, "queued", None, self._now())
        run.suite_id = self._suite(repository, sha, branch, f"run {run.id}").id
        repository.runs.append(run)
        self._events.run(repository, run, "requested")
        self.set_checks(repository, sha, dict.fromkeys(checks, "in_progress"), branch, f"run {run.id}")
        run.status = "in_progress"
        self._events.run(repository, run, "in_progress")
        return run

    def conclude(self, repository: Repository, run: WorkflowRun, outcomes: Mapping[str, str] | str) -> WorkflowRun:
        """outcomes: by check's name, or one for all. As soon as all have one, the suite and the run are completed."""
        suite = next(each for each in repository.suites.values() if each.id == run.suite_id)
        checks = _of(repository, suite)
        for check in checks:
            outcome = outcomes if isinstance(outcomes, str) else outcomes.get(check.name)
            if outcome is not None:
                check.status, check.conclusion, check.completed_at = "completed", outcome, self._now()
        conclusion = concluded([check.conclusion for check in checks])
        if conclusion is not None:
            run.status, run.conclusion = "completed", conclusion
            self._tell_end(repository, suite)
            self._events.run(repository, run, "completed")
        return run

    def _suite(self, repository: Repository, sha: str, branch: str, key: str) -> CheckSuite:
        if (sha, key) not in repository.suites:
            parents = repository.commits[sha].parents if sha in repository.commits else ()
            before = parents[0] if parents else ""
            repository.suites[sha, key] = CheckSuite(next(repository.ids), sha, branch, before, self._now())
        return repository.suites[sha, key]

    def _tell_end(self, repository: Repository, suite: CheckSuite) -> None:
        checks = _of(repository, suite)
        if concluded([check.conclusion for check in checks]) is not None:
            self._events.suite_completed(repository, suite, checks)


def _of(repository: Repository, suite: CheckSuite) -> list[CheckRun]:
    return [run for run in repository.checks if run.suite_id == suite.id and not run.superseded]


def _state(outcome: str) -> tuple[str, str | None]:
    status = RUNNING.get(outcome, "completed")
    return status, outcome if status == "completed" else None


def _action(status: str) -> str:
    return {"queued": "requested"}.get(status, status)
