"""What stands beneath an answer: verdicts with their evidence, plans, status, audit entries, help. Pure: views in, blocks out."""

from __future__ import annotations

from collections.abc import Iterable

from engine.views import AuditView, HelpView, PlanView, RunLine
from messages import words
from messages.blocks import (
    Block,
    Markup,
    bold,
    code,
    context,
    esc,
    italic,
    join,
    link,
    mention,
    moment,
    paragraphs,
    preformatted,
    with_code,
)
from messages.changes import change_lines
from runbook.verdicts import Outcome, Verdict


def verdict_lines(verdicts: Iterable[Verdict], *, is_brief: bool = False) -> list[Markup]:
    """Obstacles first. `:x: *error rate* – failed: 3.4 % is too high · error rate 3.4 % (limit 1 %, …). → remedy`.

    is_brief: what passed is told by its sentence alone, for its numbers stand in the thread already.
    """
    lines: list[Markup] = []
    for verdict in sorted(verdicts, key=lambda v: v.outcome is Outcome.PASS):
        sign, reason, evidence = words.verdict(verdict)
        line = join(sign.emoji, bold(esc(verdict.gate, 100)), "–", italic(esc(sign.word)) + ":", esc(reason, 400))
        if evidence and not (is_brief and verdict.outcome is Outcome.PASS):
            line = join(line, "·", esc(evidence, 500))
        if verdict.remedy and verdict.outcome is not Outcome.PASS:
            line = join(line, "→", with_code(verdict.remedy, 400))
        lines.append(line)
    return lines


def log_blocks(verdicts: Iterable[Verdict]) -> list[Block]:
    """The ends of logs that verdicts carry, each beneath its name."""
    blocks = []
    for verdict in verdicts:
        for fact in verdict.evidence:
            if words.is_log(fact):
                where = f" ({fact.source})" if fact.source else ""
                blocks += [context(esc(f"{verdict.gate}: {fact.name}{where}", 200)), preformatted(str(fact.value))]
    return blocks


def plan_blocks(view: PlanView) -> list[Block]:
    lines = [join(bold(Markup("Plan:")), esc(view.service), code(view.version), "to", bold(esc(view.environment)))]
    for place, step in enumerate(view.steps, start=1):
        more = step.sentence.removeprefix(step.title).lstrip(": ")
        effect = italic(join("acts on", esc(view.environment))) if step.effect else ""
        lines.append(
            join(f"{place}.", bold(esc(step.title, 150)), "–" if more or effect else "", esc(more, 300), effect)
        )
    blocks = paragraphs(lines)
    if view.changes is not None:
        blocks += paragraphs(change_lines(view.changes))
    if view.verdicts:
        blocks += paragraphs([bold(Markup("What the checks say now")), *verdict_lines(view.verdicts)])
    if view.migrations:
        blocks += paragraphs([bold(Markup("Migrations")), *(join("•", esc(words, 200)) for words in view.migrations)])
    if view.criteria:
        lines = [bold(Markup("Promotion criteria: to staging · to production"))]
        lines += [
            join("•", esc(f"{title}:", 80), esc(f"{here} · {there}", 200)) for title, here, there in view.criteria
        ]
        blocks += paragraphs(lines)
    notes = []
    if view.approvers:
        notes.append(esc("Approved by: " + words.listed(words.role(name) for name in view.approvers), 500))
    if view.waits:
        notes.append(esc("Takes: " + "; ".join(view.waits), 1_000))
    return [*blocks, context(*notes, join("Nothing was changed. Plan", code(view.hash[:12])))]


def run_line(run: RunLine, place: int = 0) -> Markup:
    sign = words.run_sign(run.state, run.ending, procedure=run.procedure)
    return join(
        f"{place}." if place else "",
        sign.emoji,
        bold(link(run.permalink, run.id)),
        esc(run.service),
        code(run.version),
        "–",
        italic(esc(sign.word)) + (":" if run.why else ""),
        esc(run.why, 250),
        f"({esc(run.requester_name, 60)})" if run.requester_name else "",
    )


def audit_blocks(view: AuditView) -> list[Block]:
    lines = []
    for entry in view.entries:
        role = f"as {words.role(entry.role)}" if entry.role else ""
        who = mention(entry.actor) if ":" in entry.actor else esc(entry.actor, 80)
        told = join(
            f"{entry.seq}.", moment(entry.at), who, esc(role), bold(esc(entry.action, 80)), esc(entry.subject, 80)
        )
        lines.append(join(told, esc(entry.what, 200), f"– {esc(entry.why, 200)}" if entry.why else ""))
    blocks = paragraphs(lines or [Markup("There is no entry.")])
    if view.total > len(view.entries):
        blocks.insert(0, context(esc(f"The newest {len(view.entries)} of {view.total:,} entries.")))
    return blocks


def help_blocks(view: HelpView) -> list[Block]:
    lines = [join(code(f"/forge {command.usage}"), "–", esc(command.summary)) for command in view.commands]
    if len(view.commands) == 1 and view.commands[0].example:
        lines.append(join("For example:", code(f"/forge {view.commands[0].example}")))
    blocks = paragraphs(lines or [Markup("There is no command that you may run.")])
    if view.others:
        blocks.append(context(esc("Others may also run: " + ", ".join(view.others), 1_000)))
    return blocks
