"""`Messages`: every view, note and answer as the message that Slack shows. Pure; asks nobody and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.answers import Answer, AnswerKind
from engine.backup_views import BackupsView
from engine.candidates import CandidatesView, ProposalView
from engine.notes import Note
from engine.oncall_lookup import PeopleView
from engine.ports import Message
from engine.questions import ChoiceView, PromptView
from engine.report import ReportView, summary
from engine.views import (
    ApprovalView,
    AuditView,
    ChecklistView,
    FreezeView,
    HelpView,
    IncidentsView,
    PlanView,
    RunView,
    StatusView,
)
from messages import cards, details, metrics, people, prompts, words
from messages.backups import backups_blocks
from messages.blocks import Block, bold, context, esc, fit, join, mention, paragraphs, section, top_text, with_code
from messages.candidates import candidates_blocks, proposal_blocks
from messages.checklists import checklist_lines
from messages.incidents import freeze_blocks, incidents_blocks
from messages.status import status_blocks
from runbook.metric_report import MetricReport

_ANSWER_SIGNS = {
    AnswerKind.DONE: ":white_check_mark:",
    AnswerKind.INFO: ":information_source:",
    AnswerKind.REFUSED: ":no_entry:",
    AnswerKind.FAULT: ":rotating_light:",
}
MAX_MENTIONS = 20


class Messages:
    """What the outbox shows. Every message is within Slack's limits, whatever the values are."""

    def headline(self, view: RunView) -> Message:
        return cards.headline(view)

    def approval_card(self, view: ApprovalView) -> Message:
        return cards.approval_card(view)

    def prompt_card(self, view: PromptView) -> Message:
        return prompts.prompt_card(view)

    def choice_card(self, view: ChoiceView) -> Message:
        return prompts.choice_card(view)

    def note(self, note: Note, run_id: str = "") -> Message:
        """A message posted once. Mentions stand in the text that phones show, and nowhere else is anybody mentioned."""
        sign = words.TONE[note.tone]
        who = join(*(mention(member) for member in note.mention[:MAX_MENTIONS]))
        title = join(sign.emoji, bold(esc(note.title, 300)))
        if run_id and run_id not in note.title:
            title = join(title, "·", esc(run_id))
        head = [section(title)]
        text = paragraphs(esc(line, 2_000) for line in note.text.splitlines() if line.strip())
        verdicts = [*paragraphs(details.verdict_lines(note.verdicts)), *details.log_blocks(note.verdicts)]
        tail = [section(join(who, "– please look."))] if who else []
        more = f"More: /forge status {run_id}" if run_id else "More is in the audit log: /forge audit"
        subject = f"{run_id}: " if run_id and run_id not in note.title else ""
        return Message(top_text(who, esc(subject + note.title)), fit(head, [*text, *verdicts], tail, more=more))

    def answer(self, answer: Answer) -> Message:
        """An answer to the caller alone: what happened or why not, what to do, every obstacle, and the view beneath it."""
        head = paragraphs([join(_ANSWER_SIGNS[answer.kind], esc(answer.text or _silent(answer), 1_500))])
        if answer.remedy:
            head += paragraphs([join(":bulb:", with_code(answer.remedy, 1_000))])
        middle = paragraphs(details.verdict_lines(answer.verdicts))
        middle += view_blocks(answer.view)
        more = (
            f"More: /forge status {answer.run}"
            if answer.run
            else "There is more: ask for one run, or use the command line."
        )
        text = top_text(esc(answer.text or _silent(answer), 400), with_code(answer.remedy, 300))
        return Message(text, fit(head, middle, [], more=more))


def _silent(answer: Answer) -> str:
    return "Done." if answer.kind is AnswerKind.DONE else answer.code


def view_blocks(view: Any) -> list[Block]:
    """A view beneath an answer. Never with buttons: what must be acted on doesn't belong into an ephemeral message."""
    if isinstance(view, tuple) and view and isinstance(view[0], ChecklistView):
        return _checklists(view)
    made = _BLOCKS.get(type(view))
    return made(view) if made is not None else []


def _checklists(views: Iterable[ChecklistView]) -> list[Block]:
    blocks: list[Block] = []
    for view in views:
        blocks += [section(bold(esc(view.title, 150))), *checklist_lines(view)]
    return blocks


def _run_blocks(view: RunView) -> list[Block]:
    sign = words.run_sign(view.state, view.ending, paused=view.paused_at is not None, procedure=view.procedure)
    first = join(sign.emoji, bold(esc(view.id)), "–", esc(sign.word), words.progress(view))
    why = esc(view.ending_reason if view.ending else view.why)
    blocks = paragraphs([line for line in (first, why, *cards.checklist(view)) if line])
    if view.guards:
        blocks.append(context(esc("Watched now: " + words.listed(view.guards), 1_500)))
    return blocks


_BLOCKS: Mapping[type, Callable[[Any], list[Block]]] = {
    PlanView: details.plan_blocks,
    StatusView: status_blocks,
    AuditView: details.audit_blocks,
    HelpView: details.help_blocks,
    MetricReport: metrics.metrics_blocks,
    PeopleView: people.people_blocks,
    RunView: _run_blocks,
    ReportView: lambda view: paragraphs(esc(line, 500) for line in summary(view)),
    IncidentsView: incidents_blocks,
    FreezeView: freeze_blocks,
    BackupsView: backups_blocks,
    CandidatesView: candidates_blocks,
    ProposalView: proposal_blocks,
}
"""What stands beneath an answer, by the kind of its view."""
