"""A service's first release on the whole bot, while Prometheus has nothing yet to compare it with."""

from __future__ import annotations

from dataclasses import replace

from integrations.prometheus.rules import rules_text
from sandbox.world import Product, short
from tests.kills.patience import ROOMY
from tests.whole.stage import PRODUCT, STAGING_ALONE, Stage


async def test_the_first_release_of_a_service_passes_without_any_history() -> None:
    def without_baselines(window: str, interval: str, *, beside: tuple[str, str, str]) -> str:
        """As a Prometheus that has only just begun to record."""
        groups = rules_text(window, interval, beside=beside).split("  - name: ")
        return "  - name: ".join(group for group in groups if not group.startswith("forge:baseline:"))

    product = Product(PRODUCT.serve, without_baselines, PRODUCT.hints)
    tempo = replace(short(observation="5s", guards_for="10m"), load_within=ROOMY)
    async with Stage(tempo=tempo, product=product, environments=STAGING_ALONE) as stage:
        await stage.tidy()
        run = await stage.deploy("v1.4.0-rc.2")
        await stage.decide_go(run)
        gate = stage.verdicts(run)
        assert "no normal baseline is recorded yet" in gate["queue lag against the normal baseline"]
        assert "nothing is recorded from before this release" in gate["dependency time-outs"]
