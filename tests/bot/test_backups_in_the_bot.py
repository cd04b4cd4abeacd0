"""The whole bot beside a real PostgreSQL, from the command line: a backup and its drill, a base backup, WAL and a drill to a moment in between."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyrage import x25519

from bot.assembly import Bot
from bot.configuration.loading import load
from engine.records import BackupRow, DrillRow, Run, RunState, StepRow
from handlers.local_client import send
from runbook.values import Environment
from sandbox.postgres import LocalPostgres
from sandbox.serving import until
from sandbox.slack import LocalSlack
from state.checkpoints import new_private_key
from state.store import SqlStore, open_store

STAGING = Environment.STAGING
WORD = "backup-word-1"
FILE = """
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: "{slack}"}}
roles: {{service_owner: [U0ALICE], database_owner: ["os:{user}", U0ALICE]}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: registry.test/acme/web}}]
    urls: {{staging: "http://127.0.0.1:9"}}
    restore_checks: {{tables: [public.orders], smoke: ["SELECT count(*) > 0 FROM orders"]}}
environments:
  staging:
    kubernetes: {{host: "http://127.0.0.1:9", namespace: staging}}
    prometheus: {{url: "http://127.0.0.1:9"}}
integrations:
  postgres:
    programs: ["{programs}"]
    databases:
      staging:
        shop: {{host: "{host}", port: {port}, name: shop, user: backup, password: {{env: SHOP_DB}}, wal: true}}
    backups: {{destination: kept, scratch: scratch}}
policy:
  backups: {{full: "", base: "", drill: "", wal_switch: 1s}}
server: {{port: 0}}
"""
IDENTITY = x25519.Identity.generate()


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    settings = ("max_slot_wal_keep_size=512MB", "wal_level=replica", "checkpoint_timeout=30s")
    with LocalPostgres(major=16, settings=settings) as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute(
                f"CREATE ROLE backup LOGIN REPLICATION PASSWORD '{WORD}' IN ROLE pg_read_all_data, pg_monitor"
            )
            session.execute("CREATE DATABASE shop")
        write(
            running,
            "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO backup",
            "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
            "INSERT INTO orders (note) VALUES ('first')",
        )
        yield running


def write(server: LocalPostgres, *statements: str) -> None:
    with psycopg.connect(server.url("shop"), autocommit=True) as session:
        for statement in statements:
            session.execute(statement.encode())


class Running:
    """A running bot, and who types at its machine's command line."""

    def __init__(self, bot: Bot, store: SqlStore) -> None:
        self.bot, self.store = bot, store

    async def type(self, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(send, self.bot.configuration.connections.socket_path, words)

    async def rows(self, kind: type[Any]) -> list[Any]:
        return await self.store.read(lambda ledger: list(ledger.find(kind)))

    async def run(self, id: str) -> Run:
        found = await self.store.read(lambda ledger: ledger.get(Run, id))
        assert found is not None
        return found

    async def ended(self, answer: dict[str, Any], *, at_least: str = "") -> Run:
        """at_least: the title of a step that has to be waiting instead."""
        assert answer["run"], answer

        async def holds() -> bool:
            run = await self.run(answer["run"])
            assert run.state != RunState.HELD, await self.why(run)
            waiting = [
                step.title for step in await self.rows(StepRow) if step.run == run.id and step.state == "waiting"
            ]
            return run.state == RunState.ENDED or (bool(at_least) and at_least in waiting)

        await until(holds, 90, f"the end of {answer['run']}")
        return await self.run(answer["run"])

    async def why(self, run: Run) -> str:
        steps = [step for step in await self.rows(StepRow) if step.run == run.id]
        return f"{run.id}: {run.ending_reason} {[(step.title, step.state, step.verdicts) for step in steps if step.verdicts]}"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="forge-b-"))  # a short path: a socket's name may have 107 bytes
    made.chmod(0o755)
    (made / "kept").mkdir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def running(folder: Path, server: LocalPostgres) -> AsyncIterator[Running]:
    slack = LocalSlack()
    slack.add_user("U0ALICE", "alice", email="alice@acme.test")
    slack.add_channel("C0RELEASE1", "releases", ["U0ALICE"])
    await slack.start()
    user = pwd.getpwuid(os.getuid()).pw_name
    text = FILE.format(slack=slack.api_url, user=user, programs=server.binaries, host=server.run, port=server.port)
    (folder / "forge.yaml").write_text(text)
    environ = {
        "FORGE_DATA_DIR": str(folder / "data"),
        "FORGE_AUDIT_KEY": new_private_key(),
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SHOP_DB": WORD,
        "FORGE_BACKUP_RECIPIENTS": str(IDENTITY.to_public()),
        "FORGE_BACKUP_IDENTITY": str(IDENTITY),
    }
    configuration = load(folder / "forge.yaml", environ)
    with open_store(f"sqlite:///{folder / 'data' / 'forge.db'}", data_dir=folder / "data") as store:
        bot = Bot(configuration, store)
        await bot.start()
        yield Running(bot, store)
        host = bot.adapters.postgres.restore_host(bot.backups.segments)
        assert host is not None
        for name in await host.standing():
            await host.drop(name)
        await bot.stop()
    await slack.stop()


async def test_a_backup_is_made_and_drilled_and_one_moment_is_recovered(
    running: Running, server: LocalPostgres, folder: Path
) -> None:
    made = await running.ended(await running.type("backup", "run", "staging"))
    assert made.ending == "completed", await running.why(made)
    [record] = await running.rows(BackupRow)
    assert record.state == "decoded"
    listed = await running.type("backup", "list", "staging")
    assert record.id in str(listed["view"])

    base = await running.ended(await running.type("backup", "run", "staging", "--kind", "base"))
    assert base.ending == "completed", await running.why(base)
    write(server, "INSERT INTO orders (note) VALUES ('before')")
    between = await _settled()
    write(server, "DELETE FROM orders")
    await _archived_after(running, server, between)

    drilled = await running.ended(await running.type("backup", "drill", "staging"), at_least="Sign off the drill")
    [drill] = await running.rows(DrillRow)
    assert drill.passed, drill.reason
    assert drilled.id == drill.run

    moment = between.strftime("%Y-%m-%dT%H:%M:%SZ")
    await running.ended(await running.type("cancel", drilled.id))
    again = await running.ended(
        await running.type("backup", "drill", "staging", "--at", moment), at_least="Sign off the drill"
    )
    last = next(row for row in await running.rows(DrillRow) if row.run == again.id)
    assert last.passed, last.reason
    assert last.kind == "base"  # without a row, as it is by now, the smoke statement would not be true
    text = "".join(path.read_text(errors="replace") for path in (folder / "data").glob("*.db*"))
    assert WORD not in text
    assert str(IDENTITY) not in text


async def _settled() -> datetime:
    """A whole second after the last commit, over at the server's clock as well."""
    start = datetime.now(UTC)

    async def is_over() -> bool:
        return int(datetime.now(UTC).timestamp()) >= int(start.timestamp()) + 2

    await until(is_over, 10, "the next whole second")
    return datetime.fromtimestamp(int(start.timestamp()) + 1, UTC)


async def _archived_after(running: Running, server: LocalPostgres, moment: datetime) -> None:
    async def reached() -> bool:
        await asyncio.to_thread(
            write, server, "CREATE TABLE IF NOT EXISTS noted (n int)", "INSERT INTO noted VALUES (1)"
        )
        window = await running.bot.backups.window("shop", STAGING)
        return window is not None and window.until > moment

    await until(reached, 60, "WAL beyond the moment in the archive")
