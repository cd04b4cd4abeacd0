"""Backups, restores and recoveries beside the same done by hand with PostgreSQL's and age's own programs, on one database, in turns.

By hand nothing is decoded on the way, hashed, signed or checked: the limits say how much all of that may cost. Memory is that of a process
which does nothing but the backup.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from integrations.postgres.instances import LocalInstances, target, tool_environment
from runbook.backups import Manifest
from runbook.database_ports import RestoreOrder
from runbook.rules.wal import is_segment
from sandbox.postgres import USER, LocalPostgres
from tests.bench.figures import Figure
from tests.integrations.postgres.physical import Site, asks, server_now
from tests.integrations.postgres.servers import FAST, end_all, finder, new_scratch
from tests.integrations.postgres.test_wal_receiver import KEEP, Receiving

MB = 1_000_000
SIZE_MB, ROUNDS = 1_000, 2
MEMORY_MB = (100, 1_000, 3_000)
BACKUP_TIMES, RESTORE_TIMES, RECOVERY_TIMES, ADDED_MB = 1.25, 1.25, 1.2, 64.0
ROW_BYTES = 150
MAJOR = 18
FILL = """INSERT INTO ledger (day, cents, note)
SELECT now() - n * interval '1 s', n % 100000, md5(n::text) || md5((n * 7)::text) || md5((n % 1000)::text)
FROM generate_series(1, {rows}) n"""
WITHIN_S = 1800.0


@dataclass
class Beside:
    """One thing done by both, in turns. ours, by_hand: what does it, after what prepares it and isn't counted."""

    ours: list[float]
    by_hand: list[float]

    @property
    def times(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.by_hand)

    def __str__(self) -> str:
        return f"{statistics.median(self.ours):.1f} s against {statistics.median(self.by_hand):.1f} s"


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    size_mb, rounds = (100, 1) if quick else (SIZE_MB, ROUNDS)
    with LocalPostgres(settings=(*KEEP, "max_wal_size=4GB")) as server, new_scratch() as scratch:
        _grow(server, size_mb)
        site = Site(server, scratch)
        try:
            backup, restore = await _dumps(site, rounds)
            recovery = await _recoveries(site, rounds)
        finally:
            await end_all(scratch / "scratch")
    size = f"{size_mb / 1000:g} GB"
    figures = [
        Figure(f"backup of {size} against pg_dump -Fc | age", backup.times, BACKUP_TIMES, "times", str(backup)),
        Figure(f"restore of {size} against age -d, pg_restore", restore.times, RESTORE_TIMES, "times", str(restore)),
        Figure(f"recovery of {size} against plain commands", recovery.times, RECOVERY_TIMES, "times", str(recovery)),
    ]
    return figures + await _memory(folder, MEMORY_MB[:1] if quick else MEMORY_MB)


def _grow(server: LocalPostgres, size_mb: int) -> None:
    server.create_database("shop")
    asks(server, "CREATE TABLE ledger (id bigserial PRIMARY KEY, day timestamptz, cents int, note text)")
    while (have := _size_mb(server)) < size_mb:
        asks(server, FILL.format(rows=min(2_000_000, int((size_mb - have) * MB / ROW_BYTES) + 1000)))
    asks(server, "VACUUM ANALYZE")
    asks(server, "CHECKPOINT")


def _size_mb(server: LocalPostgres) -> float:
    size = asks(server, "SELECT pg_database_size('shop')")[0][0]
    assert isinstance(size, int)
    return size / MB


async def _seconds(doing: Awaitable[object]) -> float:
    os.sync()  # what was written before is nobody's burden
    begun = time.monotonic()
    await doing
    return time.monotonic() - begun


