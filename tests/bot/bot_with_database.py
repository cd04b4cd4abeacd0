"""A whole bot beside a real PostgreSQL and a real folder for backups, and whoever types at its machine's command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pyrage import x25519

from bot.assembly import Bot
from bot.configuration.loading import load
from engine.records import BackupRow, Run, RunState, StepRow
from handlers.local_client import send
from runbook.values import Environment
from sandbox.postgres import LocalPostgres
from sandbox.serving import until
from sandbox.slack import LocalSlack
from state.checkpoints import new_private_key
from state.store import SqlStore, open_store

STAGING = Environment.STAGING
WORD = "backup-word-1"
IDENTITY = x25519.Identity.generate()
FILE = """
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: "{slack}"}}
roles: {{service_owner: [U0ALICE], database_owner: ["os:{user}", U0ALICE]}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: registry.test/acme/web}}]
    urls: {{staging: "http://127.0.0.1:9"}}
    restore_checks: {{tables: [public.orders], smoke: ["{smoke}"]}}
environments:
  staging:
    kubernetes: {{host: "http://127.0.0.1:9", namespace: staging}}
    prometheus: {{url: "http://127.0.0.1:9"}}
integrations:
  postgres:
    programs: ["{programs}"]
    databases:
      staging:
        shop: {{host: "{host}", port: {port}, name: shop, user: backup, password: {{env: SHOP_DB}}{wal}}}
    backups: {{destination: kept, scratch: scratch}}
policy:
  backups: {{full: "", base: "", drill: ""{switch}}}
server: {{port: 0}}
"""
HELD = """
CREATE FUNCTION held() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    WHILE pg_stat_file('{file}', true) IS NOT NULL LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN true;
END $$
"""
"""The smoke statement of a restore waits as long as the file is there: whatever else is tried then is tried in its middle."""


@dataclass
class BotWithDatabase:
    """folder: forge.yaml, `data`, `kept` (the backups) and `scratch`. hold: while it is there every restore stays in its checks."""

    bot: Bot
    store: SqlStore
    server: LocalPostgres
    folder: Path

    @property
    def hold(self) -> Path:
        return self.folder / "hold"

    # --- acting

    async def typed(self, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(send, self.bot.configuration.connections.socket_path, words)

    async def started(self, *words: str) -> str:
        """The run that it begins."""
        answer = await self.typed(*words)
        assert answer["run"], answer
        return str(answer["run"])

    async def done(self, *words: str) -> Run:
        """To its good end."""
        run = await self.ended(await self.started(*words))
        assert run.ending == "completed", await self.why(run)
        return run

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.server.url("shop"), autocommit=True) as session:
            for statement in statements:
                session.execute(statement.encode())

    # --- looking

    async def rows(self, kind: type[Any]) -> list[Any]:
        return await self.store.read(lambda ledger: list(ledger.find(kind)))

    async def backups(self) -> dict[str, BackupRow]:
        return {row.id: row for row in await self.rows(BackupRow)}

    async def run(self, id: str) -> Run:
        found = await self.store.read(lambda ledger: ledger.get(Run, id))
        assert found is not None
        return found

    async def ended(self, id: str, *, within_s: float = 90) -> Run:
        async def holds() -> bool:
            run = await self.run(id)
            assert run.state != RunState.HELD, await self.why(run)
            return run.state == RunState.ENDED

        await until(holds, within_s, f"the end of {id}")
        return await self.run(id)

    async def waits(self, id: str, title: str) -> None:
        """Until a step of this title waits for people."""

        async def holds() -> bool:
            return any(
                (step.run, step.state) == (id, "waiting") and title in step.title for step in await self.rows(StepRow)
            )

        await until(holds, 90, f"{id} waits: {title}")

    async def why(self, run: Run) -> str:
        steps = [step for step in await self.rows(StepRow) if step.run == run.id]
        return f"{run.id}: {run.ending_reason} {[(step.title, step.state, step.verdicts) for step in steps if step.verdicts]}"

    def stored(self) -> set[str]:
        """Every file of the repository."""
        kept = self.folder / "kept"
        return {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()} - {".forge-repository"}

    def left(self) -> set[str]:
        """What is in scratch: of restores, of copies, of connections."""
        scratch = self.folder / "scratch"
        found = {str(path.relative_to(scratch)) for path in scratch.glob("*") if path.name not in ("restores", "s")}
        return found | {f"restores/{path.name}" for path in scratch.glob("restores/*")}

    def programs(self, name: str) -> list[psutil.Process]:
        """PostgreSQL's programs of this name that the bot has begun."""
        found = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.name() == name and str(self.folder) in child.environ().get("PGSERVICEFILE", "") + child.cwd():
                    found.append(child)
        return found


@contextlib.contextmanager
def source(statements: Sequence[str] = ()) -> Iterator[LocalPostgres]:
    """A server with the database `shop`, and the role that makes its backups."""
    settings = ("max_slot_wal_keep_size=512MB", "wal_level=replica", "checkpoint_timeout=30s")
    with LocalPostgres(major=16, settings=settings) as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute(
                f"CREATE ROLE backup LOGIN REPLICATION PASSWORD '{WORD}' IN ROLE pg_read_all_data, pg_monitor"
            )
            session.execute("CREATE DATABASE shop")
        with psycopg.connect(running.url("shop"), autocommit=True) as session:
            for statement in (
                "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
                "INSERT INTO orders (note) VALUES ('first')",
            ):
                session.execute(statement.encode())
            for statement in statements:
                session.execute(statement.encode())
        yield running


@contextlib.asynccontextmanager
async def bot_with_database(
    server: LocalPostgres, *, smoke: str = "SELECT held()", archives: bool = False
) -> AsyncIterator[BotWithDatabase]:
    """Afterwards nothing of it runs, and no instance stands.

    smoke: the statement that a restored database must answer with true. archives: its WAL is archived too, a segment each second.
    """
    folder = Path(tempfile.mkdtemp(prefix="forge-b-"))  # a short path: a socket's name may have 107 bytes
    folder.chmod(0o755)
    (folder / "kept").mkdir()
    with psycopg.connect(server.url("shop"), autocommit=True) as session:
        session.execute("DROP FUNCTION IF EXISTS held")
        session.execute(HELD.format(file=folder / "hold").encode())
    slack = LocalSlack()
    slack.add_user("U0ALICE", "alice", email="alice@acme.test")
    slack.add_channel("C0RELEASE1", "releases", ["U0ALICE"])
    await slack.start()
    user = pwd.getpwuid(os.getuid()).pw_name
    text = FILE.format(
        slack=slack.api_url, user=user, programs=server.binaries, host=server.run, port=server.port, smoke=smoke,
        wal=", wal: true" if archives else "", switch=", wal_switch: 1s" if archives else "",
    )  # fmt: skip
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
    try:
        with open_store(f"sqlite:///{folder / 'data' / 'forge.db'}", data_dir=folder / "data") as store:
            bot = Bot(configuration, store)
            await bot.start()
            try:
                yield BotWithDatabase(bot, store, server, folder)
            finally:
                (folder / "hold").unlink(missing_ok=True)
                host = bot.adapters.postgres.restore_host(bot.backups.segments)
                assert host is not None
                await bot.stop()
                for name in await host.standing():
                    await host.drop(name)
    finally:
        await slack.stop()
        shutil.rmtree(folder, ignore_errors=True)
