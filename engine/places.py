"""What runs where, by the ledger: the newest result that still counts, who brought it there, and what could follow it.

The ledger says what was deployed; what the cluster says beside it is told, and changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.journal import Turn
from engine.lanes import is_of_database
from engine.ports import Ledger
from engine.records import Decision, Run, RunState
from engine.views import PlaceView
from runbook.candidates import candidates_of
from runbook.plan import from_json
from runbook.policy import Service
from runbook.source import CommitInfo
from runbook.values import Environment, Release, Version

RESULTS: Mapping[str, tuple[str, str]] = {
    Environment.DEV: ("validated", "not_validated"),
    Environment.STAGING: ("go", "no_go"),
    Environment.PROD: ("released", "rolled_back"),
}
"""By environment: the result after which a version runs there, and the one that takes it back."""

_MOST_RESULTS = 50
_DIGEST = len("sha256:") + 12
_NAMED = 3


@dataclass(frozen=True)
class Seen:
    """What the world said, or in words why it didn't. images: by (service, environment), workload -> the image that it is told to run, None
    where there is no such Deployment. history: by service, the newest commits of its branch. tags: by service, names of tags.
    """

    images: Mapping[tuple[str, str], Mapping[str, str | None] | str] = field(default_factory=dict)
    history: Mapping[str, tuple[CommitInfo, ...] | str] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """A place with the release that is on record there; None: none, or one whose artifacts aren't."""

    view: PlaceView
    release: Release | None = None


def standings(turn: Turn, service: str = "") -> tuple[Standing, ...]:
    """Of every configured place, and of those that only the ledger knows, dev first. service: empty for all."""
    known = {(s.name, e.value) for s in turn.setting.services.values() for e in s.urls}
    known |= {(d.service, d.environment) for d in turn.ledger.find(Decision, order="-at", limit=200)}
    order = [e.value for e in Environment]
    wanted = sorted(
        (place for place in known if service in ("", place[0]) and place[1] in order),
        key=lambda place: (place[0], order.index(place[1])),
    )
    under_way = _under_way(turn)
    return tuple(_standing(turn.ledger, *place, under_way.get(place)) for place in wanted)


def _under_way(turn: Turn) -> Mapping[tuple[str, str], Run]:
    """Runs that have changed something, by place."""
    found = turn.ledger.find(Run, state=[RunState.RUNNING, RunState.WAITING, RunState.HELD], order="number")
    begun = [run for run in found if run.first_effect_at is not None and not is_of_database(run.procedure)]
    return {(run.service, run.environment): run for run in begun}


def _standing(ledger: Ledger, service: str, environment: str, under_way: Run | None) -> Standing:
    doing = f"{under_way.id} ({under_way.version})" if under_way is not None else ""
    view = PlaceView(service=service, environment=environment, under_way=doing)
    good, _ = RESULTS[environment]
    told = ledger.find(
        Decision, order="-at", limit=_MOST_RESULTS, service=service, environment=environment,
        result=list(RESULTS[environment]),
    )  # fmt: skip
    counted = next(_still(told, good), None)
    if counted is None:
        return Standing(view)
    newest = told[0]
    run = ledger.get(Run, newest.run)
    release: Release | None = from_json(Release, counted.release) if counted.release else None
    digests = list(dict.fromkeys(image.digest for image in release.images)) if release is not None else []
    more = f" +{len(digests) - 1}" if len(digests) > 1 else ""
    view = replace(
        view, version=counted.version, digest=f"{digests[0][:_DIGEST]}…{more}" if digests else "", since=newest.at,
        by_name=run.requester_name if run is not None else "", run=newest.run, is_back=newest != counted,
    )  # fmt: skip
    return Standing(view, release)


def _still(told: list[Decision], good: str) -> Iterator[Decision]:
    """Those whose version was told nothing else since, the newest first."""
    seen: set[str] = set()
    for decision in told:
        if decision.version not in seen and decision.result == good:
            yield decision
        seen.add(decision.version)


# --- beside what the world says ---------------------------------------------------------------------------------------


def place_views(turn: Turn, service: str = "", seen: Seen | None = None) -> tuple[PlaceView, ...]:
    """seen: None where nobody was asked."""
    found = standings(turn, service)
    if seen is None:
        return tuple(standing.view for standing in found)
    return tuple(_compared(turn, standing, seen) for standing in found)


