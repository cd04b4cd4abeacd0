"""Each part of the validation fails in turn: which step, what is said, what is restored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from sandbox.world import short
from tests.kills.patience import ROOMY
from tests.whole.stage import STAGING_ALONE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIGRATES, TAKES_BACK, PLAIN = "v1.4.0-rc.2", "v1.4.0-rc.4", "v1.4.0-rc.3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    tempo = replace(short(observation="5s", guards_for="10m"), load_within=ROOMY)
    async with Stage(tempo=tempo, environments=STAGING_ALONE) as stage:
        yield stage


@dataclass(frozen=True)
class Part:
    """migrations: what the database has had in the end: the compatible ones stay."""

    how: str
    version: str
    step: str
    said: str
    migrations: tuple[str, ...] = ()


PARTS = [
    Part("migration fails", MIGRATES, "Expand migration add-discounts", "orders_are_dear"),
    Part("migration fails", TAKES_BACK, "Expand migration widen-totals", "orders_are_dear"),
    Part("verification fails", MIGRATES, "Verify the data", "1 orders of no product", ("add-discounts",)),
    Part("crash loop", TAKES_BACK, "Deploy catalog", "SHOP_CATALOG_URL is not set"),
    Part("orders fail", PLAIN, "Smoke tests", "POST /api/orders"),
    Part("integration fails", PLAIN, "API integration tests: api", "an anvil costs 5200, it is sold for 4900"),
    Part("workflow fails", PLAIN, "End-to-end tests: orders", "an anvil costs 5200, it is sold for 4900"),
    Part("schema fails", PLAIN, "Migration checks: schema", "legacy_code"),
    Part("compatibility fails", TAKES_BACK, "Backward compatibility: old-queries", "legacy_code"),
    Part("slow under load", MIGRATES, "Performance baseline", "target 500 ms", ("add-discounts",)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.how} {part.version}".replace(" ", "-"))
async def test_what_fails_is_named_and_images_and_schema_are_restored(stage: Stage, part: Part) -> None:
    world = stage.world
    await stage.begin_anew()
    images, orders = stage.staging_images(), world.database.columns("staging", "orders")
    world.spoil(part.version, part.how)
    run = await stage.deploy(part.version)
    sentence = await stage.until_ended(run, within_s=240)
    assert " – returned" in sentence
    assert f":x: {part.step}" in stage.headline(run)
    assert part.said in stage.thread(run)
    assert stage.staging_images() == images
    assert world.database.migrations("staging") == list(part.migrations)
    assert world.database.columns("staging", "orders") == orders
    version = next(iter(images.values()))
    await stage.until(lambda: world.serves("staging", version), "the old pods serve")
    assert stage.jobs() == []
    await stage.until_no_job_process()