async def _shell(line: str, environment: dict[str, str] | None = None) -> None:
    """One line as people type it, in a shell that stops at the first failure."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-ceuo", "pipefail", line, env={**os.environ, **(environment or {})}
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        raise
    if code != 0:
        raise RuntimeError(f"exit code {code}: {line}")


# --- dumps ------------------------------------------------------------------------------------------------------------


async def _dumps(site: Site, rounds: int) -> tuple[Beside, Beside]:
    assert site.keys is not None
    binaries, hand = site.server.binaries, _by_hand(site)
    dump = (
        f"{binaries}/pg_dump -Fc --dbname='{site.server.url('shop')}' | age -r {site.keys.recipient} > {hand}/dump.age"
    )
    backup, restore = Beside([], []), Beside([], [])
    for number in range(rounds):
        backup.by_hand.append(await _seconds(_shell(dump)))
        made: list[Manifest] = []
        backup.ours.append(await _seconds(_kept(site.logical, made)))
        restore.by_hand.append(await _restored_by_hand(site, hand, f"hand-{number}"))
        restore.ours.append(await _restored(site, RestoreOrder(f"ours-{number}", made[0])))
    return backup, restore


async def _kept(making: Callable[[], Awaitable[Manifest]], made: list[Manifest]) -> None:
    made.append(await making())


async def _restored_by_hand(site: Site, hand: Path, name: str) -> float:
    """Into a server with the same settings, which is there already, by as many processes as forge takes."""
    assert site.keys is not None
    instances = LocalInstances(site.folder / "scratch", finder(), FAST)
    await instances.provision(name, MAJOR, "shop")
    places, jobs = instances.places(name), max(1, min(4, os.cpu_count() or 1))
    restore = (
        f"age -d -i {site.keys.identity_file} -o {hand}/dump {hand}/dump.age; "
        f"{site.server.binaries}/pg_restore --create --exit-on-error --no-owner --jobs={jobs} "
        f'--dbname="{target("postgres")}" {hand}/dump'
    )
    try:
        return await _seconds(_shell(restore, tool_environment(places)))
    finally:
        await instances.drop(name)
        (hand / "dump").unlink()


async def _restored(site: Site, order: RestoreOrder) -> float:
    host = site.restores()

    async def whole() -> None:
        await host.fetch(order, site.told.append)
        instance = await host.provision(order)
        await host.restore(order, instance, site.told.append)

    try:
        return await _seconds(whole())
    finally:
        await host.drop(order.name)


# --- recovery to a moment -----------------------------------------------------------------------------------------------


async def _recoveries(site: Site, rounds: int) -> Beside:
    """Of a base backup and the WAL of a tenth as much again."""
    receiving, hand = Receiving(site, "forge_shop", settings={"switch_s": 1.0}), _by_hand(site)
    async with receiving.running() as receiver:
        await _until(lambda: receiver.state().receiving)
        await _base_by_hand(site, hand)
        base = await site.base()
        asks(site.server, FILL.format(rows=int(_size_mb(site.server) * MB / ROW_BYTES / 10)))
        moment = server_now(site.server)
        asks(site.server, "INSERT INTO ledger (cents) VALUES (1)")
        await _until(lambda: any(segment.ended_at > moment for segment in site.segments))
    await _wal_by_hand(site, hand)
    found = Beside([], [])
    for number in range(rounds):
        found.by_hand.append(await _recovered_by_hand(site, hand, f"{moment:%Y-%m-%d %H:%M:%S.%f+00}"))
        found.ours.append(await _restored(site, RestoreOrder(f"moment-{number}", base, moment)))
    return found


async def _base_by_hand(site: Site, hand: Path) -> None:
    """What forge keeps of the same: an encrypted tar."""
    assert site.keys is not None
    take = f"{site.server.binaries}/pg_basebackup -D {hand}/base -Ft -X none --checkpoint=fast --dbname='{site.server.url('postgres')}'"
    encrypt = f"age -r {site.keys.recipient} -o {hand}/base.tar.age {hand}/base/base.tar"
    await _shell(f"{take}; {encrypt}; rm -r {hand}/base")


async def _wal_by_hand(site: Site, hand: Path) -> None:
    assert site.keys is not None
    (hand / "wal").mkdir()
    home = site.server.home / "data" / "pg_wal"
    for name in sorted(path.name for path in home.iterdir() if is_segment(path.name)):
        await _shell(f"age -r {site.keys.recipient} -o {hand}/wal/{name}.age {home}/{name}")


async def _recovered_by_hand(site: Site, hand: Path, moment: str) -> float:
    assert site.keys is not None
    place = site.folder / "recovered"
    place.mkdir()
    place.chmod(0o711)
    shutil.copy(site.keys.identity_file, hand / "identity")
    decrypt = f"age -d -i {hand}/identity"
    program = site.server.binaries / "postgres"
    lines = f"""
{decrypt} -o {hand}/base.tar {hand}/base.tar.age
mkdir -m 700 {place}/data {place}/wal
tar -xf {hand}/base.tar -C {place}/data
for file in {hand}/wal/*.age; do {decrypt} -o {place}/wal/$(basename $file .age) $file; done
touch {place}/data/recovery.signal
{"chown -R nobody " + str(place) if os.getuid() == 0 else ":"}
"""
    settings = {
        **FAST, "listen_addresses": "", "unix_socket_directories": str(place / "data"), "port": "6000",
        "restore_command": f"test -f {place}/wal/%f && cp {place}/wal/%f %p", "recovery_target_time": moment,
        "recovery_target_action": "promote", "max_connections": "60", "hba_file": f"{place}/data/pg_hba.conf",
    }  # fmt: skip
    arguments = [str(program), "-D", str(place / "data"), *(f"-c{name}={value}" for name, value in settings.items())]

    server: subprocess.Popen[bytes] | None = None

    async def whole() -> None:
        nonlocal server
        await _shell(lines)
        more = {"user": "nobody"} if os.getuid() == 0 else {}
        server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=log, **more)  # type: ignore[call-overload]
        await _until(lambda: not (place / "data" / "recovery.signal").exists())

    with (hand / "log").open("wb") as log:
        try:
            return await _seconds(whole())
        finally:
            if server is not None:
                server.terminate()
                await asyncio.to_thread(server.wait, 60)
            shutil.rmtree(place)
            (hand / "base.tar").unlink(missing_ok=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - it is of another process
            await asyncio.sleep(0.05)


def _by_hand(site: Site) -> Path:
    folder = site.folder / "hand"
    folder.mkdir(exist_ok=True)
    return folder


# --- memory -------------------------------------------------------------------------------------------------------------


async def _memory(folder: Path, sizes_mb: tuple[int, ...]) -> list[Figure]:
    figures = []
    with LocalPostgres(settings=KEEP) as server:
        for size_mb in sizes_mb:
            _grow(server, size_mb) if size_mb == sizes_mb[0] else _grow_on(server, size_mb)
            with new_scratch() as scratch:
                site = Site(server, scratch)
                found = await asyncio.to_thread(_in_a_process, site, folder)
            note = f"{found['before']:.0f} MB before it, {found['peak']:.0f} MB at most"
            figures.append(
                Figure(
                    f"backup of {size_mb / 1000:g} GB, memory", found["peak"] - found["before"], ADDED_MB, "MB", note
                )
            )
    return figures


def _grow_on(server: LocalPostgres, size_mb: int) -> None:
    while (have := _size_mb(server)) < size_mb:
        asks(server, FILL.format(rows=min(2_000_000, int((size_mb - have) * MB / ROW_BYTES) + 1000)))


def _in_a_process(site: Site, folder: Path) -> dict[str, float]:
    """What it says of itself: RSS before and at most, in MB."""
    assert site.keys is not None
    about = {
        "host": str(site.server.run), "port": site.server.port, "user": USER, "password": site.server.password,
        "recipient": site.keys.recipient, "folder": str(site.folder),
    }  # fmt: skip
    file = folder / "about.json"
    file.write_text(json.dumps(about))
    command = [sys.executable, "-m", "tests.bench.backup_process", str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WITHIN_S).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found