def _compared(turn: Turn, standing: Standing, seen: Seen) -> PlaceView:
    view = standing.view
    service = turn.setting.services.get(view.service)
    if service is None:
        return replace(view, unknown=("it isn't configured any more",))
    unknown: list[str] = []
    images = seen.images.get((view.service, view.environment))
    drift = ""
    if isinstance(images, str):
        unknown.append(f"the cluster: {images}")
    elif images is not None:
        drift = _drift(standing, service, images)
    newer, missing = _newer(turn, standing, service, seen)
    unknown += [missing] if missing else []
    is_asked = images is not None and not isinstance(images, str)
    return replace(view, drift=drift, newer=newer, unknown=tuple(unknown), is_asked=is_asked)


def _drift(standing: Standing, service: Service, images: Mapping[str, str | None]) -> str:
    """Empty while a run changes it: what runs in between is that run's business."""
    if standing.view.under_way:
        return ""
    if standing.release is None:
        running = [f"{name} {_short(image)}" for name, image in images.items() if image]
        return "" if standing.view.version or not running else f"what forge didn't deploy: {_some(running)}"
    wanted = {image.workload: image.reference for image in standing.release.images}
    odd = [
        f"{name} {_short(image) if image else 'is not there'}"
        for name, image in images.items()
        if name in wanted and image != wanted[name]
    ]
    return f"something else than forge deployed: {_some(odd)}" if odd else ""


def _short(image: str) -> str:
    """Without registry and folders: `web@sha256:abcdef012345…`, `web:v1.3.0`."""
    name, at, digest = image.rpartition("/")[2].partition("@")
    return f"runs {name}{at}{digest[:_DIGEST]}{'…' if len(digest) > _DIGEST else ''}"


def _some(found: list[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _newer(turn: Turn, standing: Standing, service: Service, seen: Seen) -> tuple[tuple[str, ...], str]:
    """(what could follow, what could not be asked)."""
    if standing.view.environment == Environment.DEV:
        history = seen.history.get(service.name, ())
        return (
            ((), f"{service.branch}: {history}")
            if isinstance(history, str)
            else (_commits(standing, service, history), "")
        )
    tags = seen.tags.get(service.name, ())
    names: tuple[str, ...] = () if isinstance(tags, str) else tags
    missing = f"tags: {tags}" if isinstance(tags, str) else ""
    if standing.view.environment == Environment.STAGING:
        return _candidates(standing, names), missing
    return _with_a_go(turn, standing, names if not missing else None), missing


def _commits(standing: Standing, service: Service, history: tuple[CommitInfo, ...]) -> tuple[str, ...]:
    if not history:
        return ()
    newest = f"the newest is {history[0].sha[:12]}, {history[0].title[:80]}"
    commit = standing.release.commit if standing.release is not None else ""
    place = next((place for place, info in enumerate(history) if info.sha == commit), None)
    if place == 0:
        return ()
    if place is None:
        return (f"{service.branch}: {newest}",)
    return (f"{place} commit{'' if place == 1 else 's'} on {service.branch} since; {newest}",)


def _candidates(standing: Standing, names: tuple[str, ...]) -> tuple[str, ...]:
    running = Version.parse(standing.view.version)
    newer = [str(v) for v in candidates_of(names) if running is None or v > running]
    return (_first(newer),) if newer else ()


def _with_a_go(turn: Turn, standing: Standing, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Versions newer than production's that got their go in staging. names: of tags; None: not known."""
    running = Version.parse(standing.view.version)
    told = turn.ledger.find(
        Decision, order="-at", limit=_MOST_RESULTS, service=standing.view.service,
        environment=Environment.STAGING.value, result=list(RESULTS[Environment.STAGING]),
    )  # fmt: skip
    finals: dict[str, str] = {}
    for decision in _still(told, "go"):
        version = Version.parse(decision.version)
        final = decision.version.partition("-rc.")[0]
        if version is not None and ((base := Version.parse(final)) is not None) and (running is None or base > running):
            finals.setdefault(final, decision.version)
    return tuple(
        f"{final} has its go ({candidate})"
        + ("" if names is None or final in names else f"; its tag {final} is not there yet")
        for final, candidate in list(finals.items())[:_NAMED]
    )


def _first(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
