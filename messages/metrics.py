"""What `/forge metrics` shows: targets, every metric with its last hour and its limits, and what is missing. Pure.

Lines are short: they are read on a phone, in the minutes when it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from messages import words
from messages.blocks import Block, Markup, bold, code, context, esc, join, moment, paragraphs, plain, with_code
from messages.words import Sign
from runbook.metric_report import BUCKETS, HISTORY_S, STABLE, Bound, MetricLine, MetricReport, Target
from runbook.series import METRICS, recorded_as

if TYPE_CHECKING:
    from rich.table import Table

SECTIONS = {
    "application": "Application",
    "infrastructure": "Infrastructure",
    "database": "PostgreSQL",
    "baseline": "What is normal",
}
_LEVELS: dict[str, Sign] = {
    "critical": Sign(":rotating_light:", "‼", "beyond critical"),
    "warning": Sign(":warning:", "!", "beyond warning"),
    "limit": Sign(":warning:", "!", "beyond the limit"),
}
_KEPT = {True: words.OUTCOME["pass"]._replace(word="kept"), False: Sign(":x:", "✘", "missed")}
_UNKNOWN = Sign(":grey_question:", "?", "unknown")
_FINE, _NONE = Sign(":white_check_mark:", "✔", "ok"), Sign("•", " ", "")
OWN = "(forge's own)"
OWN_WORDS = f"{OWN}: measured by forge itself, every 15 s, because Prometheus has no value of now."
_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(history: Iterable[float | None]) -> str:
    """One bar for each part, from zero to the most of them, so that noise stays small; `·` where nothing was recorded."""
    values = list(history)
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low = min(0.0, *known)
    span = max(known) - low
    return "".join(_GAP if value is None else _bar(value - low, span) for value in values)


def _bar(height: float, span: float) -> str:
    return _BARS[min(len(_BARS) - 1, int(height / span * len(_BARS)))] if span > 0 else _BARS[0]


def line_sign(line: MetricLine) -> Sign:
    """Only what has a limit can be well."""
    if line.value is None:
        return _UNKNOWN
    return _LEVELS[line.level] if line.level else _FINE if line.bounds else _NONE


def target_words(target: Target) -> str:
    """`99.95 % over 30d; wanted: at least 99.9 %`."""
    wanted = f"{'at least' if target.at_least else 'under'} {words.quantity(target.limit, target.unit)}"
    value = "no value" if target.value is None else words.quantity(target.value, target.unit)
    return f"{value} over {target.over}; wanted: {wanted}"


def bound_words(bound: Bound, unit: str) -> str:
    """`critical above 3 % for 5 min`, `limit: at most 90 %`."""
    if bound.level == "limit":
        return f"limit: at {'most' if bound.above else 'least'} {words.quantity(bound.limit, unit)}"
    side = "above" if bound.above else "below"
    lasting = f" for {words.duration(bound.for_s)}" if bound.for_s else ""
    return f"{bound.level} {side} {words.quantity(bound.limit, unit)}{lasting}"


def value_words(line: MetricLine) -> str:
    return line.trouble if line.value is None else words.quantity(line.value, line.unit)


def trouble_words(report: MetricReport) -> str:
    """Why there is nothing of Prometheus, and what to do about it."""
    return f"{report.trouble}. Shown is what forge measured itself. {report.remedy}".strip()


def missing_names(report: MetricReport) -> list[str]:
    return [recorded_as(name, report.windows) for name in report.missing]


def titles(names: Iterable[str]) -> str:
    return words.listed(METRICS[name].title for name in names)


# --- Slack ------------------------------------------------------------------------------------------------------------


def metrics_blocks(report: MetricReport) -> list[Block]:
    """Targets first, then every metric, then what is missing. Where Prometheus told nothing: why, and what forge measured."""
    lines = [bold(Markup("Targets")), *(_target_line(target) for target in report.targets)]
    blocks = paragraphs([esc(trouble_words(report), 600)] if report.trouble else lines)
    for section, title in SECTIONS.items():
        found = [_metric_line(line) for line in report.lines if line.section == section]
        if found:
            blocks += paragraphs([bold(Markup(title)), *found])
    if report.missing:
        names = join(*(code(name) for name in missing_names(report)))
        blocks += paragraphs([bold(esc(f"No series ({len(report.missing)})")), names, with_code(report.remedy)])
    bars = f"Bars: the last hour, {words.duration(HISTORY_S / BUCKETS)} each. Values are over {report.windows.window}."
    without = f"Not measured by configuration: {titles(report.without)}." if report.without else ""
    own = OWN_WORDS if any(line.own for line in report.lines) else ""
    return [*blocks, context(join(moment(report.at), "·", esc(bars), esc(own), esc(without, 1_000)))]


def _target_line(target: Target) -> Markup:
    sign = _KEPT.get(target.kept, _UNKNOWN) if target.kept is not None else _UNKNOWN
    return join(sign.emoji, bold(esc(target.title)), f"{sign.word}:", esc(target_words(target)))


def _metric_line(line: MetricLine) -> Markup:
    sign = line_sign(line)
    track = esc(f"({line.track})", 40) if line.track != STABLE else ""
    own = esc(OWN) if line.own else ""
    name = join(bold(esc(line.title)), track, own, bold(esc(value_words(line), 100)))
    level = esc(f"{sign.word}:") if sign in _LEVELS.values() else ""
    bounds = esc("; ".join(bound_words(bound, line.unit) for bound in line.bounds), 300)
    shown = join(sign.emoji, name, code(sparkline(line.history)))
    return join(shown, join("–", level, bounds)) if bounds else shown


# --- terminal ---------------------------------------------------------------------------------------------------------


def metric_tables(report: MetricReport) -> Iterator[Table | str]:
    """Tables and lines of text, in the order in which a terminal shows them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            made.add_column(column, overflow="fold")
        return made

    targets = table("Targets", "", "target", "what is wanted, and what is")
    for target in report.targets:
        sign = _UNKNOWN if target.kept is None else _KEPT[target.kept]
        targets.add_row(sign.char, target.title, f"{sign.word}: {target_words(target)}")
    yield trouble_words(report) if report.trouble else targets
    for section, title in SECTIONS.items():
        found = [line for line in report.lines if line.section == section]
        if found:
            rows = table(title, "", "metric", "now", "last hour", "limits")
            for line in found:
                rows.add_row(*_cells(line))
            yield rows
    if report.missing:
        yield f"No series: {', '.join(missing_names(report))}"
        yield f"  → {report.remedy}"
    if report.without:
        yield f"Not measured by configuration: {titles(report.without)}"
    if any(line.own for line in report.lines):
        yield OWN_WORDS
    yield f"{report.at:%Y-%m-%d %H:%M:%S} UTC; values are over {report.windows.window}, a bar is {words.duration(HISTORY_S / BUCKETS)}"


def _cells(line: MetricLine) -> tuple[str, ...]:
    name = line.title if line.track == STABLE else f"{line.title} ({plain(line.track, 40)})"
    name += f" {OWN}" if line.own else ""
    bounds = "; ".join(bound_words(bound, line.unit) for bound in line.bounds)
    sign = line_sign(line)
    level = f"{sign.word}: " if sign in _LEVELS.values() else ""
    return sign.char, name, plain(value_words(line), 100), sparkline(line.history), level + bounds
