"""The status: what waits for whom, what is under way, what runs where and what is newer. Pure: views in, blocks and cells out.

Nobody is mentioned: whoever asks is not whoever must act.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.records import Decision
from engine.views import PlaceView, StatusView, WaitView
from messages import incidents, words
from messages.blocks import Block, Markup, bold, code, context, esc, join, link, moment, paragraphs
from messages.details import run_line

BRIEF_FROM = 16
"""From so many places on each is told in a few words: all of them must fit into one message."""

PLACE_COLUMNS = ("service", "environment", "version", "digest", "since", "what else")
WAIT_COLUMNS = ("run", "service", "environment", "what", "since", "until")


def status_blocks(view: StatusView) -> list[Block]:
    lines: list[Markup] = []
    lines += _titled("Waits for somebody", [wait_line(wait, view) for wait in view.waiting])
    lines += _titled("Now", [run_line(run) for run in view.active])
    lines += _titled("Queue", [run_line(run, place) for place, run in enumerate(view.queued, start=1)])
    lines += _titled("Open incidents", [incidents.incident_line(incident) for incident in view.incidents])
    lines += _titled("Freezes", [incidents.freeze_line(freeze) for freeze in view.freezes])
    lines += _titled("Locks", _locks(view))
    is_brief = len(view.places) >= BRIEF_FROM
    lines += _titled("What runs where", [place_line(place, view, is_brief=is_brief) for place in view.places])
    lines += _titled("Newest results", [_result(result) for result in other_results(view)])
    lines += _titled("Ended lately", [run_line(run) for run in view.recent])
    blocks = paragraphs(lines or [Markup("Nothing runs and nothing waits.")])
    if is_brief:
        blocks.append(context(esc("More of one service: /forge status --service <name>")))
    return blocks


def _titled(title: str, lines: Sequence[Markup]) -> list[Markup]:
    return [bold(Markup(title)), *lines] if lines else []


# --- what runs where --------------------------------------------------------------------------------------------------


def place_line(place: PlaceView, view: StatusView, *, is_brief: bool = False) -> Markup:
    """`• *shop* prod: v1.3.0 sha256:… since … by Ada (prod-7) · newer: …`."""
    version = code(place.version) if place.version else "nothing on record"
    where = join("•", bold(esc(place.service)), esc(f"{place.environment}:"), version)
    if is_brief:
        more = " and ".join([*(["newer"] if place.newer else []), *(["unknown"] if place.unknown else [])])
        return join(where, _drift(place), f"({more})" if more else "")
    return join(
        where,
        code(place.digest),
        _came(place),
        f"· {esc(place.under_way, 80)} is under way" if place.under_way else "",
        _drift(place),
        f"· newer: {esc('; '.join(place.newer), 300)}" if place.newer else "",
        f"· {esc(unknown_words(place), 250)}" if place.unknown else "",
    )


def _came(place: PlaceView) -> Markup:
    if place.since is None:
        return Markup("")
    by = join(esc(place.by_name, 60), f"({esc(place.run)})")
    return join("back since" if place.is_back else "since", moment(place.since), "by" if place.by_name else "", by)


def _drift(place: PlaceView) -> Markup:
    return Markup(f":warning: {esc('the cluster runs ' + place.drift, 300)}") if place.drift else Markup("")


def unknown_words(place: PlaceView) -> str:
    return f"could not ask: {'; '.join(place.unknown)}" if place.unknown else ""


def place_cells(place: PlaceView) -> tuple[str, ...]:
    came = [f"{'back ' if place.is_back else ''}{place.since:%Y-%m-%d %H:%M}"] if place.since is not None else []
    came += [f"by {place.by_name}" if place.by_name else "", f"({place.run})" if place.run else ""]
    told = (
        f"{place.under_way} is under way" if place.under_way else "",
        f"the cluster runs {place.drift}" if place.drift else "",
        f"newer: {'; '.join(place.newer)}" if place.newer else "",
        unknown_words(place),
    )
    version = place.version or "nothing on record"
    return (place.service, place.environment, version, place.digest, join(*came), join(*told, by=" · "))


def other_results(view: StatusView) -> list[Decision]:
    """Those that the places don't tell already."""
    told = {place.run for place in view.places if place.run and not place.is_back}
    return [result for result in view.decisions if result.run not in told]


def _result(result: Decision) -> Markup:
    sign = words.result_sign(result.result)
    what = esc(f"{result.environment}, {result.service}:")
    return join(sign.emoji, what, code(result.version), "–", esc(sign.word), moment(result.at))


# --- what waits -------------------------------------------------------------------------------------------------------


def wait_line(wait: WaitView, view: StatusView) -> Markup:
    since = f"for {words.since(wait.since, view.now)}" if wait.since is not None else ""
    until = join("until", moment(wait.until)) if wait.until is not None else ""
    where = esc(f"{wait.service} on {wait.environment}:", 120)
    times = join(since, until, by=", ")
    return join("•", bold(link(wait.permalink, wait.run)), where, esc(wait.text, 300), f"({times})" if times else "")


def wait_cells(wait: WaitView) -> tuple[str, ...]:
    times = [f"{at:%Y-%m-%d %H:%M}" if at is not None else "" for at in (wait.since, wait.until)]
    return (wait.run, wait.service, wait.environment, wait.text, *times)


def _locks(view: StatusView) -> list[Markup]:
    lines = []
    for lock in view.locks:
        what = "every service" if lock.service == "*" else lock.service
        undo = f"/forge unlock {lock.environment}" if not lock.run else ""
        age = words.since(lock.at, view.now)
        told = f"{lock.environment}, {what}: {lock.owner_name or lock.owner} for {age}"
        lines.append(join(":lock:", esc(told, 200), "–", esc(lock.run or lock.reason), code(undo)))
    return lines
