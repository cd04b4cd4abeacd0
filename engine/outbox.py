"""The outbox: Slack is a view of the database. Messages go out in order, once, rendered from the rows as they are when sent.

The engine never waits for it. What is doubtful after a crash or a time-out is looked for by its id before it is posted again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from engine.incidents import NOTE as INCIDENT_NOTE
from engine.incidents import VIEW as INCIDENT
from engine.incidents import thread_of
from engine.pictures import PICTURE, PICTURES, PRIVATE, PRIVATE_NOTE, Pictures, in_words, is_hopeless
from engine.ports import Chat, Ledger, Message, Painter, Placed, Renderer, Store
from engine.records import Outgoing, Posted, Received
from engine.report import REPORT
from engine.report_sending import Reports
from engine.settings import Settings
from engine.wakes import wait_for_bell
from runbook.errors import ForgeError, Permanent, StoreUnavailable, Temporary
from runbook.ports import Clock

log = structlog.get_logger("forge.outbox")

LONGEST_PAUSE_S = 60.0
TRIES = 3
"""Of a message whose rendering or sending fails by a bug."""

PLAIN = "without blocks: "
CONTENT_FAULTS = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "invalid_arguments",
        "metadata_too_large",
    }
)
"""Slack's refusals that are about the message itself; everything else (a missing channel, a revoked token) holds for all."""

LOOK_BACK = timedelta(minutes=5)
HEADLINE_PAUSE = timedelta(seconds=5)
"""How often a report looks whether the thread is there that it belongs into."""

LANES = {
    "channel": ["view", "note", PICTURE],
    "incidents": [INCIDENT, INCIDENT_NOTE],
    "reports": [REPORT],
    "answers": ["answer"],
    "private": list(PRIVATE),
}
FILES = (*PICTURES, REPORT)

VIEWS = ("view", INCIDENT)
"""Drawn again in place; everything else is posted once."""

AT_MOST_ONCE = ("answer", *PRIVATE)
"""Nothing can be looked up behind a response address, nor in direct messages without the right to read them."""


@dataclass(frozen=True)
class Letter:
    """One message about to be sent. place: where its subject stands already; thread: the headline's place, for what belongs into it."""

    row: Outgoing
    message: Message | None
    place: Posted | None
    thread: Posted | None
    doubtful: bool
    address: str = ""


