"""What is green on a service's branch is deployed to dev by itself; a burst of commits ends with the newest, over restarts too.

One task for all services. A webhook only rings: GitHub is asked what is on the branch and what is green, at start and every
`policy.dev.poll_s` as well. It must never believe a message, open a second run of a commit, or open one beside another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from engine import automatic_runs as rows
from engine.automatic_runs import DEV, PROCEDURE, SHORT, Standing
from engine.changes import look_up_changes
from engine.journal import Turn
from engine.notes import Note, Tone
from engine.paces import Pace, growing_pause_s
from engine.ports import Ledger, Store
from engine.records import Run, RunState
from engine.rounds import Rounds
from engine.settings import Settings
from runbook.ci_checks import ci_checks
from runbook.errors import ForgeError, Permanent, StoreUnavailable, Temporary
from runbook.policy import Service
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Procedure, Request
from runbook.rules.ci import judge_ci
from runbook.rules.superseding import AskCi, AwaitCi, CiState, Decision, Deploy, Place, Supersede, next_commit
from runbook.values import Role
from runbook.verdicts import Outcome, Verdict
from runbook.wording import duration

log = structlog.get_logger("forge.auto_deploy")
T = TypeVar("T")

BLOCKED_LOOK_S = 60.0
"""How often the own rows are looked at while a lock or a freeze is in the way: nobody outside is asked for it."""

PENDING_LOOK_S = 30.0
LONGEST_ASKING_S = 60.0
"""Real seconds: for what is on the branch with its CI, and for a plan."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
REFUSED_PAUSE_S = 15.0
PATIENCE_S = 30 * 60.0
"""So long a trouble that may pass by itself, or a refused plan, is nobody's business."""

AWAITED = frozenset({"image.missing"})
"""Codes of refusals that are expected to pass by themselves."""

MOST_WAITED_S = 2 * 3600.0
"""What an outside system may ask to wait: garbage in a header must not stop dev for a year."""


