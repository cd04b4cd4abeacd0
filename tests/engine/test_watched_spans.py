"""Which guards are active for a run, and since when each of them counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.guard_watches import NEVER, Watch, counts_from
from engine.journal import Turn
from engine.spans import Watched, watched
from runbook.plan import Guard, RatioGuard
from runbook.rules.guards import GuardState
from tests.engine import harness
from tests.engine.asking import ERRORS, SLOW, following
from tests.engine.harness import ADA, Bench, bench, setting_for
from tests.fakes.clock import NOON

PHASE_S = 600.0
CANARY = replace(ERRORS, name="errors of the canary", track="canary")
RATIO = RatioGuard("ratio", "forge:request_rate:30s", "forge:error_rate:30s", 2.0, 0.001, 50, 0.001)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda plan: monkeypatch.setattr(harness, "plan_for", plan)


def seen(b: Bench, run: str) -> Watched | None:
    current = b.run(run)
    return b.store.read_now(lambda ledger: watched(Turn(ledger, b.clock.now(), setting_for()), current))


async def phases(b: Bench, *guards: tuple[Guard, ...]) -> tuple[str, list[datetime]]:
    """A run in the last of its phases, and when each of them began."""
    for place in range(1, len(guards) + 1):
        b.outside.takes_s[f"phase {place}"] = PHASE_S
    run = await b.deploy()
    begun = []
    for place in range(1, len(guards) + 1):
        await b.clock.run_until(lambda place=place: b.outside.done[-1:] == [f"phase {place}"])  # type: ignore[misc]
        begun.append(b.clock.now())
    await b.clock.settle()
    return run, begun


async def test_a_guard_counts_from_the_first_of_the_spans_that_follow_each_other_with_it(
    tmp_path: Path, use: Any
) -> None:
    spans = ((ERRORS,), (ERRORS, SLOW), (ERRORS, SLOW))
    use(following(*spans))
    async with bench(tmp_path) as b:
        run, begun = await phases(b, *spans)
        span = seen(b, run)
        assert span is not None
        assert [span.since_of(guard) for guard in (ERRORS, SLOW)] == [begun[0], begun[1]]
        assert span.since == begun[2]


@pytest.mark.parametrize("between", [(SLOW,), (replace(ERRORS, limit=0.5),)], ids=["without", "another"])
async def test_a_span_without_the_guard_or_with_another_of_its_name_begins_it_anew(
    tmp_path: Path, use: Any, between: tuple[Guard, ...]
) -> None:
    spans = ((ERRORS,), between, (ERRORS,))
    use(following(*spans))
    async with bench(tmp_path) as b:
        run, begun = await phases(b, *spans)
        span = seen(b, run)
        assert span is not None
        assert span.since_of(ERRORS) == begun[2]


async def test_between_two_spans_the_earlier_ones_guards_stay(tmp_path: Path, use: Any) -> None:
    spans = ((ERRORS,), (SLOW,))
    use(following(*spans))
    async with bench(tmp_path) as b:
        b.outside.takes_s["phase 1"] = PHASE_S
        run = await b.deploy()
        await b.clock.settle()
        await b.act("pause", ADA, run)
        await b.clock.advance(PHASE_S * 2)
        span = seen(b, run)
        assert span is not None
        assert [guard.name for guard in span.every] == [ERRORS.name]
        assert span.first <= b.run(run).position <= span.last
        await b.act("resume", ADA, run)
        ended = await b.ended(run)
        assert ended.ending == "completed"
        assert seen(b, run) is None


def span_of(*guards: Guard, **changes: Any) -> Watched:
    return replace(
        Watched(
            run="prod-1", service="shop", environment="prod", segment=1, first=0, last=3, guards=guards,
            on_breach="rollback", since=NOON,
        ),
        **changes,
    )  # fmt: skip


def test_what_equal_guards_have_seen_goes_along_and_nothing_else() -> None:
    watch = Watch(span_of(ERRORS, SLOW))
    watch.states = {ERRORS.name: GuardState(value=0.01), SLOW.name: GuardState(value=2.0)}
    watch.blind_since, watch.told = NOON, 1
    began = {ERRORS.name: NOON, SLOW.name: NOON}
    changed = replace(SLOW, limit=9.0)
    moved = watch.moved_to(span_of(ERRORS, changed, first=4, last=6, began=began))
    assert moved.states == {ERRORS.name: GuardState(value=0.01)}
    assert (moved.blind_since, moved.told, moved.filled) == (NOON, 1, False)
    elsewhere = watch.moved_to(span_of(ERRORS, first=9, last=9, segment=2, began=began))
    assert elsewhere.states == {}


def test_the_same_span_with_newer_facts_is_the_same_watch() -> None:
    watch = Watch(span_of(ERRORS), filled=True)
    newer = span_of(ERRORS, weights=((NOON, 5),))
    assert watch.moved_to(newer) is watch
    assert watch.span.weights == ((NOON, 5),)


def test_a_canarys_readings_count_from_its_first_weight_on() -> None:
    assert counts_from(span_of(CANARY, ratios=(RATIO,)), CANARY) == NEVER
    at = NOON.replace(hour=13)
    assert counts_from(span_of(CANARY, ratios=(RATIO,), weights=((at, 5),)), CANARY) == at.replace(minute=1)
    assert counts_from(span_of(CANARY), CANARY) == NOON.replace(minute=1)
    assert counts_from(span_of(ERRORS, ratios=(RATIO,)), ERRORS) == NOON.replace(minute=1)
