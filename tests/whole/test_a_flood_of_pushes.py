"""Five hundred pushes in a minute, and what may come between, over real HTTP: few deployments to dev, and the newest green commit runs there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from engine.automatic_runs import SUPERSEDED
from engine.records import Delivery, Received, Run, RunState, Sealed
from handlers.github_webhook import AT_ONCE, MAX_BODY_BYTES
from runbook.values import FORGE
from sandbox.faults import Fault
from sandbox.github.hooks import signature
from sandbox.github.payloads import Payloads
from sandbox.github.repository import CheckRun, Repository, WorkflowRun
from sandbox.world import short
from sandbox.world.staff import ADA
from sandbox.world.tags import CHECKS, REPOSITORY
from state.checkpoints import load_private_key
from state.places import DirectoryPlace
from state.store import SqlStore, open_store
from state.verify import verify
from tests.whole.stage import Stage

pytestmark = pytest.mark.timeout(900)
PUSHES = 500
CONNECTIONS = AT_ONCE // 2
"""With as many nobody is turned away."""

WITHIN_S = 240.0
"""Only so that the test ends: that an answer waits for nothing is proven by what hangs, or goes on, meanwhile."""

OBSERVATION_S = 6
CI_OF = {3: "green", 7: "red"}
"""By a push's last digit; the others are superseded before their CI begins. The last green one is therefore not the branch's tip."""

SEED = 500
MAIN = "refs/heads/main"

ROOMY = {
    "observation": f"{OBSERVATION_S}s", "rollout_timeout": "5m", "trouble_within": "2m", "traffic_wait": "2m", "ci_wait": "5m",
}  # fmt: skip
"""A slow machine is no reason to leave a run: then one would be shorter than its observation, and the bound on their number wrong."""


def _tempo() -> Any:
    tempo = short(validates=(), database=False, dev="required")
    return replace(tempo, policy={**tempo.policy, "dev": {**tempo.policy["dev"], **ROOMY}})


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage(tempo=_tempo(), environments=("dev",)) as stage:
        yield stage


# --- what is sent -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Letter:
    """One delivery. right: the (code, status) that may answer it; a refusal has no status. own: headers instead of GitHub's, or beside them."""

    event: str
    body: bytes = field(repr=False)
    secret: str = field(repr=False)
    right: frozenset[tuple[int, str]]
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    own: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        github = {
            "Content-Type": "application/json", "X-GitHub-Event": self.event, "X-GitHub-Delivery": self.guid,
            "X-Hub-Signature-256": signature(self.secret, self.body),
        }  # fmt: skip
        return {name: value for name, value in {**github, **self.own}.items() if value}


TAKEN = frozenset({(202, "accepted"), (200, "known")})
"""Which of two equal ones comes first is chance; that just one is accepted is looked at in the end."""


def refused(code: int) -> frozenset[tuple[int, str]]:
    return frozenset({(code, "")})