class AutoDeploys:
    """shown: called when there is something new to show."""

    def __init__(
        self,
        store: Store,
        ports: Ports,
        settings: Settings,
        procedures: Callable[[str], Procedure | None],
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._ports = ports
        self._settings = settings
        self._procedures = procedures
        self._wake = wake
        self._rounds = Rounds("auto_deploy", ports.clock, self._look)
        self._paces: dict[str, Pace] = {}
        self._since: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.shown: Callable[[], None] = lambda: None

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        """Nothing new begins; what was opened is taken up by the next start."""
        await self._rounds.stop()

    # --- rings ------------------------------------------------------------------------------------------------------

    def ring(self, repository: str) -> None:
        """Something may have happened in a repository, as the configuration writes its name."""
        now, settle_s = self._ports.clock.now(), self._settings.current.policy.dev.settle_s
        for service in self._settings.current.services.values():
            if service.repository == repository:
                self._pace(service.name).ring(now, settle_s)
        self._rounds.ring()

    def ring_all(self) -> None:
        """The configuration or the clock has changed."""
        self._paces.clear()
        self._rounds.ring()

    def freed(self, environment: str, service: str | None) -> None:
        """A lock went or a run ended. service None: of every service."""
        if environment != DEV.value:
            return
        for name in self._settings.current.services if service is None else (service,):
            self._pace(name).ring_at_once(self._ports.clock.now())
        self._rounds.ring()

    def run_changed(self, run: Run) -> None:
        """One that is held may have been superseded while it ran."""
        if run.environment == DEV.value and run.state == RunState.HELD:
            self.freed(run.environment, run.service)

    def _pace(self, service: str) -> Pace:
        return self._paces.setdefault(service, Pace())

    # --- the rounds -------------------------------------------------------------------------------------------------

    async def _look(self) -> datetime | None:
        """Looks at every service that is due; returns when the next one is."""
        services = list(services_of(self._settings, self._ports))
        now = self._ports.clock.now()
        due = [service for service in services if self._pace(service.name).next_look(now) <= now]
        await asyncio.gather(*(self._visit(service) for service in due))
        now = self._ports.clock.now()
        return min((self._pace(service.name).next_look(now) for service in services), default=None)

    async def _visit(self, service: Service) -> None:
        pace = self._pace(service.name)
        pace.begin()
        pace.due = await self._rounds.safely(self._next_visit(service, pace), service.name)

    async def _next_visit(self, service: Service, pace: Pace) -> datetime:
        """Raises StoreUnavailable."""
        try:
            after_s = await self._look_at(service)
        except (Temporary, Permanent) as error:
            after_s = await self._in_trouble(service, pace, error)
        return self._ports.clock.now() + timedelta(seconds=after_s)

    # --- one service ------------------------------------------------------------------------------------------------

    async def _look_at(self, service: Service) -> float:
        """Seconds until the next look. Raises Temporary, Permanent, StoreUnavailable."""
        dev = self._settings.current.policy.dev
        if not self._store.healthy:
            raise StoreUnavailable("trouble", "nothing new is started while the store is in trouble")
        stands = await self._read(lambda turn: rows.standing(turn, service.name))
        if stands.blocked:
            return BLOCKED_LOOK_S
        if stands.place is Place.BUSY:
            self._remind(stands)
            return dev.poll_s
        decision = await _in_time(self._decision(service, stands))
        if isinstance(decision, Deploy):
            after_s = await self._deploy(service, decision)
        elif isinstance(decision, Supersede):
            await self._supersede(stands, decision)
            after_s = dev.poll_s
        else:
            self._remind(stands)
            after_s = self._awaited_s(service, decision)
        if stands.trouble_since is not None:
            await self._write(lambda turn: rows.forget_trouble(turn, service.name))
        return after_s

    async def _decision(self, service: Service, stands: Standing) -> Decision:
        assert self._ports.source is not None  # noqa: S101 - services_of has looked
        found = await self._ports.source.commits(service.repository, service.branch)
        if not found:
            raise Permanent("github", "no_branch", f"{service.repository} has no branch {service.branch}",
                            f"Correct services.{service.name}.branch, or push to it")  # fmt: skip
        commits = [each.sha for each in found]
        attempted = await self._read(lambda turn: rows.attempted(turn, service.name, commits))
        ci: dict[str, CiState] = {}
        while isinstance(decision := next_commit(commits, ci, attempted, stands.place), AskCi):
            ci[decision.commit] = await self._ci_state(service, decision.commit)
        return decision

    async def _ci_state(self, service: Service, commit: str) -> CiState:
        checks = await ci_checks(self._ports, service.repository, commit)
        verdict = judge_ci(checks, service.required_checks, commit)
        states = {Outcome.PASS: CiState.GREEN, Outcome.FAIL: CiState.RED}
        return states.get(verdict.outcome, CiState.PENDING)

    def _awaited_s(self, service: Service, decision: Decision) -> float:
        """A CI that takes longer than anybody waits for it is asked as seldom as everything else."""
        dev = self._settings.current.policy.dev
        if not isinstance(decision, AwaitCi):
            return dev.poll_s
        waited_s = self._lasted_s(service, "ci", decision.commits[0])
        return min(PENDING_LOOK_S, dev.poll_s) if waited_s < dev.ci_wait_s else dev.poll_s

    def _remind(self, stands: Standing) -> None:
        """A commit of doubtful end may have opened or left a run and woken nobody."""
        run = stands.run
        if run is not None and (run.state == RunState.QUEUED or run.interrupt is not None):
            self._wake(run.id)

    async def _supersede(self, stands: Standing, decision: Supersede) -> None:
        run = stands.run
        assert run is not None  # noqa: S101 - it is what stands in the way
        if await self._write(lambda turn: rows.supersede(turn, run.id, decision.commit)):
            log.info("auto_deploy.superseded", run=run.id, by=decision.commit)
            self._wake(run.id)
            self.shown()

    async def _deploy(self, service: Service, decision: Deploy) -> float:
        setting, procedure = self._settings.current, self._procedures(PROCEDURE)
        if procedure is None:
            return setting.policy.dev.poll_s
        request = Request(service=service.name, environment=DEV, version=decision.commit)
        prepared = await _in_time(procedure(request, setting, self._ports))
        plan = prepared.plan
        if plan is None:
            return await self._refused(service, decision.commit, prepared)
        found = await look_up_changes(self._ports, setting, plan)
        why = f"CI is green on {service.branch}"
        run = await self._write(lambda turn: rows.begin(turn, request, plan, decision, found, why))
        if run:
            log.info("auto_deploy.opened", run=run, commit=decision.commit, skipped=len(decision.superseded))
            self._wake(run)
            self.shown()
        return setting.policy.dev.poll_s if run else PENDING_LOOK_S

    # --- what goes wrong --------------------------------------------------------------------------------------------

    async def _refused(self, service: Service, commit: str, prepared: Prepared) -> float:
        """An image is often pushed after CI is green: it is awaited. Told once: when it doesn't come, and anything else at once."""
        bad = tuple(verdict for verdict in prepared.verdicts if verdict.outcome is not Outcome.PASS)
        codes = {verdict.code for verdict in bad}
        log.info("auto_deploy.refused", service=service.name, commit=commit, codes=sorted(codes))
        lasted_s = self._lasted_s(service, "refused", commit)
        if lasted_s < PATIENCE_S and codes <= AWAITED:
            return min(growing_pause_s(lasted_s, REFUSED_PAUSE_S, LONGEST_PAUSE_S), PATIENCE_S - lasted_s)
        await self._tell(service, f"refused:{commit}", _refusal_note(service, commit, bad))
        return self._settings.current.policy.dev.poll_s

    async def _in_trouble(self, service: Service, pace: Pace, error: ForgeError) -> float:
        """What may pass is asked again with growing pauses, no sooner than was asked for, and told once when it lasts."""
        since = await self._write(lambda turn: rows.note_trouble(turn, service.name))
        now = self._ports.clock.now()
        lasted_s = (now - since).total_seconds()
        pause_s = self._settings.current.policy.dev.poll_s
        if isinstance(error, Temporary):
            asked_s = min(error.retry_after_s or 0.0, MOST_WAITED_S)
            pause_s = max(growing_pause_s(lasted_s, FIRST_PAUSE_S, LONGEST_PAUSE_S), asked_s)
            pace.not_before = now + timedelta(seconds=pause_s)
        log.warning("auto_deploy.trouble", service=service.name, code=error.code, again_in_s=pause_s)
        kind = "temporary" if isinstance(error, Temporary) else "permanent"
        if kind == "permanent" or lasted_s >= PATIENCE_S:
            await self._tell(service, f"{kind}:{since.isoformat()}", self._trouble_note(service, error, lasted_s))
        return pause_s

    def _trouble_note(self, service: Service, error: ForgeError, lasted_s: float) -> Note:
        for_long = f" It has lasted for {duration(round(lasted_s))}." if lasted_s >= PATIENCE_S else ""
        remedy = _sentence(error.remedy or "It is asked again by itself")
        return Note(
            tone=Tone.ASK, title=f"Nothing of {service.name} is deployed to dev by itself",
            text=f"{_sentence(error.cause)}{for_long}\n{remedy} Once it is mended, what is newest and green is deployed.",
            mention=self._settings.current.members(Role.RELEASE_ENGINEER),
        )  # fmt: skip

    async def _tell(self, service: Service, subject: str, note: Note) -> None:
        if await self._write(lambda turn: rows.tell_once(turn, service.name, subject, note)):
            self.shown()

    def _lasted_s(self, service: Service, what: str, commit: str) -> float:
        """For how long this has been so of this commit, as far as this process knows; another commit begins anew."""
        now, key = self._ports.clock.now(), (service.name, what)
        if self._since.get(key, ("", now))[0] != commit:
            self._since[key] = (commit, now)
        return (now - self._since[key][1]).total_seconds()

    # --- the store --------------------------------------------------------------------------------------------------

    async def _read(self, look: Callable[[Turn], T]) -> T:
        return await self._store.read(partial(self._turned, look))

    async def _write(self, change: Callable[[Turn], T]) -> T:
        return await self._store.write(partial(self._turned, change))

    def _turned(self, work: Callable[[Turn], T], ledger: Ledger) -> T:
        return work(Turn(ledger, self._ports.clock.now(), self._settings.current))


def services_of(settings: Settings, ports: Ports) -> Iterator[Service]:
    """Those that are deployed to dev by themselves: dev is configured for them, and GitHub can be asked for their branch."""
    if ports.source is None or DEV not in ports.clusters or not settings.current.policy.dev.auto_deploy:
        return
    for _, service in sorted(settings.current.services.items()):
        if DEV in service.urls:
            yield service


async def _in_time(asking: Awaitable[T]) -> T:
    """One service's slow answers hold up no other's. Only what is asked is given up half way, and never what is written. Raises Temporary."""
    try:
        async with asyncio.timeout(LONGEST_ASKING_S):
            return await asking
    except TimeoutError:
        cause = f"no whole answer came within {duration(LONGEST_ASKING_S)}"
        raise Temporary("github", "slow", cause, "It is asked again by itself; see githubstatus.com") from None


def _refusal_note(service: Service, commit: str, bad: tuple[Verdict, ...]) -> Note:
    why = _sentence("; ".join(verdict.reason for verdict in bad) or "its plan can't be made")
    again = f"It is tried again; `/forge deploy dev {commit[:SHORT]} --service {service.name}` tries it at once."
    title = f"{commit[:SHORT]} of {service.name} is green and can't be deployed to dev"
    return Note(tone=Tone.WARN, title=title, text=f"{why}\n{again}", verdicts=bad)


def _sentence(text: str) -> str:
    if text.partition(" ")[0].isalpha():  # a name such as acme/shop stays as it is written
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
