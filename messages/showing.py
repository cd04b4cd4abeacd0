"""What the outbox asks for: from a waiting row to its message, always from the rows as they are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine import incidents, present
from engine.answers import Answer
from engine.checklists import checklist_view
from engine.journal import Turn, step_of
from engine.notes import Note
from engine.overrides import override_view
from engine.ports import Ledger, Message, Page
from engine.questions import choice_view, prompt_view
from engine.records import Outgoing, Run
from engine.report import ReportView
from engine.settings import Settings
from messages.checklists import checklist_card, override_card
from messages.incidents import incident_card
from messages.render import Messages
from runbook.plan import from_json
from runbook.steps.control import Checklist


class Showing:
    """Fulfils `engine.engine.Shows`. doing: what a run's step does now, as the interpreter knows it; set after the engine is made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._messages = Messages()
        self.doing: Callable[[str], str] = lambda _: ""

    def answer(self, answer: Answer) -> Message:
        return self._messages.answer(answer)

    def render(self, ledger: Ledger, outgoing: Outgoing, now: datetime) -> Message | None:
        payload = outgoing.payload or {}
        if outgoing.kind == "answer":
            return Message(payload["text"], payload["blocks"])
        if outgoing.kind == "note":
            return self._messages.note(from_json(Note, payload), outgoing.run)
        if outgoing.kind == "private_note":
            return self._messages.note(from_json(Note, payload["note"]))
        if outgoing.kind == incidents.NOTE:
            return self._messages.note(from_json(Note, payload))
        turn = Turn(ledger, now, self._settings.current)
        if outgoing.kind == incidents.VIEW:
            incident = incidents.card(turn, outgoing.subject.partition(":")[2])
            return incident_card(incident) if incident is not None else None
        run = turn.run(outgoing.run)
        if run is None:
            return None
        what, _, rest = outgoing.subject.partition(":")
        if what == "checklist":
            return self._checklist(turn, run, int(rest.rsplit(":", 2)[1]))
        if what == "override":
            override = override_view(turn, rest)
            return override_card(override) if override is not None else None
        if what == "prompt":
            prompt = prompt_view(turn, run, int(rest.rpartition(":")[2]))
            return self._messages.prompt_card(prompt) if prompt is not None else None
        if what == "choice":
            _, index, segment = rest.rsplit(":", 2)
            choice = choice_view(turn, run, int(index), int(segment))
            return self._messages.choice_card(choice) if choice is not None else None
        if what == "approval":
            _, index, segment = rest.rsplit(":", 2)
            card = present.approval_card(turn, run, int(index), int(segment))
            return self._messages.approval_card(card) if card is not None else None
        return self._messages.headline(present.headline(turn, run, self.doing(run.id)))

    def page(self, view: ReportView, pictures: Mapping[int, bytes]) -> Page:
        from messages.report_page import report_page  # its template engine is loaded when somebody wants a report

        run = view.run
        title = f"Report of {run.id}: {run.service} {run.version} on {run.environment}"
        return Page(title, report_page(view, pictures))

    def _checklist(self, turn: Turn, run: Run, index: int) -> Message | None:
        row = turn.step(run.id, index)
        step = step_of(turn, run, row) if row is not None else None
        if row is None or not isinstance(step, Checklist):
            return None
        return checklist_card(checklist_view(turn, run, row, step))
