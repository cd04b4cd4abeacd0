"""Which of several installed programs is taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integrations.postgres import ProgramFinder, Version, outdated
from runbook.errors import Permanent
from tests.integrations.postgres.servers import finder


def _installed(folder: Path, said: str, name: str = "pg_dump") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{said}'\n")
    (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any PostgreSQL of its own."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("integrations.postgres.programs._PACKAGED", tmp_path / "nowhere")


@pytest.fixture
def several(alone: None, tmp_path: Path) -> ProgramFinder:
    said = (
        "pg_dump (PostgreSQL) 21.1",
        "pg_dump (PostgreSQL) 19.3 (Debian 19.3-1)",
        "pg_dump (PostgreSQL) 19.4",
        "pg_dump (PostgreSQL) 20beta1",
    )
    return ProgramFinder([_installed(tmp_path / str(number), each) for number, each in enumerate(said)])


async def test_the_smallest_sufficient_version_is_taken_and_of_it_the_newest(several: ProgramFinder) -> None:
    assert (await several.at_least("pg_dump", 18)).version == Version(19, 4)
    assert (await several.at_least("pg_dump", 20)).version == Version(20, 0)
    assert (await several.exactly("pg_dump", 21)).version == Version(21, 1)


async def test_a_version_that_nobody_has_is_told_with_the_remedy(several: ProgramFinder) -> None:
    for asking in (several.at_least("pg_dump", 22), several.exactly("pg_dump", 18), several.at_least("pg_restore", 18)):
        with pytest.raises(Permanent) as raised:
            await asking
        assert raised.value.code == "postgres.no_program"
        assert raised.value.remedy


async def test_an_upgrade_is_noticed(alone: None, tmp_path: Path) -> None:
    folder = _installed(tmp_path / "bin", "pg_dump (PostgreSQL) 19.3")
    programs = ProgramFinder([folder])
    assert (await programs.at_least("pg_dump", 19)).version.minor == 3
    path = _installed(folder, "pg_dump (PostgreSQL) 19.4") / "pg_dump"
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))
    assert (await programs.at_least("pg_dump", 19)).version.minor == 4


@pytest.mark.parametrize("said", ["pg_dump (SomethingElse) 19.3", "", "hello"])
async def test_what_is_not_postgresqls_is_passed_over(alone: None, tmp_path: Path, said: str) -> None:
    assert await ProgramFinder([_installed(tmp_path / "bin", said)]).found("pg_dump") == ()


async def test_a_program_of_another_machine_is_passed_over(alone: None, tmp_path: Path) -> None:
    path = _installed(tmp_path / "bin", "") / "pg_dump"
    path.write_bytes(b"\x7fELF of another architecture")
    assert await ProgramFinder([tmp_path / "bin"]).found("pg_dump") == ()


async def test_programs_on_path_are_found_and_debians_wrapper_is_not(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper picks a version by rules of its own."""
    wrapper = _installed(tmp_path / "share", "pg_dump (PostgreSQL) 19.9", "pg_wrapper") / "pg_wrapper"
    path = _installed(tmp_path / "bin", "pg_dump (PostgreSQL) 19.1")
    (path / "pg_restore").symlink_to(wrapper)
    monkeypatch.setenv("PATH", str(path))
    assert len(await ProgramFinder().found("pg_dump")) == 1
    assert await ProgramFinder().found("pg_restore") == ()


async def test_only_programs_with_tls_serve_a_connection_that_needs_it() -> None:
    """The packages from pip are built without it."""
    programs = finder()
    assert (await programs.exactly("pg_dump", 15, tls=True)).version.major == 15
    assert (await programs.exactly("pg_dump", 16)).version.major == 16
    with pytest.raises(Permanent) as raised:
        await programs.exactly("pg_dump", 16, tls=True)
    assert "TLS" in raised.value.cause


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (Version(18, 6), Version(18, 7)), (Version(18, 7), None), (Version(17, 11), Version(17, 12)),
        (Version(16, 15), Version(16, 16)), (Version(15, 20), None), (Version(14, 24), Version(14, 25)), (Version(19, 0), None),
    ],
)  # fmt: skip
def test_client_programs_without_a_fix_are_outdated(version: Version, wanted: Version | None) -> None:
    assert outdated(version) == wanted
