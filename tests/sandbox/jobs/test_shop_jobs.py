"""The programs in the shop's images, each as the process that a Job makes of it: on a real PostgreSQL and a shop that serves."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from aiohttp import web

from sandbox.jobs.image import BEHAVIOUR
from sandbox.serving import listen
from sandbox.shop import Shop, Spoil
from sandbox.world.database import ShopDatabase
from sandbox.world.tags import TAGS

DIGEST = "sha256:" + "a" * 64
DISCOUNTS, WIDER, OLD = "v1.4.0-rc.2", "v1.4.0-rc.4", "v1.3.0"


@pytest.fixture(scope="module")
def database() -> Iterator[ShopDatabase]:
    served = ShopDatabase(("staging",), {})
    try:
        served.start()
        yield served
    finally:
        served.stop()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    served = Shop(environments=("staging",))
    await served.start()
    container = {"name": "web", "image": f"127.0.0.1:5000/acme/web@{DIGEST}"}
    metadata = {"name": "web-1", "namespace": "staging", "uid": "web-1", "labels": {"app": "web"}}
    await served.start_pod({"metadata": metadata, "spec": {"containers": [container]}})
    yield served
    await served.stop()


@dataclass
class Images:
    """The unpacked images, and the environment that a Job gives their programs."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def behave(self, version: str, **programs: str) -> None:
        (self.folder / version / BEHAVIOUR).write_text(json.dumps(programs))

    async def run(self, version: str, *args: str, **env: str) -> tuple[int, str]:
        """Exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox.jobs", "--image", str(self.folder / version), *args,
            env={"PATH": os.environ["PATH"], **self.env, **env}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, output.decode()


@pytest.fixture
def images(tmp_path: Path, database: ShopDatabase) -> Images:
    for tag in TAGS:
        for path, text in tag.files().items():
            if text is not None:
                place = tmp_path / tag.version / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
    data = database.secret("staging")["data"]
    return Images(tmp_path, {key: base64.b64decode(value).decode() for key, value in data.items()})


def cases(output: str) -> dict[str, str]:
    """test -> why it failed, of the JUnit XML at the end of the output."""
    root = Xml.fromstring(output[output.index("<?xml") :])
    found = {}
    for case in root.iter("testcase"):
        failure = case.find("failure")
        found[case.attrib["name"]] = "" if failure is None else failure.attrib["message"]
    return found


async def test_a_migration_is_applied_once_and_taken_back_and_the_data_stay_whole(
    images: Images, database: ShopDatabase
) -> None:
    before = database.columns("staging", "orders")
    code, said = await images.run(WIDER, "migrate", "up", "widen-totals")
    assert (code, database.columns("staging", "orders")["total"]) == (0, "bigint"), said
    assert database.migrations("staging") == ["widen-totals"]
    assert "nothing to do" in (await images.run(WIDER, "migrate", "up", "widen-totals"))[1]
    assert (await images.run(WIDER, "verify"))[0] == 0
    assert (await images.run(WIDER, "migrate", "down", "widen-totals"))[0] == 0
    assert (database.columns("staging", "orders"), database.migrations("staging")) == (before, [])
    code, said = await images.run(WIDER, "verify")
    assert (code, "orders: 300 rows" in said) == (0, True), said


def test_a_second_start_finds_the_migrations_that_were_applied_before() -> None:
    served = ShopDatabase(("staging", "prod"), {"staging": ["add-discounts", "widen-totals"]})
    try:
        served.start()
        assert served.migrations("staging") == ["add-discounts", "widen-totals"]
        assert served.columns("staging", "orders")["total"] == "bigint"
        assert served.columns("prod", "orders")["total"] == "integer"
        served.execute("staging", "DROP TABLE orders")
        served.reset("staging")
        assert "total" in served.columns("staging", "orders")
    finally:
        served.stop()


async def test_a_migration_that_the_data_break_fails_and_changes_nothing(
    images: Images, database: ShopDatabase
) -> None:
    before = database.columns("staging", "products")
    images.behave(DISCOUNTS, migrate="fails")
    code, said = await images.run(DISCOUNTS, "migrate", "up", "add-discounts")
    assert code == 1
    assert "orders_are_dear" in said
    assert database.columns("staging", "products") == before
    assert database.migrations("staging") == []


async def test_a_verification_finds_an_order_of_nothing_and_a_migration_that_is_not_on_record(
    images: Images, database: ShopDatabase
) -> None:
    images.behave(WIDER, verify="fails")
    code, said = await images.run(WIDER, "verify")
    assert (code, "NOT WHOLE: 1 orders of no product" in said) == (1, True), said
    images.behave(WIDER)
    database.execute("staging", "INSERT INTO schema_versions (name) VALUES ('widen-totals')")
    try:
        code, said = await images.run(WIDER, "verify")
        assert (code, "widen-totals is not there, though on record" in said) == (1, True), said
    finally:
        database.execute("staging", "DELETE FROM schema_versions")


async def test_without_its_secret_a_program_says_what_is_missing(images: Images) -> None:
    code, said = await images.run(WIDER, "verify", PGHOST="")
    assert (code, "PGHOST is not set" in said) == (1, True)


async def test_the_old_queries_work_on_the_new_schema_and_the_new_ones_not_on_the_old(
    images: Images, database: ShopDatabase
) -> None:
    code, said = await images.run(DISCOUNTS, "suite", "migration")
    assert code == 1
    assert "discount_percent" in cases(said)["the new version can list the products with their discounts"]
    await images.run(DISCOUNTS, "migrate", "up", "add-discounts")
    try:
        assert (await images.run(DISCOUNTS, "suite", "migration"))[0] == 0
        code, said = await images.run(OLD, "suite", "compatibility", FORGE_VERSION=DISCOUNTS)
        assert (code, set(cases(said).values())) == (0, {""}), said
        images.behave(DISCOUNTS, compatibility="fails")
        code, said = await images.run(OLD, "suite", "compatibility", FORGE_VERSION=DISCOUNTS)
        assert (code, "legacy_code" in "".join(cases(said).values())) == (1, True), said
    finally:
        await images.run(DISCOUNTS, "migrate", "down", "add-discounts")


@pytest.mark.parametrize("suite", ["integration", "e2e"])
async def test_a_suite_passes_on_a_good_shop_and_names_what_fails_on_a_bad_one(
    images: Images, shop: Shop, suite: str
) -> None:
    images.env |= {"FORGE_TARGET_URL": shop.endpoint_url("staging", "web"), "SHOP_CUSTOMER_TOKEN": shop.token}
    code, said = await images.run(OLD, "suite", suite)
    assert (code, set(cases(said).values()), len(cases(said)) >= 4) == (0, {""}, True), said
    images.behave(OLD, **{suite: "fails"})
    code, said = await images.run(OLD, "suite", suite)
    failed = {name: why for name, why in cases(said).items() if why}
    assert (code, failed) == (1, {"an anvil is dear": "an anvil costs 5200, it is sold for 4900"})
    images.behave(OLD)
    shop.spoil(DIGEST, Spoil(error_ratio=1.0))
    code, said = await images.run(OLD, "suite", suite)
    assert (code, "the answer was 500" in said) == (1, True), said


async def test_a_flood_of_fifty_megabytes_ends_with_the_result(images: Images, shop: Shop) -> None:
    images.env |= {"FORGE_TARGET_URL": shop.endpoint_url("staging", "web"), "SHOP_CUSTOMER_TOKEN": shop.token}
    images.behave(OLD, integration="floods")
    code, said = await images.run(OLD, "suite", "integration")
    assert (code, len(said) > 49 * 1024 * 1024, set(cases(said).values())) == (0, True, {""})


async def test_the_load_asks_at_its_rate_whether_the_shop_is_fast_or_slow(images: Images, shop: Shop) -> None:
    images.env |= {"FORGE_TARGET_URL": shop.endpoint_url("staging", "web"), "SHOP_CUSTOMER_TOKEN": shop.token}
    rate = {"FORGE_LOAD_RATE": "20", "FORGE_LOAD_DURATION": "1"}
    code, said = await images.run(OLD, "load", **rate)
    measured = json.loads(said[said.index("{") :])
    assert (code, measured["requests"], measured["failed"], measured["throughput_per_s"]) == (0, 20, 0, 20)
    assert 0 < measured["latency_ms"]["p50"] <= measured["latency_ms"]["p95"] <= measured["latency_ms"]["p99"]
    shop.spoil(DIGEST, Spoil(latency_s=0.4))
    code, said = await images.run(OLD, "load", **rate)
    measured = json.loads(said[said.index("{") :])
    assert (code, measured["requests"], measured["latency_ms"]["p50"] >= 400) == (0, 20, True)


async def test_the_load_goes_on_asking_while_nothing_is_answered(images: Images) -> None:
    """An answer comes once all twenty were asked: to a load that waits for each before the next, never."""
    asked, all_asked = 0, asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1 + 20:  # the first one opens the connection
            all_asked.set()
        if asked > 1:
            await all_asked.wait()
        return web.json_response({})

    runner, url = await listen([web.route("*", "/{any:.*}", answer)], [], "127.0.0.1", 0)
    images.env |= {"FORGE_TARGET_URL": url, "SHOP_CUSTOMER_TOKEN": "x"}
    code, said = await images.run(OLD, "load", FORGE_LOAD_RATE="20", FORGE_LOAD_DURATION="1")
    measured = json.loads(said[said.index("{") :])
    assert (code, measured["requests"], measured["failed"]) == (0, 20, 0)
    await runner.cleanup()


async def test_garbage_is_printed_in_place_of_the_figures(images: Images, shop: Shop) -> None:
    images.behave(OLD, load="garbage")
    code, said = await images.run(OLD, "load", FORGE_LOAD_RATE="20", FORGE_LOAD_DURATION="1")
    assert (code, "NaN" in said) == (0, True)
