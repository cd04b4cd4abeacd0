"""Servers of forge's own: made, found again by name, told apart from strangers, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from integrations.postgres.instances import LocalInstances, connect
from integrations.postgres.programs import ProgramFinder
from integrations.postgres.server_processes import running
from integrations.postgres.service_files import read_service_file
from runbook.backups import Instance
from runbook.errors import ForgeError
from tests.integrations.postgres.servers import FAST, finder, new_scratch, until


@pytest.fixture
def programs() -> ProgramFinder:
    return finder()


@pytest.fixture
async def instances(scratch: Path, programs: ProgramFinder) -> LocalInstances:
    return LocalInstances(scratch, programs, FAST)


async def ask(instance: Instance, question: str, database: str = "template1") -> object:
    async with await connect(Path(instance.service_file), database) as session:
        row = await (await session.execute(question.encode())).fetchone()
        return row[0] if row else None


@pytest.mark.parametrize("major", [18, 16, 15])
async def test_a_server_of_the_version_asked_for_stands_and_is_gone_after_its_drop(
    instances: LocalInstances, scratch: Path, major: int
) -> None:
    instance = await instances.provision("drill-1", major, "shop")
    assert str(await ask(instance, "SHOW server_version_num")).startswith(str(major))
    assert await instances.standing() == ("drill-1",)
    await instances.drop("drill-1")
    assert await instances.standing() == ()
    assert not instances.alive("drill-1")
    assert not [path for path in scratch.rglob("*") if path.is_file() or path.is_socket()]


async def test_nobody_comes_in_without_the_password_and_only_forge_can_read_it(
    instances: LocalInstances, scratch: Path
) -> None:
    instance = await instances.provision("drill-1", 16, "shop")
    service_file = Path(instance.service_file)
    words = read_service_file(service_file)
    assert stat.S_IMODE(service_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert words["password"] not in repr(instance)
    words["password"] = "guess"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect("", dbname="template1", **words)  # type: ignore[arg-type]
    assert await ask(instance, "SHOW listen_addresses") == ""
    assert words["password"] not in instances.places("drill-1").log.read_text()


async def test_a_second_provision_finds_the_same_server(instances: LocalInstances) -> None:
    first = await instances.provision("drill-1", 16, "shop")
    began = await ask(first, "SELECT pg_postmaster_start_time()::text")
    again = await instances.provision("drill-1", 16, "shop")
    assert again == first
    assert await ask(again, "SELECT pg_postmaster_start_time()::text") == began


async def test_another_forge_finds_the_server_of_one_that_died_and_can_drop_it(
    instances: LocalInstances, scratch: Path, programs: ProgramFinder
) -> None:
    first = await instances.provision("drill-1", 16, "shop")
    began = await ask(first, "SELECT pg_postmaster_start_time()::text")
    later = LocalInstances(scratch, programs, FAST)
    assert await later.standing() == ("drill-1",)
    assert later.alive("drill-1")
    found = await later.provision("drill-1", 16, "shop")
    assert await ask(found, "SELECT pg_postmaster_start_time()::text") == began
    await later.drop("drill-1")
    assert await later.standing() == ()
    assert not instances.alive("drill-1")


async def test_a_half_made_server_is_made_anew(instances: LocalInstances) -> None:
    """As after a death within initdb: data without the mark that they are whole."""
    places = instances.prepare("drill-1")
    places.data.mkdir()
    (places.data / "PG_VERSION").write_text("16\n")
    instance = await instances.provision("drill-1", 16, "shop")
    assert await ask(instance, "SELECT 1") == 1


async def test_a_server_that_crashed_comes_back_with_its_data(instances: LocalInstances) -> None:
    instance = await instances.provision("drill-1", 16, "shop")
    async with await connect(Path(instance.service_file), "template1") as session:
        await session.execute("CREATE TABLE kept (n int)")
        await session.execute("CHECKPOINT")
    pid = running(instances.places("drill-1").data)
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    await until(lambda: not instances.alive("drill-1"), "the crashed server is gone")
    again = await instances.provision("drill-1", 16, "shop")
    assert await ask(again, "SELECT count(*) FROM kept") == 0


async def test_another_major_version_replaces_the_server_of_that_name(instances: LocalInstances) -> None:
    await instances.provision("drill-1", 16, "shop")
    instance = await instances.provision("drill-1", 15, "shop")
    assert str(await ask(instance, "SHOW server_version_num")).startswith("15")


async def test_a_process_that_only_has_the_servers_number_is_left_alone(instances: LocalInstances) -> None:
    await instances.provision("drill-1", 16, "shop")
    places = instances.places("drill-1")
    lines = (places.data / "postmaster.pid").read_text().splitlines()
    await instances.stop("drill-1")
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as stranger:
        (places.data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert running(places.data) is None
        await instances.drop("drill-1")
        assert stranger.poll() is None
        stranger.kill()


async def test_a_server_that_cant_start_says_why(scratch: Path, programs: ProgramFinder) -> None:
    broken = LocalInstances(scratch, programs, {"shared_buffers": "nonsense"})
    with pytest.raises(ForgeError) as refused:
        await broken.provision("drill-1", 16, "shop")
    assert refused.value.code == "postgres.died"
    assert 'invalid value for parameter "shared_buffers"' in str(refused.value)
    assert not broken.alive("drill-1")
    await broken.drop("drill-1")


async def test_two_servers_stand_beside_each_other(instances: LocalInstances) -> None:
    one, two = await asyncio.gather(*(instances.provision(f"drill-{n}", 16, "shop") for n in (1, 2)))
    async with await connect(Path(one.service_file), "template1") as session:
        await session.execute("CREATE TABLE of_one (n int)")
    assert await ask(two, "SELECT to_regclass('of_one')") is None
    assert await instances.standing() == ("drill-1", "drill-2")
    await instances.drop("drill-1")
    assert await ask(two, "SELECT 1") == 1


async def test_what_is_not_there_is_dropped_without_a_word(instances: LocalInstances) -> None:
    await instances.drop("drill-9")
    assert await instances.standing() == ()


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".hidden", "a b", "x" * 101])
async def test_a_name_that_leads_elsewhere_is_refused(instances: LocalInstances, name: str) -> None:
    with pytest.raises(ForgeError) as refused:
        await instances.drop(name)
    assert refused.value.code == "postgres.name"


async def test_a_scratch_path_too_long_for_a_socket_is_refused(programs: ProgramFinder) -> None:
    with new_scratch() as scratch, pytest.raises(ForgeError, match="too long for a Unix socket"):
        await LocalInstances(scratch / ("x" * 90), programs).provision("drill-1", 16, "shop")


async def test_a_version_that_isnt_installed_is_named(instances: LocalInstances) -> None:
    with pytest.raises(ForgeError, match="PostgreSQL 11"):
        await instances.provision("drill-1", 11, "shop")
