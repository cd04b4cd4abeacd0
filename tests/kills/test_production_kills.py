"""Production in a real process over the real protocols: SIGKILL at boundaries all along the roll-out, and all along the rollback."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.kills.production_town import FINAL, WEIGHTS, ProductionTown, production_town

pytestmark = pytest.mark.timeout(1800)


def assert_once(t: ProductionTown) -> None:
    """One canary of each workload, that is gone; the autoscaler as it was; each message once; the audit log whole."""
    assert sorted(t.noted.came) == sorted(t.noted.went) == ["catalog-canary", "web-canary"]
    (scaler,) = t.world.cluster.list("HorizontalPodAutoscaler", "prod")
    assert (scaler["spec"]["minReplicas"], scaler["metadata"].get("annotations") or {}) == (1, {})
    assert t.doubled() == {}
    assert t.audit_problem() == ""


async def test_sigkills_all_along_a_production_release_change_nothing_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with production_town(tmp_path / "boundaries", monkeypatch) as t:
        t.deadly("release", every=13)
        run = await t.promoted()
        await t.approved(run)
        assert await t.ended(run) == "completed", t.headlines(run)
        await t.at_rest()
        assert " – completed" in t.headlines(run)
        assert t.deaths >= 8, t.boundaries("release")
        assert dict(t.noted.weights) == {"catalog": [*WEIGHTS, 0], "web": [*WEIGHTS, 0]}
        new = {name: [t.world.releases.image(name, FINAL)] for name in ("catalog", "web")}
        assert {name: t.noted.images[name] for name in new} == new, "one generation of stable"
        for name in new:
            replicas = t.noted.replicas[f"{name}-canary"]
            assert all(a < b for a, b in pairwise(replicas)), "a canary only grows, in steps that a weight asks for"
        assert_once(t)


async def test_sigkills_all_along_a_rollback_change_nothing_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phase lasts until the guard has spoken: its own gate would see the same errors, or none yet."""
    async with production_town(tmp_path / "boundaries", monkeypatch, phase="120s", weights=(25, 100)) as t:
        run = await t.promoted()
        await t.approved(run)
        await t.actors.until(lambda: t.weight() == 25, "a quarter of the customers get the canary", within_s=240)
        t.deadly("rollback", every=3, since="run.left")
        t.world.spoil(FINAL, "errors", env="prod", track="canary")
        assert await t.ended(run) == "returned", t.headlines(run)
        await t.at_rest()
        assert " – returned" in t.headlines(run)
        assert t.deaths >= 5, t.boundaries("rollback")
        for name in ("catalog", "web"):
            first, *back = t.noted.weights[name]
            assert (first, back[-1]) == (25, 0)
            assert all(a > b for a, b in pairwise([first, *back])), f"only ever less on the way back: {first}, {back}"
            assert t.noted.images[name] == [], "stable was never touched"
        assert_once(t)