class Outbox:
    """Lanes: what the channel sees, strictly in order; incidents, which may have a channel of their own; answers to callers, which overtake
    both; reports, which take their time; pictures for one person."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chat: Chat,
        renderer: Renderer,
        channel: Callable[[], str],
        *,
        painter: Painter,
        incidents: Callable[[], str] | None = None,
        settings: Callable[[], Settings],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chat = chat
        self._renderer = renderer
        self._channel = channel
        self._incidents = incidents or channel
        self._lanes: list[asyncio.Task[None]] = []
        self._pictures = Pictures(chat, painter)
        self._reports = Reports(store, clock, chat, renderer, painter, settings)
        self._bell = {lane: asyncio.Event() for lane in LANES}
        self.trouble = ""

    async def start(self) -> None:
        self._lanes = [asyncio.create_task(self._lane(name), name=f"outbox {name}") for name in self._bell]

    async def stop(self, drain_s: float = 3.0) -> None:
        """Gives what is pending a moment, then stops; the rest is sent after the next start."""
        deadline = asyncio.get_running_loop().time() + drain_s
        while await self._backlog() and not self.trouble and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def ring(self) -> None:
        """There may be something to send."""
        for bell in self._bell.values():
            bell.set()

    async def _backlog(self) -> int:
        """None that could be sent, where the store can't be read."""
        try:
            return await self._store.read(lambda ledger: ledger.count(Outgoing, state=["pending", "sending"]))
        except StoreUnavailable as error:
            log.error("outbox.store", code=error.code)
            return 0

    async def _lane(self, lane: str) -> None:
        while True:
            bell = self._bell[lane]
            bell.clear()
            try:
                pause_s = await self._send_all(lane)
            except StoreUnavailable as error:
                log.error("outbox.store", code=error.code)
                pause_s = 1.0
            until = None if pause_s is None else self._clock.now() + timedelta(seconds=pause_s)
            await wait_for_bell(bell, self._clock, until)

    async def _send_all(self, lane: str) -> float | None:
        """Until nothing is due. Returns the seconds until something is, or None."""
        while True:
            row, due_s = await self._store.read(partial(_next, lane=lane, now=self._clock.now()))
            if row is None:
                return due_s
            try:
                letter = await self._store.write(partial(self._prepare, row=row))
                pause_s = await self._send(letter) if letter is not None else None
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a message that breaks the code must not silence all behind it
                pause_s = await self._broken(row, error)
            if pause_s is not None:
                return pause_s

    async def _broken(self, row: Outgoing, error: Exception) -> float | None:
        """Tried a few times more, then dropped: the next wish to show the same is a row of its own."""
        log.error("outbox.unforeseen", subject=row.subject, exc_info=error)

        def postpone(ledger: Ledger) -> float | None:
            current = ledger.get(Outgoing, row.id) or row
            # Not of the present row: that counts this try already where its rendering went well.
            attempts = row.attempts + 1
            if attempts >= TRIES:
                _drop(ledger, replace(current, attempts=attempts, error="outbox.unforeseen"))
                return None
            pause_s = 2.0**attempts
            again = self._clock.now() + timedelta(seconds=pause_s)
            ledger.save(replace(current, attempts=attempts, not_before=again, error="outbox.unforeseen"))
            return pause_s

        return await self._store.write(postpone)

    def _prepare(self, ledger: Ledger, row: Outgoing) -> Letter | None:
        """Marks the row as being sent, so that a crash from here on leaves it doubtful, and renders it."""
        current = ledger.get(Outgoing, row.id)
        if current is None or current.state not in ("pending", "sending"):
            return None
        doubtful = current.state == "sending"
        if doubtful and current.kind in AT_MOST_ONCE:
            ledger.save(replace(current, state="dropped", error="its arrival is doubtful after a restart"))
            return None
        now = self._clock.now()
        if current.kind == REPORT and _awaits_headline(ledger, current):
            ledger.save(replace(current, not_before=now + HEADLINE_PAUSE))
            return None
        if current.kind in FILES:
            return self._letter(ledger, current, doubtful=doubtful)
        message = self._renderer.render(ledger, current, now)
        if message is not None and current.error.startswith(PLAIN):
            message = Message(message.text)
        place = ledger.get(Posted, current.subject)
        if message is None or (place is not None and _is_shown(current, place, message, doubtful=doubtful)):
            ledger.save(replace(current, state="sent", sent_at=now))
            return None
        return self._letter(ledger, current, message, place, doubtful=doubtful)

    def _letter(
        self,
        ledger: Ledger,
        current: Outgoing,
        message: Message | None = None,
        place: Posted | None = None,
        *,
        doubtful: bool,
    ) -> Letter:
        row = replace(current, state="sending", attempts=current.attempts + 1)
        ledger.save(row)
        thread = _thread(ledger, row)
        address = ""
        if row.kind == "answer":
            received = ledger.get(Received, (row.payload or {}).get("received"))
            address = str((received.payload or {}).get("response_url", "")) if received is not None else ""
        return Letter(row, message, place, thread, doubtful or row.error.endswith(".doubtful"), address)

    async def _send(self, letter: Letter) -> float | None:
        """None: done with this one. Else the lane pauses for so many seconds."""
        try:
            placed = await self._deliver(letter)
        except (Temporary, Permanent) as error:
            return await self._not_delivered(letter, error)
        self.trouble = ""
        await self._store.write(lambda ledger: self._sent(ledger, letter, placed))
        return None

    async def _not_delivered(self, letter: Letter, error: Temporary | Permanent) -> float | None:
        if is_hopeless(letter.row, error):
            log.warning("outbox.in_words", subject=letter.row.subject, code=error.code, cause=error.cause)
            self._pictures.forget(letter.row)
            await self._store.write(lambda ledger: ledger.save(in_words(letter.row, error)))
            self.ring()  # as a note it stands in another lane
            return None
        if isinstance(error, Permanent):
            return await self._refused(letter, error)
        pause_s = error.retry_after_s or min(2.0 ** min(letter.row.attempts, 6), LONGEST_PAUSE_S)
        await self._postpone(letter, error, pause_s)
        return pause_s

    async def _deliver(self, letter: Letter) -> Placed | None:
        row, message = letter.row, letter.message
        if row.kind in PICTURES:
            thread_ts = letter.thread.ts if letter.thread is not None else ""
            await self._pictures.deliver(row, self._channel(), thread_ts, doubtful=letter.doubtful)
            return None
        if row.kind == REPORT:
            thread_ts = letter.thread.ts if letter.thread is not None else ""
            await self._reports.deliver(row, self._channel(), thread_ts, doubtful=letter.doubtful)
            return None
        if message is None:
            return None
        if row.kind == PRIVATE_NOTE:
            return await self._chat.post(row.payload["user"], message, _message_id(row))
        if row.kind == "answer":
            if letter.address:
                await self._chat.respond(letter.address, message)
            return None
        if letter.place is not None:
            await self._chat.update(letter.place.channel, letter.place.ts, message)
            return Placed(letter.place.channel, letter.place.ts, letter.place.permalink)
        channel = self._incidents() if row.kind in LANES["incidents"] else self._channel()
        thread_ts = letter.thread.ts if letter.thread is not None else ""
        if row.kind == INCIDENT_NOTE and letter.thread is not None:
            channel = letter.thread.channel  # where its card stands, whatever the configuration says by now
        if letter.doubtful:
            since = row.created_at - LOOK_BACK
            found = await self._chat.find(channel, _message_id(row), thread_ts=thread_ts, since=since)
            if found is not None:
                if row.kind in VIEWS:  # it may have been posted with older words than those that are noted as shown
                    await self._chat.update(found.channel, found.ts, message)
                return found
        broadcast = row.broadcast or row.subject.startswith(("approval:", "override:"))
        return await self._chat.post(
            channel, message, _message_id(row), thread_ts=thread_ts, broadcast=broadcast and bool(thread_ts)
        )

    def _sent(self, ledger: Ledger, letter: Letter, placed: Placed | None) -> None:
        now, row = self._clock.now(), letter.row
        ledger.save(replace(row, state="sent", sent_at=now, error=""))
        if placed is not None and letter.message is not None:
            ledger.save(
                Posted(
                    subject=row.subject, run=row.run, channel=placed.channel, ts=placed.ts, permalink=placed.permalink,
                    thread_ts=letter.thread.ts if letter.thread is not None else "", rendered=_hash(letter.message),
                    posted_at=letter.place.posted_at if letter.place is not None else now,
                )
            )  # fmt: skip

    async def _postpone(self, letter: Letter, error: ForgeError, pause_s: float) -> None:
        """state stays `sending` where the message may have arrived, by this try or by one before it: it is looked for before the next."""
        self.trouble = error.code
        log.warning("outbox.postponed", subject=letter.row.subject, code=error.code, pause_s=pause_s)
        doubtful = error.code.endswith(".doubtful")
        if letter.row.kind in AT_MOST_ONCE and doubtful:
            row = replace(letter.row, state="dropped", error=error.code)
        else:
            again = self._clock.now() + timedelta(seconds=pause_s)
            state = "sending" if doubtful else _not_sent(letter)
            row = replace(letter.row, state=state, not_before=again, error=error.code)
        await self._store.write(lambda ledger: ledger.save(row))

    async def _refused(self, letter: Letter, error: Permanent) -> float | None:
        """Slack won't have it: a gone message is posted anew, an answer is dropped, everything else is tried again, slower and slower."""
        log.error("outbox.refused", subject=letter.row.subject, code=error.code, cause=error.cause, remedy=error.remedy)
        if letter.row.kind in AT_MOST_ONCE:
            await self._store.write(lambda ledger: ledger.save(replace(letter.row, state="dropped", error=error.code)))
            return None
        if error.code.endswith(".message_not_found") and letter.place is not None:
            await self._store.write(lambda ledger: _forget(ledger, letter))
            return None
        if error.code.rpartition(".")[2] in CONTENT_FAULTS:
            await self._store.write(partial(_without_blocks_or_dropped, letter=letter, error=error))
            return None
        self.trouble = error.code
        pause_s = min(2.0 ** min(letter.row.attempts, 8), 300.0)
        again = self._clock.now() + timedelta(seconds=pause_s)
        row = replace(letter.row, state=_not_sent(letter), not_before=again, error=error.code)
        await self._store.write(lambda ledger: ledger.save(row))
        return pause_s


