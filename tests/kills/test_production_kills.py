"""Production in a real process over the real protocols: SIGKILL at boundaries all along the roll-out, and all along the rollback."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.kills.production_town import FINAL, ProductionTown, production_town

pytestmark = pytest.mark.timeout(1200)
WEIGHTS = [5, 25, 100]


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
    async with production_town(tmp_path / "boundaries", monkeypatch, every=13) as t:
        run = await t.promoted()
        await t.approved(run)
        assert " – completed" in await t.ends(run)
        await t.world.bot.stop()
        boundaries = (tmp_path / "boundaries").read_text().splitlines()
        assert t.deaths >= 8, boundaries
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
    async with production_town(tmp_path / "boundaries", monkeypatch, every=3, since="run.left") as t:
        run = await t.promoted()
        await t.approved(run)
        await t.actors.until(lambda: t.weight() == 25, "a quarter of the customers get the canary", within_s=240)
        t.world.spoil(FINAL, "errors", env="prod", track="canary")
        assert " – returned" in await t.ends(run)
        await t.world.bot.stop()
        boundaries = (tmp_path / "boundaries").read_text().splitlines()
        assert t.deaths >= 5, boundaries
        for name in ("catalog", "web"):
            weights = t.noted.weights[name]
            there = weights[: weights.index(25) + 1]
            assert (there, weights[-1]) == (WEIGHTS[:2], 0)
            back = weights[len(there) :]
            assert all(a > b for a, b in pairwise([25, *back])), f"only ever less on the way back: {weights}"
            assert t.noted.images[name] == [], "stable was never touched"
        assert_once(t)
