"""The words and signs for states, outcomes and quantities, once for Slack and the terminal. Never a colour alone: emoji and word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from engine.lanes import is_of_database
from engine.notes import Tone
from engine.records import Ending, RunState, StepState
from engine.views import RunView, StepView
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import size


class Sign(NamedTuple):
    """emoji: Slack's name. char: the same for a terminal. word: says it without either."""

    emoji: str
    char: str
    word: str


STEP: dict[str, Sign] = {
    StepState.PENDING: Sign(":white_circle:", "○", "to do"),
    StepState.RUNNING: Sign(":arrows_counterclockwise:", "▶", "running"),
    StepState.WAITING: Sign(":hourglass_flowing_sand:", "…", "waiting"),
    StepState.HELD: Sign(":raised_hand:", "✋", "held"),
    StepState.SKIPPED: Sign(":heavy_minus_sign:", "–", "skipped"),
}
OUTCOME: dict[str, Sign] = {
    Outcome.PASS: Sign(":white_check_mark:", "✔", "done"),
    Outcome.FAIL: Sign(":x:", "✘", "failed"),
    Outcome.NO_DATA: Sign(":grey_question:", "?", "no data"),
    Outcome.ERROR: Sign(":warning:", "!", "could not ask"),
    Outcome.NOT_RUN: Sign(":heavy_minus_sign:", "–", "not asked"),
}
RUN: dict[str, Sign] = {
    RunState.QUEUED: Sign(":hourglass:", "…", "queued"),
    RunState.RUNNING: Sign(":arrows_counterclockwise:", "▶", "running"),
    RunState.WAITING: Sign(":hourglass_flowing_sand:", "…", "waiting for a decision"),
    RunState.HELD: Sign(":raised_hand:", "✋", "held"),
    Ending.COMPLETED: Sign(":white_check_mark:", "✔", "completed"),
    Ending.FAILED: Sign(":x:", "✘", "failed before any change"),
    Ending.RETURNED: Sign(":leftwards_arrow_with_hook:", "↩", "returned to the previous state"),
    Ending.INCOMPLETE: Sign(":rotating_light:", "‼", "way back incomplete"),
    Ending.CANCELLED: Sign(":no_entry_sign:", "⊘", "cancelled"),
}
TONE: dict[Tone, Sign] = {
    Tone.INFO: Sign(":information_source:", "i", "note"),
    Tone.GOOD: Sign(":white_check_mark:", "✔", "done"),
    Tone.BAD: Sign(":x:", "✘", "failed"),
    Tone.WARN: Sign(":warning:", "!", "attention"),
    Tone.ASK: Sign(":point_right:", "→", "your turn"),
}
RESULT: dict[str, Sign] = {
    "validated": Sign(":white_check_mark:", "✔", "dev-validated"),
    "not_validated": Sign(":x:", "✘", "not validated in dev"),
    "go": Sign(":white_check_mark:", "✔", "go"),
    "no_go": Sign(":x:", "✘", "no go"),
    "released": Sign(":white_check_mark:", "✔", "released"),
    "rolled_back": Sign(":leftwards_arrow_with_hook:", "↩", "rolled back"),
    "contracted": Sign(":white_check_mark:", "✔", "contracted"),
    "not_contracted": Sign(":x:", "✘", "not contracted"),
    "restored": Sign(":white_check_mark:", "✔", "restored"),
    "not_restored": Sign(":x:", "✘", "not restored"),
}
SEVERITY: dict[int, Sign] = {
    1: Sign(":rotating_light:", "‼", "severity 1"),
    2: Sign(":red_circle:", "!", "severity 2"),
    3: Sign(":large_orange_circle:", "–", "severity 3"),
    4: Sign(":white_circle:", "·", "severity 4"),
}
RUN_OF_DATABASE: dict[str, Sign] = {
    Ending.FAILED: Sign(":x:", "✘", "failed"),
    Ending.RETURNED: Sign(":leftwards_arrow_with_hook:", "↩", "taken back"),
    Ending.INCOMPLETE: Sign(":rotating_light:", "‼", "not cleared up"),
}
"""Of backups, drills and restores, where nothing was deployed that could return."""
PAUSED = Sign(":double_vertical_bar:", "‖", "paused")
LOG = "last lines of the log"
_UNKNOWN = Sign(":grey_question:", "?", "unknown")


def step_sign(step: StepView) -> Sign:
    if step.state == StepState.DONE:
        return OUTCOME.get(step.outcome, OUTCOME[Outcome.PASS] if not step.outcome else _UNKNOWN)
    return STEP.get(step.state, _UNKNOWN._replace(word=step.state))