def _is_shown(row: Outgoing, place: Posted, message: Message, *, doubtful: bool) -> bool:
    """What was posted once is there for good; a view is, if these words were the last sent: after a doubtful edit nobody knows."""
    return row.kind not in VIEWS or (place.rendered == _hash(message) and not doubtful)


def _thread(ledger: Ledger, row: Outgoing) -> Posted | None:
    """The message beneath which this one belongs."""
    if row.kind == INCIDENT_NOTE:
        return ledger.get(Posted, thread_of(row))
    if row.kind == INCIDENT or row.subject.startswith("headline:"):
        return None
    return ledger.get(Posted, f"headline:{row.run}")


def _awaits_headline(ledger: Ledger, row: Outgoing) -> bool:
    """A report has a lane of its own, and belongs into the thread of a message that another lane has yet to post."""
    headline = f"headline:{row.run}"
    unsent = ledger.count(Outgoing, subject=headline, state=["pending", "sending"])
    return unsent > 0 and ledger.get(Posted, headline) is None


def _without_blocks_or_dropped(ledger: Ledger, letter: Letter, error: ForgeError) -> None:
    """A message that Slack won't show must not hold up those behind it: its text alone is tried, then it is dropped."""
    if letter.row.error.startswith(PLAIN):
        _drop(ledger, replace(letter.row, error=error.code))
    else:
        ledger.save(replace(letter.row, state=_not_sent(letter), error=PLAIN + error.code))


