"""Runs that wait, as many as are wanted, written by the engine's own transitions: at the first approval, or at the go under guards.

What the steps before found is invented; everything that the store holds of it has the form and size of the real thing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.configuration.loading import load
from engine.clock import SteadyClock
from engine.guards import MARK
from engine.journal import Turn, plan_of, segment_of
from engine.lifecycle import open_run
from engine.outbox import Outbox
from engine.ports import Ledger, Placed
from engine.records import Mark, Outgoing, Run, RunState, StepState
from engine.settings import Settings
from engine.turns import next_action
from messages.showing import Showing
from runbook.plan import Plan, Step, to_json
from runbook.policy import Setting
from runbook.procedures import CONTINUATIONS
from runbook.procedures.base import Request
from runbook.procedures.preparing import Candidate
from runbook.procedures.staging import staging_plan
from runbook.values import Actor, Environment, FrozenImage, Release, Role
from runbook.verdicts import Evidence, Outcome, Verdict
from sandbox.world.staff import ADA
from state.checkpointer import Checkpointer
from state.checkpoints import load_private_key
from state.places import DirectoryPlace
from state.store import SqlStore, open_store
from tests.bench.surroundings import Place, service_name

VERSION = "v1.4.0-rc.2"
BATCH = 50
SINCE = timedelta(minutes=10)
"""For how long they have waited."""


Opening = Callable[[Setting, int, Ledger], None]
"""Opens the run of the service of this number, and brings it to where it waits."""


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def candidate(setting: Setting, name: str, version: str = VERSION) -> Candidate:
    service = setting.services[name]
    images = tuple(
        FrozenImage(w.name, w.container, w.image, version, f"sha256:{_hex(w.name)}") for w in service.workloads
    )
    release = Release(name, version, _hex(name)[:40], _hex(name)[24:], "releases@acme.test", images)
    return Candidate(service, release, changes_url=f"https://github.test/acme/{name}/compare")


def _verdicts(step: Step) -> list[Verdict]:
    """Three findings with two pieces of evidence each."""
    evidence = (
        Evidence(name="found", value="as it should be", limit="as it should be", source="https://ci.acme.test/runs/7"),
        Evidence(name="took", value=3.25, limit=30.0, unit="s"),
    )
    return [
        Verdict(f"{step.title} {n}", Outcome.PASS, "ok", f"part {n} of {step.title} is as it should be", evidence)
        for n in (1, 2, 3)
    ]


def _at_go(setting: Setting, number: int, ledger: Ledger, *, at_go: bool) -> None:
    """Brought to its first approval, or to its go."""
    found = candidate(setting, service_name(number))
    turn = Turn(ledger, datetime.now(UTC) - SINCE, setting)
    run = opened(turn, staging_plan(found, setting.policy), Environment.STAGING)
    run = walked(turn, run, found.release, until="Go or no-go" if at_go else "Deploy to staging")
    next_action(turn, run.id, CONTINUATIONS, remade=True, may_begin=True)


def opened(turn: Turn, plan: Plan, environment: Environment) -> Run:
    """A run of this plan that has just begun."""
    actor = Actor(f"{ADA}", "Ada Adler", frozenset({Role.RELEASE_ENGINEER}))
    request = Request(service=plan.service, environment=environment, version=plan.version)
    run = turn.save_run(open_run(turn, request, plan, actor, "bench"), state=RunState.RUNNING)
    turn.audit("run.started", run.id, what=f"{run.version} on {run.environment}")
    return run


def walked(turn: Turn, run: Run, release: Release, *, until: str, facts: Mapping[str, Any] | None = None) -> Run:
    """Every step before the one with the title `until` is done. facts: what they recorded beside the images that ran before."""
    begun = turn.now
    found = {f"image:{image.workload}": f"{image.repository}@sha256:{_hex(image.tag)}" for image in release.images}
    for row, step in zip(turn.steps(run.id), plan_of(segment_of(turn, run)).steps(), strict=True):
        if step.title == until:
            return turn.save_run(run, position=row.index)
        verdicts = [to_json(verdict) for verdict in _verdicts(step)]
        turn.save_step(row, state=StepState.DONE, attempt=1, started_at=begun, finished_at=begun, outcome=Outcome.PASS,
                       code="ok", reason="as it should be", verdicts=verdicts)  # fmt: skip
        turn.audit("step.started", f"{run.id}/{row.index}", what=step.title, evidence={"attempt": 1})
        turn.audit("step.finished", f"{run.id}/{row.index}", what=f"{step.title}: PASS", evidence=verdicts)
        if step.effect and run.first_effect_at is None:
            run = turn.save_run(run, first_effect_at=begun, facts={**found, **(facts or {})})
    raise LookupError(f"no step is called {until}")


def _show(outbox: Outbox, ledger: Ledger) -> None:
    """Everything that waits to be shown counts as shown, by the outbox's own two halves of sending."""
    for row in ledger.find(Outgoing, state="pending", order="id"):
        letter = outbox._prepare(ledger, row)
        if letter is not None:
            outbox._sent(ledger, letter, Placed("C0RELEASES", f"1700000000.{row.id:06}"))


def _write(store: SqlStore, setting: Setting, opening: Opening, numbers: Sequence[int], posted: bool) -> None:
    nobody: Any = None
    outbox = Outbox(store, SteadyClock(), nobody, Showing(Settings(setting)), lambda: "", painter=nobody,
                    settings=lambda: Settings(setting))  # fmt: skip

    def some(ledger: Ledger) -> None:
        for number in numbers:
            opening(setting, number, ledger)
        if posted:
            _show(outbox, ledger)

    store.write_now(some)


def park(place: Place, runs: int, at_go: int, *, posted: bool) -> None:
    """at_go: how many of the runs wait for their go; the rest waits for the first approval. posted: their messages stand in Slack."""
    keep(
        place,
        runs,
        lambda setting, number, ledger: _at_go(setting, number, ledger, at_go=number <= at_go),
        RunState.WAITING,
        posted=posted,
    )


def keep(place: Place, runs: int, opening: Opening, state: RunState, *, posted: bool) -> None:
    """So many runs, one for each service, that are in this state afterwards; with a checkpoint, and guards that have just looked."""
    configuration = load(place.config, place.environment)
    with open_store(configuration.connections.database_url, data_dir=place.folder) as store:
        for first in range(1, runs + 1, BATCH):
            _write(store, configuration.setting, opening, range(first, min(first + BATCH, runs + 1)), posted)
        store.write_now(lambda ledger: ledger.save(Mark(name=MARK, at=datetime.now(UTC))))
        key, places = configuration.connections.audit.key.reveal(), configuration.connections.audit.checkpoints
        checkpointer = Checkpointer(
            store, load_private_key(key), [DirectoryPlace(path) for path in places], now=SteadyClock().now
        )
        asyncio.run(checkpointer.make("the bench has parked its runs"))
        there = store.read_now(lambda ledger: ledger.count(Run, state=state))
        unsent = store.read_now(lambda ledger: ledger.count(Outgoing, state="pending"))
    if there != runs or (posted and unsent):
        raise RuntimeError(f"{there} of {runs} runs are {state}, {unsent} messages are not sent")
