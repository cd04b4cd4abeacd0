"""`/forge status`: what runs where by the ledger, held against clusters and GitHub; what is newer; what waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine import status_lookup
from engine.answers import Answer, AnswerKind
from engine.journal import Turn
from engine.records import Override, Prompt, Run
from engine.status_lookup import look_up_status
from engine.views import PlaceView, StatusView
from runbook.errors import Temporary
from runbook.policy import Policy, Setting
from runbook.values import Environment
from tests.engine.harness import ADA, bench, without_data
from tests.engine.places_known import DEV, PROD, SHOP, STAGING, Known, known_places, release, sha
from tests.fakes.clock import NOON


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    with known_places(tmp_path) as made:
        yield made


async def asked(known: Known, service: str = "") -> Answer:
    finish = await look_up_status(known.asking("status", service=service))
    return await known.store.read(lambda ledger: finish(Turn(ledger, NOON, known.setting), None))


async def status(known: Known, service: str = "") -> StatusView:
    view = (await asked(known, service)).view
    assert isinstance(view, StatusView)
    return view


async def place(known: Known, environment: Environment) -> PlaceView:
    [found] = [each for each in (await status(known)).places if each.environment == environment.value]
    return found


# --- what runs ----------------------------------------------------------------------------------------------------------


async def test_each_place_says_version_digest_since_when_and_by_whom(known: Known) -> None:
    run = await known.told("released", release("v1.3.0", sha(1), "b"), by="Olga")
    await known.runs(PROD, release("v1.3.0", sha(1), "b"))
    found = await place(known, PROD)
    assert (found.version, found.digest) == ("v1.3.0", "sha256:bbbbbbbbbbbb…")
    assert (found.since, found.by_name, found.run) == (NOON - timedelta(hours=5) + timedelta(minutes=1), "Olga", run)
    assert (found.drift, found.is_asked, found.unknown) == ("", True, ())


async def test_all_places_are_shown_dev_first_also_those_where_nothing_is_on_record(known: Known) -> None:
    found = (await status(known)).places
    assert [(each.environment, each.version) for each in found] == [("dev", ""), ("staging", ""), ("prod", "")]


async def test_one_environment_alone_is_told_and_its_cluster_alone_is_asked(known: Known) -> None:
    run = await known.told("released", release("v1.3.0", sha(1)))
    await known.told("go", release("v1.4.0-rc.1", sha(2)))
    finish = await look_up_status(known.asking("status", PROD))
    view = (await known.store.read(lambda ledger: finish(Turn(ledger, NOON, known.setting), None))).view
    assert isinstance(view, StatusView)
    assert [(each.environment, each.version, each.is_asked) for each in view.places] == [("prod", "v1.3.0", True)]
    assert [line.id for line in view.recent] == [run]
    seen = await status_lookup.look_around(known.ports, [SHOP], PROD)
    assert list(seen.images) == [("shop", "prod")]


async def test_a_version_that_was_rolled_back_runs_no_more(known: Known) -> None:
    await known.told("released", release("v1.3.0", sha(1)), by="Olga")
    await known.told("released", release("v1.4.0", sha(2)), by="Pia")
    run = await known.told("rolled_back", release("v1.4.0", sha(2)), by="Sam")
    found = await place(known, PROD)
    assert (found.version, found.is_back, found.by_name, found.run) == ("v1.3.0", True, "Sam", run)


async def test_dev_after_a_failed_commit_runs_the_one_before(known: Known) -> None:
    await known.told("validated", release("000000000001", sha(1)))
    await known.told("not_validated", release("000000000002", sha(2)))
    assert (await place(known, DEV)).version == "000000000001"


async def test_a_cluster_that_runs_something_else_than_forge_deployed_is_told(known: Known) -> None:
    await known.told("go", release("v1.4.0-rc.1", sha(1), "a"))
    await known.runs(STAGING, release("v1.4.0-rc.1", sha(1), "a"))
    assert (await place(known, STAGING)).drift == ""
    await known.clusters[STAGING].set_images("web", {"app": "registry.example/acme/web:latest"}, {})
    assert (await place(known, STAGING)).drift == "something else than forge deployed: web runs web:latest"
    del known.clusters[STAGING].deployments["worker"]
    assert "worker is not there" in (await place(known, STAGING)).drift


async def test_what_forge_never_deployed_is_told_as_that(known: Known) -> None:
    assert (await place(known, STAGING)).drift.startswith("what forge didn't deploy: web runs old@sha256:0")


async def test_a_run_that_changes_a_place_is_no_drift(known: Known) -> None:
    await known.told("go", release("v1.4.0-rc.1", sha(1), "a"))
    run = Run(
        id="staging-9", number=9, service="shop", environment="staging", procedure="staging", version="v1.4.0-rc.2",
        arguments={}, requester="T1:UADA", requester_name="Ada", state="waiting", created_at=NOON, first_effect_at=NOON,
    )  # fmt: skip
    await known.store.write(lambda ledger: ledger.add(run))
    found = await place(known, STAGING)
    assert (found.version, found.under_way, found.drift) == ("v1.4.0-rc.1", "staging-9 (v1.4.0-rc.2)", "")


# --- what is newer ------------------------------------------------------------------------------------------------------


async def test_dev_says_how_many_commits_came_since(known: Known) -> None:
    known.pushed(4)
    await known.told("validated", release("000000000001", sha(1)))
    assert (await place(known, DEV)).newer == ("3 commits on main since; the newest is 000000000000, Change 4",)
    await known.told("validated", release("000000000004", sha(4)))
    assert (await place(known, DEV)).newer == ()


async def test_staging_names_newer_candidates_the_newest_first(known: Known) -> None:
    for number in range(1, 7):
        known.tag(f"v1.4.0-rc.{number}", sha(number))
    await known.told("go", release("v1.4.0-rc.1", sha(1)))
    assert (await place(known, STAGING)).newer == ("v1.4.0-rc.6, v1.4.0-rc.5, v1.4.0-rc.4 and 2 more",)


async def test_production_names_versions_with_a_go_and_says_whether_their_tag_is_there(known: Known) -> None:
    await known.told("released", release("v1.3.0", sha(1)))
    await known.told("go", release("v1.3.0-rc.1", sha(1)))
    await known.told("go", release("v1.4.0-rc.1", sha(2)))
    await known.told("go", release("v1.4.0-rc.2", sha(3)))
    await known.told("go", release("v1.5.0-rc.1", sha(4)))
    await known.told("no_go", release("v1.5.0-rc.1", sha(4)))
    assert (await place(known, PROD)).newer == ("v1.4.0 has its go (v1.4.0-rc.2); its tag v1.4.0 is not there yet",)
    known.tag("v1.4.0", sha(3))
    assert (await place(known, PROD)).newer == ("v1.4.0 has its go (v1.4.0-rc.2)",)


# --- what could not be asked --------------------------------------------------------------------------------------------


async def test_what_could_not_be_asked_is_said_and_the_rest_is_shown(known: Known) -> None:
    known.pushed(2)
    await known.told("validated", release("000000000001", sha(1)))
    await known.told("go", release("v1.4.0-rc.1", sha(1)))
    known.world.code.error = Temporary("github", "unreachable", "GitHub can't be reached")
    known.clusters[DEV].errors["deployment"] = [Temporary("kubernetes", "unreachable", "it can't be reached")] * 2
    dev, staging, _ = (await status(known)).places
    assert (dev.version, dev.unknown) == ("000000000001", ("the cluster: it can't be reached",))
    assert dev.newer
    assert (staging.version, staging.unknown) == ("v1.4.0-rc.1", ("tags: GitHub can't be reached",))


async def test_a_cluster_that_hangs_holds_nothing_up(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_lookup, "LONGEST_S", 0.05)

    async def hang(name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(known.clusters[PROD], "deployment", hang)
    await known.told("released", release("v1.3.0", sha(1)))
    found = await place(known, PROD)
    assert (found.version, found.is_asked) == ("v1.3.0", False)
    assert found.unknown == ("the cluster: no answer within 0.05 s",)


async def test_forty_services_are_asked_at_most_ten_at_a_time(known: Known) -> None:
    services = {name: replace(SHOP, name=name) for name in (f"shop-{n:02}" for n in range(40))}
    known.setting = Setting(Policy(), services, "s1")
    under_way, most = 0, 0
    ask = known.clusters[STAGING].deployment

    async def counted(name: str) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await ask(name)

    known.clusters[STAGING].deployment = counted  # type: ignore[method-assign, assignment]
    assert len((await status(known)).places) == 120
    assert 1 < most <= 10


async def test_one_service_is_shown_alone(known: Known) -> None:
    services = {name: replace(SHOP, name=name) for name in ("shop", "desk")}
    known.setting = Setting(Policy(), services, "s1")
    assert {each.service for each in (await status(known, "desk")).places} == {"desk"}


# --- what waits for whom ------------------------------------------------------------------------------------------------


async def test_what_waits_is_told_with_whom_it_waits_for_and_the_card_s_link(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        quiet = await here.act("status", ADA)
        assert (quiet.kind, quiet.text) == (AnswerKind.INFO, "Nothing is under way.")
        run = await here.deploy()
        await here.until(run, "waiting")
        await here.clock.settle()
        answer = await here.act("status", ADA)
        assert answer.text == "1 run is under way; 1 question waits for somebody."
        assert isinstance(answer.view, StatusView)
        [wait] = answer.view.waiting
        [card] = [m for m in here.chat.messages if f"approval:{run}" in m.message_id]
        assert (wait.run, wait.permalink) == (run, f"https://slack.test/{card.ts}")
        assert "Waiting for Service Owner" in wait.text
        assert wait.until is not None


async def test_a_pause_and_an_override_wait_for_somebody_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        run = await here.deploy()
        await here.until(run, "waiting")
        await here.act("pause", ADA, run)
        asked = Override(
            id=f"{run}/o1", run=run, index=0, gate="change window", code="x", verdict_reason="closed", asked_by="T1:UADA",
            asked_by_name="Ada", reason="agreed", asked_at=here.clock.now(),
        )  # fmt: skip
        await here.store.write(lambda ledger: ledger.add(asked))
        view = (await here.act("status", ADA)).view
        assert isinstance(view, StatusView)
        texts = " | ".join(wait.text for wait in view.waiting)
        assert "Paused since" in texts
        assert "in spite of “change window”? Ada asks: agreed" in texts


async def test_a_held_run_and_a_prompt_to_on_call_wait_and_what_ends_first_comes_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.outside.results["look"] = lambda: without_data("look")
        run = await here.deploy()
        await here.until(run, "held")
        now = here.clock.now()
        prompt = Prompt(
            id=f"{run}/p1", run=run, number=1, kind="guard", subject="error rate", trigger="", segment=1,
            reason="error rate 3.4 %", opened_at=now, deadline=now + timedelta(minutes=15),
        )  # fmt: skip
        await here.store.write(lambda ledger: ledger.add(prompt))
        view = (await here.act("status", ADA)).view
        assert isinstance(view, StatusView)
        first, second = view.waiting
        assert (first.text, first.until) == ("On-call: roll back, or go on? error rate 3.4 %", prompt.deadline)
        assert second.text.startswith("Held at “look”")
        assert second.until is None


async def test_backups_that_run_are_no_release_of_a_place(known: Known) -> None:
    run = Run(
        id="prod-9", number=9, service="shop", environment="prod", procedure="backup", version="backup", arguments={},
        requester="T1:UADA", requester_name="Ada", state="running", created_at=NOON, first_effect_at=NOON,
    )  # fmt: skip
    await known.store.write(lambda ledger: ledger.add(run))
    assert (await place(known, PROD)).under_way == ""
