"""Which lines of a log must not be there. Runbook: Development Deployment 5, "verify logs". Pure.

Patterns are matched by an engine that needs time linear in a line's length, whatever the pattern: a log must never hang the one who reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

from runbook.redaction import redacted
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing, shortened, size

GATE = "pod logs"
LONGEST_LINE = 4096
"""Of a longer line only the beginning is looked at."""

LONGEST_PATTERN = 500
MOST_QUOTED = 5
_QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class Match:
    """A line that a pattern found. where: pod and container, and `(before its restart)` where it is of the run before."""

    where: str
    pattern: str
    line: str


@dataclass(frozen=True)
class LogSight:
    """What was read of one workload's logs. missing: why a log could not be read, for people. cut: only the end of some log was read."""

    workload: str
    pods: int
    size_bytes: int
    lines: int
    matches: tuple[Match, ...] = ()
    missing: tuple[str, ...] = ()
    cut: bool = False


def check_pattern(pattern: str) -> str:
    """What is wrong with a regular expression, in the engine's words; empty when nothing is."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        return f"a pattern has 1 to {LONGEST_PATTERN} characters"
    try:
        matcher = _matcher(pattern)
    except SchemaError as error:
        words = [line.strip() for line in str(error).splitlines() if line.strip()]
        return words[-1].removeprefix("SchemaError: ").removeprefix("error: ")
    if matcher.isinstance_python(""):
        return "it matches an empty line, and so every line"
    return ""


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> SchemaValidator:
    """Rust's `regex`, as pydantic brings it along: no backtracking, and a bound on the size of what is compiled. Raises SchemaError."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def matching_lines(where: str, text: str, patterns: Sequence[str]) -> Iterator[Match]:
    """Each line that a pattern finds, once. Raises SchemaError for a pattern that `check_pattern` refuses."""
    matchers = [(pattern, _matcher(pattern)) for pattern in patterns]
    for whole in text.split("\n"):
        line = whole[:LONGEST_LINE].rstrip("\r")
        found = next((pattern for pattern, matcher in matchers if matcher.isinstance_python(line)), None)
        if found is not None:
            yield Match(where, found, line)


def quoted(match: Match) -> str:
    """For people: without secrets and control characters, and cut."""
    text = "".join(each if each.isprintable() else " " for each in redacted(match.line))
    return shortened(" ".join(text.split()), _QUOTED_CHARACTERS)


def judge_logs(sight: LogSight, tolerated: int) -> Verdict:
    """tolerated: so many matching lines are put up with. What could not be read is unknown, unless enough was found already."""
    gate = f"{GATE}: {sight.workload}"
    count = Evidence(
        name="matching lines", value=len(sight.matches), limit=tolerated, unit="count", source=f"deployment/{sight.workload}",
        samples=sight.lines,
    )  # fmt: skip
    lines = tuple(
        Evidence(name=match.pattern, value=quoted(match), source=match.where) for match in sight.matches[:MOST_QUOTED]
    )
    if len(sight.matches) > tolerated:
        first = sight.matches[0]
        more = f", and {len(sight.matches) - 1} more" if len(sight.matches) > 1 else ""
        reason = f"{first.where} says “{quoted(first)}”{more}"
        remedy = "Mend the cause, or correct policy.dev.log_patterns where the line is harmless"
        return Verdict.failed(gate, "logs.matched", reason, count, *lines, remedy=remedy)
    if sight.missing:
        reason = f"not every log of {sight.workload} could be read: {listing(sight.missing[:3])}"
        return Verdict.no_data(gate, "logs.unread", reason, count, *lines, remedy="Look at the pods, then retry")
    if not sight.pods:
        reason = f"{sight.workload} has no pod whose log could be read"
        return Verdict.no_data(gate, "logs.no_pods", reason, count, remedy="Look at the Deployment, then retry")
    read = f"{sight.lines} lines ({size(sight.size_bytes)}) of {sight.pods} pod{'s' if sight.pods != 1 else ''}"
    ends = ", the ends of the logs" if sight.cut else ""
    found = "no line matches" if not sight.matches else f"{len(sight.matches)} matching, {tolerated} tolerated"
    return Verdict.passed(gate, f"{read} were read{ends}: {found}", count, *lines)