def _not_sent(letter: Letter) -> str:
    """The state of what this try has not sent: whether an earlier one did stays as doubtful as it was."""
    return "sending" if letter.doubtful and letter.row.kind not in AT_MOST_ONCE else "pending"


def _drop(ledger: Ledger, row: Outgoing) -> None:
    """The next wish to show the same draws it again: what stands there by now is unknown."""
    ledger.save(replace(row, state="dropped"))
    place = ledger.get(Posted, row.subject) if row.kind in VIEWS else None
    if place is not None:
        ledger.save(replace(place, rendered=""))


def _forget(ledger: Ledger, letter: Letter) -> None:
    ledger.remove(Posted, subject=letter.row.subject)
    ledger.save(replace(letter.row, state="pending"))


def _next(ledger: Ledger, lane: str, now: datetime) -> tuple[Outgoing | None, float | None]:
    """The oldest row of the lane if it is due, else the seconds until it is; strictly in order, so that a postponed one holds the others up."""
    rows = ledger.find(Outgoing, state=["pending", "sending"], kind=LANES[lane], order="id", limit=1)
    if not rows:
        return None, None
    due = rows[0].not_before
    if due is None or due <= now:
        return rows[0], None
    return None, max((due - now).total_seconds(), 0.01)


def _message_id(row: Outgoing) -> str:
    return f"{row.subject}#{row.id}"


def _hash(message: Message) -> str:
    text = json.dumps([message.text, list(message.blocks)], sort_keys=True, ensure_ascii=False, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()
