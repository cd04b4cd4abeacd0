"""Backups and restore drills by the clock: each occurrence begins one run, over restarts too, and people are told of one that didn't begin.

One task for all databases: it sleeps until the next occurrence. What was begun is a mark in the database, kept with the run itself. It must
never begin a second run where one is under way, nor catch up more than the newest of several that were missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from engine.answers import Answer
from engine.journal import Turn
from engine.lanes import BACKUP, BASE_BACKUP, DRILL, LABELS
from engine.lifecycle import open_run
from engine.notes import Note, Tone
from engine.occurrences import newest_due, next_occurrence
from engine.planned import Target, prepare, under_way_already
from engine.ports import Ledger, Store
from engine.queue import ahead_of
from engine.records import Mark, Outgoing, Run, RunState
from engine.rounds import Rounds
from engine.settings import Settings
from runbook.errors import StoreUnavailable
from runbook.moments import told
from runbook.plan import to_json
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Procedure, Request
from runbook.values import FORGE, Environment, Role
from runbook.verdicts import Outcome
from runbook.wording import duration

TRY_AGAIN = timedelta(minutes=5)
"""What could not begin is tried again so long afterwards, until it has begun."""

REASON = "by schedule"


@dataclass(frozen=True)
class Schedule:
    """One procedure of one database by one rule. name: of its marks."""

    service: str
    environment: Environment
    procedure: str
    rule: str
    zone: ZoneInfo

    @property
    def name(self) -> str:
        return f"schedule:{self.service}:{self.environment.value}:{self.procedure}"

    @property
    def told(self) -> str:
        """The mark of the occurrence of which people were told that it was missed."""
        return f"schedule-told:{self.service}:{self.environment.value}:{self.procedure}"

    @property
    def words(self) -> str:
        return f"{LABELS[self.procedure]} of {self.service} on {self.environment.value}"


class Schedules:
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
        self._rounds = Rounds("schedules", ports.clock, self._look)
        self._again: dict[str, datetime] = {}
        self.shown: Callable[[], None] = lambda: None
        """Called when there is something new to show."""

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        await self._rounds.stop()

    def ring(self) -> None:
        """The policy or the clock has changed."""
        self._rounds.ring()

    async def _look(self) -> datetime | None:
        """Begins what is due; returns when the next thing is."""
        safely, schedules = self._rounds.safely, schedules_of(self._settings, self._ports)
        moments = [await safely(self._look_at(schedule), schedule.name) for schedule in schedules]
        moments.append(await safely(self._tell_late()))
        return min((at for at in moments if at is not None), default=None)

    # --- one schedule -----------------------------------------------------------------------------------------------

    async def _look_at(self, schedule: Schedule) -> datetime | None:
        now = self._ports.clock.now()
        last = await self._last(schedule, now)
        due = newest_due(schedule.rule, schedule.zone, last, now)
        if due is None:
            return next_occurrence(schedule.rule, schedule.zone, now)
        again = self._again.get(schedule.name)
        if again is None or again <= now:
            await self._begin(schedule, *due)
        waiting = self._again.get(schedule.name)
        following = next_occurrence(schedule.rule, schedule.zone, now)
        return min((at for at in (waiting, following) if at is not None), default=None)

    async def _last(self, schedule: Schedule, now: datetime) -> datetime:
        """The occurrence that was begun last; a schedule that is seen for the first time begins with its next one."""
        mark = await self._store.read(lambda ledger: ledger.get(Mark, schedule.name))
        if mark is not None:
            return mark.at
        await self._store.write(lambda ledger: ledger.save(Mark(name=schedule.name, at=now)))
        return now

    async def _begin(self, schedule: Schedule, occurrence: datetime, count: int) -> None:
        procedure = self._procedures(schedule.procedure)
        if procedure is None:
            return
        request = Request(
            service=schedule.service, environment=schedule.environment, version=LABELS[schedule.procedure]
        )
        if not self._store.healthy:
            raise StoreUnavailable("trouble", "nothing new is started while the store is in trouble")
        prepared = await prepare(Target(request, procedure), self._settings.current, self._ports)

        def begin(ledger: Ledger) -> str:
            return self._begun(self._turn(ledger), schedule, occurrence, count, request, prepared)

        run = await self._store.write(begin)
        if run:
            self._again.pop(schedule.name, None)
            self._wake(run)
        else:
            self._again[schedule.name] = self._ports.clock.now() + TRY_AGAIN
        self.shown()

    def _begun(
        self,
        turn: Turn,
        schedule: Schedule,
        occurrence: datetime,
        count: int,
        request: Request,
        prepared: Prepared | Answer,
    ) -> str:
        """In one transaction: the run (or the one that is under way for it) and the mark. Returns its id, or nothing."""
        mark = turn.ledger.get(Mark, schedule.name)
        late_s = (turn.now - occurrence).total_seconds()
        missed = late_s > turn.setting.policy.backups.missed_after_s
        if (same := under_way_already(turn, request, schedule.procedure)) is not None:
            if missed or (turn.now - same.created_at).total_seconds() > turn.setting.policy.backups.missed_after_s:
                self._tell_missed(turn, schedule, occurrence, f"{same.id} has not ended and stands in its way")
            turn.audit("schedule.skipped", schedule.name, what=schedule.words, why=f"{same.id} is under way",
                       evidence={"occurrence": occurrence.isoformat()})  # fmt: skip
            turn.ledger.save(Mark(name=schedule.name, at=occurrence))
            return same.id
        if isinstance(prepared, Answer) or prepared.plan is None:
            if missed:
                self._tell_missed(turn, schedule, occurrence, _why_not(prepared))
            return ""
        if count > 1 or missed:
            if missed:
                due = f"{count} were due since the last one" if count > 1 else "it is late"
                self._tell_missed(
                    turn, schedule, occurrence, f"forge could not begin it in time; {due}, and one is begun now"
                )
            turn.audit("schedule.caught_up", schedule.name, what=schedule.words, evidence={
                "occurrence": occurrence.isoformat(), "missed": count - 1, "since": mark.at.isoformat() if mark else None,
            })  # fmt: skip
        run = open_run(turn, request, prepared.plan, FORGE, f"{REASON}, due {told(occurrence)}")
        turn.ledger.save(Mark(name=schedule.name, at=occurrence))
        return run.id

    def _tell_missed(self, turn: Turn, schedule: Schedule, occurrence: datetime, why: str) -> None:
        """To the Database Owner in the release channel, once an occurrence."""
        mark = turn.ledger.get(Mark, schedule.told)
        if mark is not None and mark.at >= occurrence:
            return
        turn.ledger.save(Mark(name=schedule.told, at=occurrence))
        turn.audit("schedule.missed", schedule.name, what=schedule.words, why=why,
                   evidence={"occurrence": occurrence.isoformat()})  # fmt: skip
        note = Note(
            tone=Tone.ASK, title=f"MISSED: the {schedule.words}, due {told(occurrence)}",
            text=f"{_capital(why)}.\n{_remedy(schedule)}", mention=turn.members(Role.DATABASE_OWNER),
        )  # fmt: skip
        turn.ledger.add(
            Outgoing(
                subject=f"note:{schedule.name}:{occurrence.isoformat()}", kind="note", payload=to_json(note),
                created_at=turn.now,
            )
        )  # fmt: skip

    # --- runs that don't come to their turn -------------------------------------------------------------------------

    async def _tell_late(self) -> datetime | None:
        """A run of ours that waits too long in its queue has not begun: people are told, once. Returns when the next one is late."""

        def look(ledger: Ledger) -> tuple[list[Run], datetime | None]:
            turn = self._turn(ledger)
            late_s = timedelta(seconds=turn.setting.policy.backups.missed_after_s)
            queued = ledger.find(Run, state=RunState.QUEUED, requester=FORGE.id, order="number")
            ours = [run for run in queued if run.procedure in (BACKUP, BASE_BACKUP, DRILL)]
            due = [run for run in ours if run.created_at + late_s <= turn.now and not _is_told(ledger, run)]
            later = [run.created_at + late_s for run in ours if run.created_at + late_s > turn.now]
            return due, min(later, default=None)

        due, later = await self._store.read(look)
        for run in due:
            await self._store.write(partial(self._tell_queued, run))
            self.shown()
        return later

    def _tell_queued(self, run: Run, ledger: Ledger) -> None:
        turn = self._turn(ledger)
        current = turn.run(run.id)
        if current is None or current.state != RunState.QUEUED:
            return
        behind = ahead_of(turn, current)
        waits = duration(round((turn.now - current.created_at).total_seconds()))
        text = f"It has waited for {waits}{f' behind {behind.id}' if behind is not None else ''}."
        if behind is not None:
            text += f"\n`/forge status {behind.id}` shows what that does; `/forge cancel {behind.id}` ends it."
        title = f"{current.id}: the {current.version} of {current.service} on {current.environment} has not begun"
        note = Note(tone=Tone.ASK, title=title, text=text, mention=turn.members(Role.DATABASE_OWNER))
        turn.note(current, "late", note, broadcast=True)
        turn.audit("schedule.missed", current.id, what=title, why=text.partition("\n")[0])

    def _turn(self, ledger: Ledger) -> Turn:
        return Turn(ledger, self._ports.clock.now(), self._settings.current)


def schedules_of(settings: Settings, ports: Ports) -> Iterator[Schedule]:
    """Of every database that is configured, by the policy's rules; an empty rule begins nothing by itself. Base backups begin by themselves
    only where WAL is received: without it they need a right that nothing else needs, and serve no moment but their own."""
    policy = settings.current.policy.backups
    if ports.repository is None or ports.backup_ledger is None:
        return
    rules = {BACKUP: policy.full, BASE_BACKUP: policy.base}
    if ports.restore_host is not None:
        rules[DRILL] = policy.drill
    zone = ZoneInfo(policy.time_zone)
    for service, environment in sorted(ports.databases, key=lambda place: (place[1].value, place[0])):
        for procedure, rule in rules.items():
            if rule and (procedure != BASE_BACKUP or (service, environment) in ports.archived):
                yield Schedule(service, environment, procedure, rule, zone)


def _is_told(ledger: Ledger, run: Run) -> bool:
    return ledger.count(Outgoing, subject=f"note:{run.id}:late") > 0


def _why_not(prepared: Prepared | Answer) -> str:
    if isinstance(prepared, Answer):
        return prepared.text.rstrip(".")
    bad = [verdict for verdict in prepared.verdicts if verdict.outcome is not Outcome.PASS]
    return "; ".join(verdict.reason for verdict in bad) or "it can't begin"


def _remedy(schedule: Schedule) -> str:
    where = f"{schedule.environment.value} --service {schedule.service}"
    typed = {
        BACKUP: f"backup run {where}",
        BASE_BACKUP: f"backup run {where} --kind base",
        DRILL: f"backup drill {where}",
    }
    return f"Once the cause is gone it begins by itself; `/forge {typed[schedule.procedure]}` begins it at once."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
