"""Contract migrations: what no running version needs is taken away by a run of its own, which the Database Owner approves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.records import Decision, Run, StepState
from runbook.jobs import JobOrder
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import RELEASE_FILE, SERVICE, World, good_life
from tests.scenarios.stage import Stage, offered, shown, stage

VERSION = "v1.4.0-rc.2"
MIGRATE = f"migrate staging {VERSION}"
DOWN = '    down: {workload: web, args: [migrate, down, "0009"]}\n'
CONTRACT = "Contract migration 0009-drop-price"


@asynccontextmanager
async def accepted(path: Path, release_file: str = RELEASE_FILE) -> AsyncIterator[Stage]:
    """A release with migrations got its go and runs: `staging-1` is completed."""
    world = World()
    world.code.files[SERVICE.release_file] = release_file
    async with stage(path, world=world) as s:
        await s.waits_for_go()
        await s.says("pia", "approve staging-1")
        await s.says("sam", "approve staging-1")
        assert (await s.until_state("ended")).ending == "completed"
        yield s


def contracts(order: JobOrder) -> bool:
    return order.args[-1:] == ("0009",)


async def approved(s: Stage) -> None:
    await s.says("ada", MIGRATE)
    await s.until_state("waiting", run_id="staging-2")
    await s.says("dora", "approve staging-2")


async def test_a_deployment_never_runs_what_contracts_and_migrate_does_when_the_database_owner_approves(
    tmp_path: Path,
) -> None:
    async with accepted(tmp_path) as s:
        assert not any(contracts(order) for order in s.world.cluster.created)
        answer = await s.says("ada", f'{MIGRATE} --reason "nobody reads it"')
        assert f"staging-2 has started: the contract migrations of {VERSION} of shop on staging" in answer
        await s.until_state("waiting", run_id="staging-2")
        assert "may not decide this" in await s.says("sam", "approve staging-2")
        assert not any(contracts(order) for order in s.world.cluster.created)
        await s.says("dora", "approve staging-2")
        run = await s.until_state("ended", run_id="staging-2")
        await s.shown_all()
        assert run.ending == "completed"
        assert [order.args for order in s.world.cluster.created if contracts(order)] == [("migrate", "up", "0009")]
        assert [d.result for d in s.rows(Decision, order="at")] == ["go", "contracted"]
        assert any("the contract migrations of shop" in note and "are done" in note for note in s.notes)


async def test_an_approval_card_says_what_becomes_of_the_schema(tmp_path: Path) -> None:
    world = World()
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    async with stage(tmp_path, world=world) as s:
        await s.waits_for_approval()
        card = shown(s.cards()[0].message)
    assert ":warning: *Migrations:*" in card
    assert "0007-currency: expand, backward compatible;" in card
    assert "0008-rename-total: expand, not backward compatible, with a way back" in card
    assert "0009-drop-price: contract, not backward compatible, without a way back" in card


async def test_a_version_without_its_go_may_not_contract(tmp_path: Path) -> None:
    world = World()
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    async with stage(tmp_path, world=world) as s:
        answer = await s.says("ada", MIGRATE)
        assert "can't be contracted on staging; nothing was started" in answer
        assert "got its go" in answer
        assert s.rows(Run) == []


async def test_nothing_is_taken_away_while_something_else_runs(tmp_path: Path) -> None:
    async with accepted(tmp_path) as s:
        await s.world.cluster.set_images("worker", {"app": "registry.example/acme/worker@sha256:old"}, {})
        await s.says("ada", MIGRATE)
        run = await s.until_state("ended", run_id="staging-2")
        assert (run.ending, run.ending_code) == ("failed", "running.other")
        assert not any(contracts(order) for order in s.world.cluster.created)


async def test_a_contract_migration_that_fails_holds_and_is_repeated_by_a_new_job(tmp_path: Path) -> None:
    async with accepted(tmp_path) as s:
        s.world.cluster.lives = lambda order: JobLife(exit_code=3) if contracts(order) else good_life(order)
        await approved(s)
        await s.until_state("held", run_id="staging-2")
        await s.shown_all()
        assert any("staging-2 is held: " + CONTRACT in note for note in s.notes)
        s.world.cluster.lives = good_life
        await s.says("ada", "retry staging-2")
        assert (await s.until_state("ended", run_id="staging-2")).ending == "completed"
        keys = [order.key for order in s.world.cluster.created if contracts(order)]
        assert len(keys) == len(set(keys)) == 2


async def test_an_abort_takes_back_what_has_a_way_back_and_says_nothing_of_the_versions_go(tmp_path: Path) -> None:
    release_file = RELEASE_FILE.replace("verification:", f"{DOWN}verification:")
    async with accepted(tmp_path, release_file) as s:
        before = s.images()
        s.world.cluster.lives = lambda order: JobLife(runs_s=300.0) if contracts(order) else good_life(order)
        await approved(s)
        await s.until(lambda: any(contracts(order) for order in s.world.cluster.created))
        s.world.cluster.lives = good_life
        await s.says("ada", "abort staging-2 --reason second-thoughts")
        run = await s.until_state("ended", run_id="staging-2")
        assert run.ending == "returned"
        assert [order.args[1] for order in s.world.cluster.created if contracts(order)] == ["up", "down"]
        assert [d.result for d in s.rows(Decision, order="at")] == ["go", "not_contracted"]
        assert s.images() == before
        assert s.world.cluster.there == {}


async def test_an_abort_of_what_has_no_way_back_is_left_to_people_and_never_called_whole(tmp_path: Path) -> None:
    async with accepted(tmp_path) as s:
        s.world.cluster.lives = lambda order: JobLife(runs_s=300.0) if contracts(order) else good_life(order)
        await approved(s)
        await s.until(lambda: any(contracts(order) for order in s.world.cluster.created))
        await s.says("ada", "abort staging-2 --reason second-thoughts")
        run = await s.until_state("ended", run_id="staging-2")
        await s.shown_all()
        assert run.ending == "incomplete"
        assert any("has no way back" in note for note in s.notes)
        left = [step for step in s.steps("staging-2") if step.kind == "left_to_people"]
        assert [step.state for step in left] == [StepState.DONE]


async def test_a_second_contract_run_of_the_same_version_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    async with accepted(tmp_path) as s:
        await s.says("ada", MIGRATE)
        assert f"staging-2 contracts {VERSION} already" in await s.says("rob", MIGRATE)
        await s.until_state("waiting", run_id="staging-2")
        assert "approve" in offered(s.cards()[-1].message)