def result_sign(result: str) -> Sign:
    """Of what was recorded for a version."""
    return RESULT.get(result, _UNKNOWN._replace(word=result.replace("_", " ")))


def run_sign(state: str, ending: str = "", *, paused: bool = False, procedure: str = "") -> Sign:
    if state == RunState.ENDED and is_of_database(procedure) and ending in RUN_OF_DATABASE:
        return RUN_OF_DATABASE[ending]
    if paused and state != RunState.ENDED:
        return PAUSED
    return RUN.get(ending if state == RunState.ENDED else state, _UNKNOWN._replace(word=ending or state))


def severity_sign(severity: int, *, is_resolved: bool) -> Sign:
    sign = SEVERITY.get(severity, _UNKNOWN._replace(word=f"severity {severity}"))
    return Sign(":white_check_mark:", "✔", f"resolved, {sign.word}") if is_resolved else sign


def progress(run: RunView) -> str:
    """`step 3 of 9`, counted over the plan, or over the way back once that is under way."""
    back = [step for step in run.steps if step.in_way_back]
    steps = back or list(run.steps)
    if not steps or run.state in (RunState.QUEUED, RunState.ENDED):
        return ""
    finished = sum(1 for step in steps if step.state in (StepState.DONE, StepState.SKIPPED))
    place = f"step {min(finished + 1, len(steps))} of {len(steps)}"
    if not back:
        return place
    return f"{'clearing up' if is_of_database(run.procedure) else 'way back'}, {place}"


def role(name: str) -> str:
    return name.replace("_", " ")


def listed(words: Iterable[str], last: str = "and") -> str:
    found = list(words)
    return f"{', '.join(found[:-1])} {last} {found[-1]}" if len(found) > 1 else "".join(found)


def duration(seconds: float) -> str:
    """`45 s`, `30 min`, `1 h 30 min`, `2 d`: two neighbouring units at most."""
    if seconds < 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    largest = next(place for place, (length, _) in enumerate(units) if whole >= length)
    parts: list[str] = []
    for length, name in units[largest : largest + 2]:
        count, whole = divmod(whole, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}\b")


def since(start: datetime, now: datetime) -> str:
    return duration(max(timedelta(), now - start).total_seconds())


def shortened(text: str) -> str:
    """Digests by their first 12 digits: nobody reads 64, and the whole stands on record."""
    return _DIGEST.sub(r"\1…", text)


def quantity(value: object, unit: str) -> str:
    """A value with its unit, as people say it: `3.4 %`, `212 ms`, `1,204`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return shortened(str(value))
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if unit == "ratio":
        # Availability is told by its nines: three digits would show 99.96 % as 100 %.
        return f"{value * 100:.{5 if 0.99 < value < 1 else 3}g} %"
    if unit == "s":
        return duration(float(value)) if value >= 0 else f"{value:.3g} s"
    if unit in ("bytes", "bytes_per_s"):
        return size(float(value)) + ("/s" if unit == "bytes_per_s" else "")
    if unit == "per_s":
        return f"{value:,.0f}/s" if abs(value) >= 100 else f"{value:.3g}/s"
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{number}/s" if unit == "per_s" else number


def evidence(fact: Evidence) -> str:
    """`error rate 3.4 % (limit 1 %, 1,204 samples, 30 min)`."""
    notes = []
    if fact.limit is not None:
        notes.append(f"limit {quantity(fact.limit, fact.unit)}")
    if fact.samples is not None:
        notes.append(f"{fact.samples:,} {'sample' if fact.samples == 1 else 'samples'}")
    if fact.window_s is not None:
        notes.append(duration(fact.window_s))
    shown = f"{fact.name} {quantity(fact.value, fact.unit)}"
    return f"{shown} ({', '.join(notes)})" if notes else shown


def verdict(found: Verdict) -> tuple[Sign, str, str]:
    """Sign, sentence, and what it rests on; the evidence is empty when the sentence says it all."""
    sign = OUTCOME.get(found.outcome, _UNKNOWN)
    if found.outcome is Outcome.PASS:
        sign = sign._replace(word="ok")
    elif not found.binding:
        sign = Sign(":information_source:", "i", f"{sign.word}, not decisive")
    return sign, found.reason, "; ".join(evidence(fact) for fact in found.evidence if not is_log(fact))


def is_log(fact: Evidence) -> bool:
    """Several lines of somebody's output: they stand by themselves."""
    return isinstance(fact.value, str) and (fact.name == LOG or "\n" in fact.value)
