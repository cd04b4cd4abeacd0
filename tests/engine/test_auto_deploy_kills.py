"""The process dies before and after every commit of two automatic deployments, one after another: each commit gets exactly one run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.records import Outgoing, RunChanges
from runbook.plan import Result
from runbook.verdicts import Verdict
from tests.engine.automatic import Automatic, Place, automatic
from tests.engine.dying import Mortality
from tests.engine.harness import without_data

MOST_LIVES = 400


async def life(place: Place, mortality: Mortality) -> bool:
    """One life of the program, until its end or its death. True when it lived to its end."""
    living = asyncio.ensure_future(_story(place))
    dying = asyncio.ensure_future(mortality.died.wait())
    await asyncio.wait({living, dying}, return_when=asyncio.FIRST_COMPLETED)
    dying.cancel()
    if living.done():
        await living
        return True
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    mortality.next_life()
    return False


async def _story(place: Place) -> None:
    """Deployed and held, overtaken by two, left for the newest of them."""
    async with automatic(place) as a:
        await a.until(lambda: bool(a.runs()))
        if len(place.ci.states) == 1:
            await a.until(lambda: a.runs()[0].state == "held")
            place.push()
            place.push()
        a.ring()
        await a.until(lambda: [run.state for run in a.runs()] == ["ended", "ended"])
        await a.until(lambda: not a.rows(Outgoing, state=["pending", "sending"]))


async def the_end(place: Place) -> dict[str, object]:
    place.fate = None
    async with automatic(place) as a:
        return {
            "runs": [(run.id, run.version, run.ending, run.ending_reason, run.requester) for run in a.runs()],
            "changes": [row.run for row in a.rows(RunChanges)],
            "skipped": [(entry.subject, entry.evidence) for entry in a.audited("auto_deploy.skipped")],
            "superseded": _subjects(a, "auto_deploy.superseded"),
            "created": _subjects(a, "run.created"),
            "messages": sorted(kept.message.text for kept in place.chat.messages),
        }


def _subjects(a: Automatic, action: str) -> list[str]:
    return [entry.subject for entry in a.audited(action)]


def place_at(path: Path) -> Place:
    """The first commit's observation has no data, so that its run is held, until the others are there."""
    path.mkdir()
    place = Place(path)
    place.push()
    place.outside.results["observe"] = lambda: (
        without_data("observe") if len(place.ci.states) == 1 else Result((Verdict.passed("observe", "fine"),))
    )
    return place


@pytest.mark.timeout(1200)
async def test_a_death_at_any_commit_opens_exactly_one_run_for_each_commit(tmp_path: Path) -> None:
    whole = place_at(tmp_path / "whole")
    assert await life(whole, Mortality(on=False))
    expected = await the_end(whole)
    assert len(expected["created"]) == 2  # type: ignore[arg-type]
    mortality = Mortality()
    place = place_at(tmp_path / "mortal")
    place.fate = mortality
    for _ in range(MOST_LIVES):
        if await life(place, mortality):
            break
    else:
        raise AssertionError("it died for ever")
    assert len(mortality.behind) > 40
    assert await the_end(place) == expected