class Flood:
    """Developers who push without end, GitHub that tells of it out of order and more than once, and somebody who forges.

    pushed, greens: commits, and those whose CI is green, the oldest first. evil: a commit that nobody has merged. answers: to every letter,
    as (code, status).
    """

    def __init__(self, stage: Stage) -> None:
        self._world = stage.world
        self._github = stage.world.github
        self._repository: Repository = self._github.repository(REPOSITORY)
        self._secret = stage.world.kept.hook_secret
        self._url = f"{stage.world.bot.address()}/webhooks/github"
        self._chance = random.Random(SEED)
        self.pushed: list[str] = []
        self.greens: list[str] = []
        self.answers: list[tuple[Letter, tuple[int, str]]] = []
        self._github.push(REPOSITORY, "evil", self._evil())

    def _evil(self) -> str:
        """A stranger's commit with images and a green CI, which nobody has merged: it runs where a message is believed."""
        tip = self._repository.refs[MAIN]
        self.evil = self._github.commit(REPOSITORY, "Sell nothing", "Mallory", parent=tip, branch=None)
        self._world.releases.build(self.evil)
        self._github.set_checks(REPOSITORY, self.evil, dict.fromkeys(CHECKS, "success"), branch="evil")
        return self.evil

    # --- letters

    def push(self, ci: str) -> list[Letter]:
        """One commit onto main. ci: `green`, `red`, or `none` as long as it waits for its turn."""
        before = self._repository.refs[MAIN]
        number = len(self.pushed)
        sha = self._github.commit(REPOSITORY, f"Change {number}", files={f"changes/{number % 7}.txt": f"{number}\n"})
        self.pushed.append(sha)
        told = [("push", self._payloads().push(MAIN, before, sha, "ada"))]
        if ci != "none":
            told += self._ci(sha, ci)
        return [Letter(event, _json(payload), self._secret, TAKEN) for event, payload in told]

    def _ci(self, sha: str, ci: str) -> list[tuple[str, dict[str, Any]]]:
        self._world.releases.build(sha)
        run = self._github.begin_ci(REPOSITORY, sha, CHECKS)
        told = [("workflow_run", self._payloads().workflow_run("requested", run))]
        self._github.conclude_ci(
            REPOSITORY, run, "success" if ci == "green" else {CHECKS[0]: "success", CHECKS[1]: "failure"}
        )
        if ci == "green":
            self.greens.append(sha)
        told.append(("workflow_run", self._payloads().workflow_run("completed", run)))
        told.append(("check_suite", self._suite(run)))
        return told

    def _suite(self, run: WorkflowRun) -> dict[str, Any]:
        suite = next(each for each in self._repository.suites.values() if each.id == run.suite_id)
        checks: list[CheckRun] = [each for each in self._repository.checks if each.suite_id == suite.id]
        return self._payloads().check_suite(suite, checks)

    def _payloads(self) -> Payloads:
        return Payloads(self._repository, self._github.url)

    def _foul(self) -> Iterator[Letter]:
        """What must have no effect. Some of it is signed: by whoever has the secret, and sends nonsense."""
        lie = _json(self._payloads().push(MAIN, self._repository.refs[MAIN], self.evil, "mallory"))
        ours, theirs = self._secret, "another secret"
        yield Letter("push", lie, theirs, refused(401))
        yield Letter("push", lie, ours, refused(401), own={"X-Hub-Signature-256": signature(ours, lie[:-1])})
        yield Letter("push", lie, ours, refused(401), own={"X-Hub-Signature-256": ""})
        sha1 = {"X-Hub-Signature-256": "", "X-Hub-Signature": signature(ours, lie, "sha1")}
        yield Letter("push", lie, ours, refused(401), own=sha1)
        yield Letter("push", lie[: len(lie) // 2], ours, refused(400))
        yield Letter("push", b'{"zen": "without a repository"}', ours, refused(400))
        yield Letter("push", lie, ours, refused(400), own={"X-GitHub-Delivery": ""})
        yield Letter("push", lie, ours, refused(415), own={"Content-Type": "application/x-www-form-urlencoded"})
        yield Letter("push", lie + b" " * MAX_BODY_BYTES, ours, refused(413))
        elsewhere = json.loads(lie) | {"repository": {"full_name": "mallory/shop"}}
        yield Letter("push", _json(elsewhere), ours, frozenset({(202, "not used")}))
        yield Letter("issues", lie, ours, frozenset({(202, "not used")}))
        yield Letter("ping", lie, ours, frozenset({(200, "pong")}))

    # --- sending

    async def wave(self, pushes: int) -> None:
        """So many pushes with their CI, told in any order, some of it twice or replayed under another id, and foul ones between."""
        letters: list[Letter] = []
        for _ in range(pushes):
            letters += self.push(CI_OF.get(len(self.pushed) % 10, "none"))
            await asyncio.sleep(0)  # the stand-ins live in this loop, too
        again = [each for place, each in enumerate(letters) if place % 5 == 0]
        replayed = [replace(each, guid=str(uuid.uuid4())) for place, each in enumerate(letters) if place % 7 == 0]
        letters += [*again, *replayed, *self._foul(), *self._foul()]
        self._chance.shuffle(letters)
        await self.send(letters)

    async def send(self, letters: Sequence[Letter]) -> None:
        """All are sent and answered."""
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(WITHIN_S):
            self.answers += await asyncio.gather(*(self._sent(session, each) for each in letters))

    async def _sent(self, session: aiohttp.ClientSession, letter: Letter) -> tuple[Letter, tuple[int, str]]:
        async with session.post(self._url, data=letter.body, headers=letter.headers()) as answer:
            told = await answer.json()
        return letter, (answer.status, str(told.get("status", "")))

    # --- what came back

    def wrong(self) -> list[str]:
        return [
            f"{letter.event} {letter.guid}: {got}, not {set(letter.right)}"
            for letter, got in self.answers
            if got not in letter.right
        ]

    def accepted(self) -> Counter[bytes]:
        """How often each authentic body was accepted, as it should be once; the other times it was known."""
        return Counter(letter.body for letter, (_, status) in self.answers if status == "accepted")

    @property
    def authentic(self) -> set[bytes]:
        """The bodies of which at least one letter was sent as GitHub sends it."""
        return {letter.body for letter, _ in self.answers if letter.right == TAKEN}


def _json(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


# --- what is seen -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ledger_of(stage: Stage) -> Iterator[SqlStore]:
    """The bot's own database, read beside it."""
    with contextlib.closing(open_store("", data_dir=stage.world.folder, read_only=True)) as store:
        yield store


def rows(store: SqlStore, kind: type[Any]) -> list[Any]:
    return list(store.read_now(lambda ledger: ledger.find(kind)))


def runs_in(store: SqlStore) -> list[Run]:
    """The oldest first."""
    return sorted(rows(store, Run), key=lambda run: run.number)


def kept_deliveries(store: SqlStore) -> Counter[str]:
    """By their bodies."""
    return Counter(row.sha256 for row in rows(store, Delivery))


def unanswered(store: SqlStore) -> list[str]:
    """Payloads in the inbox that nobody has worked off, by their kind."""
    return [row.kind for row in rows(store, Received) if row.done_at is None]


async def end_of_githubs_own_hooks(stage: Stage) -> None:
    """From now on what is sent, and in which order, is said here."""
    for hook in stage.world.github.hooks.hooks.values():
        hook.active = False
    await stage.world.github.hooks.settled(WITHIN_S)


async def answers_well(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(url) as answer:
        return answer.status == 200


async def somebody_asks(stage: Stage) -> None:
    """A person and Kubernetes' probes get their answers."""
    seen = len(stage.ephemerals(ADA))
    outcome = ""
    while (
        outcome != "acknowledged"
    ):  # Slack gives the app three seconds; who sees that they are over types it once more
        outcome = (await stage.command(ADA, "status")).outcome
    await stage.until(
        lambda: any("dev" in said for said in stage.ephemerals(ADA)[seen:]), "the status is told", within_s=WITHIN_S
    )
    async with aiohttp.ClientSession() as session:
        for health in ("live", "ready"):
            url = f"{stage.world.bot.address()}/health/{health}"
            await stage.until_true(partial(answers_well, session, url), f"it is {health}", within_s=WITHIN_S)


async def pushes(stage: Stage, flood: Flood, store: SqlStore) -> None:
    """In four waves: while GitHub itself answers nothing, after that, while a run goes on, and while the next one does."""
    github = stage.world.github
    github.faults.add(Fault(kind="hang", times=-1))
    await asyncio.gather(flood.wave(100), somebody_asks(stage))
    github.faults.clear()
    await asyncio.gather(flood.wave(100), somebody_asks(stage))
    await stage.until(lambda: len(runs_in(store)) > 1, "a run begins", within_s=WITHIN_S)
    await asyncio.gather(flood.wave(200), somebody_asks(stage))
    await stage.until(lambda: len(runs_in(store)) > 2, "the next run begins", within_s=WITHIN_S)
    await asyncio.gather(flood.wave(100), somebody_asks(stage))


def is_asked_for(stage: Stage, commit: str) -> bool:
    return any(commit in asked.path for asked in stage.world.github.requests)


async def is_looked_at_once_more(stage: Stage, flood: Flood) -> None:
    """Whatever forge makes of the branch as it is now, it has done before this returns: one service's looks come one after the other."""
    for _ in range(2):
        await flood.send(flood.push("none"))
        tip = flood.pushed[-1]
        await stage.until(partial(is_asked_for, stage, tip), f"GitHub is asked for the CI of {tip}", within_s=WITHIN_S)


def check_few(runs: Sequence[Run], flood_s: float) -> None:
    """At most: the one before the flood, one for every observation that has room in it and one more, and after it the newest.

    For no two go on at the same time, none is shorter than its observation, and nothing is left once the newest was opened. A run that
    a newer commit has overtaken before it was through is none: on a slow machine some may be.
    """
    for one, other in pairwise(runs):
        assert one.ended_at is not None
        assert one.ended_at <= other.created_at, "two runs of a service at the same time"
    through = [run for run in runs if run.ending_code != SUPERSEDED]
    assert {run.ending for run in through} == {"completed"}
    assert all(run.ended_at and run.ended_at - run.created_at >= timedelta(seconds=OBSERVATION_S) for run in through)
    assert len(through) <= 3 + flood_s // OBSERVATION_S


def check_order(runs: Sequence[Run], flood: Flood) -> None:
    """Only what is green, from older to newer, each once, to the newest; the first is of before the flood."""
    greens = [sha[:12] for sha in flood.greens]
    deployed = [greens.index(run.version) for run in runs[1:]]
    assert deployed == sorted(set(deployed))
    assert (runs[-1].version, runs[-1].ending) == (greens[-1], "completed")
    assert {run.requester for run in runs} == {FORGE.id}


def check_what_is_kept(stage: Stage, flood: Flood, before: Counter[str]) -> None:
    """When the bot has ended: no payload is unanswered, every authentic delivery was kept once and no other, and the audit log verifies."""
    with ledger_of(stage) as store:
        assert unanswered(store) == []
        assert kept_deliveries(store) - before == Counter(hashlib.sha256(body).hexdigest() for body in flood.authentic)
        skipped = {row.subject for row in rows(store, Sealed) if row.action == "auto_deploy.skipped"}
        assert runs_in(store)[-1].id in skipped
        key = load_private_key(stage.world.kept.audit_key).public_key()
        found = verify(store, [key], DirectoryPlace(stage.world.folder / "checkpoints").found())
        assert found.ok, found.sentence


async def test_five_hundred_pushes_in_a_minute_lead_to_few_deployments_and_the_newest_green_one_running(
    stage: Stage,
) -> None:
    with ledger_of(stage) as store:
        await stage.until(
            lambda: [run.ending for run in runs_in(store)] == ["completed"], "a first one", within_s=WITHIN_S
        )
        await end_of_githubs_own_hooks(stage)
        before = kept_deliveries(store)
        flood = Flood(stage)
        began = datetime.now(UTC)
        await pushes(stage, flood, store)
        flood_s = (datetime.now(UTC) - began).total_seconds()
        assert len(flood.pushed) == PUSHES
        newest = flood.greens[-1][:12]
        assert newest != flood.pushed[-1][:12]

        def is_done() -> bool:
            return [(run.version, run.state) for run in runs_in(store)[-1:]] == [(newest, RunState.ENDED)]

        await stage.until(is_done, f"{newest} is deployed", within_s=WITHIN_S)
        await stage.until(lambda: stage.world.serves("dev", newest), "dev serves it")
        runs = runs_in(store)
        check_few(runs, flood_s)
        check_order(runs, flood)
        await is_looked_at_once_more(stage, flood)
        assert runs_in(store) == runs
        await stage.until(lambda: unanswered(store) == [], "every payload is answered", within_s=WITHIN_S)

    assert flood.wrong() == []
    assert flood.accepted() == dict.fromkeys(flood.authentic, 1)
    await stage.world.bot.stop()
    check_what_is_kept(stage, flood, before)
