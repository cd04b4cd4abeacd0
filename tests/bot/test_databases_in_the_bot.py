"""Databases as the bot wires them: a real backup made, signed, restored and dropped through its ports; a bot beside a database that is down."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import psycopg
import pytest
from pyrage import x25519

from bot.adapters import Adapters
from bot.assembly import Bot
from bot.configuration.loading import Configuration, load
from bot.leftovers import drop_leftovers, is_leftover
from engine.backup_adoption import adopt_published
from engine.backup_ledger import LedgerBackups
from engine.clock import SteadyClock
from engine.memory import LedgerMemory
from engine.records import Ending, Run, RunState
from runbook.backups import BackupKind, BackupOrder, RestoreChecks, manifest_of
from runbook.database_ports import RestoreOrder
from runbook.errors import ForgeError, Permanent
from runbook.ports import NoBackups
from runbook.values import Environment
from sandbox.postgres import USER, LocalPostgres
from sandbox.serving import until
from sandbox.slack import LocalSlack
from state.checkpoints import load_private_key, new_private_key, public_pem
from state.store import SqlStore, open_store

pytestmark = pytest.mark.timeout(600)
CHANNEL = "C0RELEASE1"
FILE = """
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: "{slack}"}}
roles: {{service_owner: [U0ALICE], database_owner: [U0ALICE]}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: registry.test/acme/web}}]
    urls: {{staging: "http://127.0.0.1:9"}}
environments:
  staging:
    kubernetes: {{host: "http://127.0.0.1:9", namespace: staging}}
    prometheus: {{url: "http://127.0.0.1:9"}}
server: {{port: 0}}
"""
DATABASE = """
integrations:
  postgres:
    programs: ["{programs}"]
    databases:
      staging:
        shop: {{host: "{host}", port: {port}, name: {name}, user: backup, password: {{env: SHOP_DB}}{more}}}
    backups: {{destination: kept, scratch: "{scratch}"}}
policy:
  backups: {{full: "", base: "", drill: "", wal_switch: 1s}}
"""
IDENTITY = x25519.Identity.generate()


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres() as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute("CREATE ROLE backup LOGIN PASSWORD 'first-word-1' IN ROLE pg_read_all_data, pg_monitor")
            session.execute("CREATE DATABASE shop")
        with psycopg.connect(running.url("shop"), autocommit=True) as session:
            session.execute("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 1000) g")
        yield running


@dataclass
class Place:
    """environ: of the bot; may be changed while it runs."""

    folder: Path
    environ: dict[str, str]
    slack_url: str = "http://127.0.0.1:9"

    def configuration(self, server: LocalPostgres | None, **changes: object) -> Configuration:
        text = FILE.format(slack=self.slack_url)
        if server is not None:
            words = {
                "programs": server.binaries,
                "host": server.run,
                "port": server.port,
                "name": "shop",
                "scratch": self.scratch,
                "more": "",
            }
            text += DATABASE.format(**{**words, **changes})
        (self.folder / "forge.yaml").write_text(text)
        return load(self.folder / "forge.yaml", self.environ)

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="forge-b-"))  # a short path, which servers' users reach: of sockets' names
    folder.chmod(0o755)
    (folder / "kept").mkdir()
    environ = {
        "FORGE_DATA_DIR": str(folder / "data"),
        "FORGE_AUDIT_KEY": new_private_key(),
        "SLACK_BOT_TOKEN": "xoxb-local",
        "SLACK_APP_TOKEN": "xapp-local",
        "SHOP_DB": "first-word-1",
        "FORGE_BACKUP_RECIPIENTS": str(IDENTITY.to_public()),
        "FORGE_BACKUP_IDENTITY": str(IDENTITY),
    }
    yield Place(folder, environ)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(place: Place) -> Iterator[SqlStore]:
    with open_store(f"sqlite:///{place.folder / 'data' / 'forge.db'}", data_dir=place.folder / "data") as opened:
        yield opened


@pytest.fixture
async def wired(place: Place, server: LocalPostgres) -> AsyncIterator[Adapters]:
    adapters = Adapters(place.configuration(server).connections)
    yield adapters
    await adapters.aclose()


ORDER = BackupOrder("shop-staging-20260302T020000Z-1f3a", BackupKind.LOGICAL, "shop", "staging", "backup-1", "forge")


async def test_a_backup_goes_through_the_ports_all_the_way_and_back(
    wired: Adapters, store: SqlStore, place: Place
) -> None:
    clock = SteadyClock()
    ports = wired.ports(clock, LedgerMemory(store, clock), backups=LedgerBackups(store, clock))
    database = ports.databases["shop", Environment.STAGING]
    assert ports.repository is not None
    assert ports.restore_host is not None
    assert ports.backup_ledger is ports.backups
    made = await database.dump(ORDER, lambda progress: None)
    assert made.decoded
    assert made.recipients == (str(IDENTITY.to_public()),)
    assert await ports.repository.confirm(ORDER, made)
    await ports.repository.publish(manifest_of(ORDER, "shop", made))
    manifest = await ports.repository.manifest(ORDER.id)
    assert manifest is not None
    assert manifest.plain_bytes == made.files[0].plain.bytes
    order = RestoreOrder("forge-drill-9", manifest)
    host = ports.restore_host
    try:
        await host.fetch(order, lambda progress: None)
        instance = await host.provision(order)
        await host.restore(order, instance, lambda progress: None)
        facts = await host.check(instance, RestoreChecks(tables=("public.orders",)))
        assert facts.rows == {"public.orders": 1000}
        assert await host.standing() == ("forge-drill-9",)
    finally:
        await host.drop("forge-drill-9")
    assert await host.standing() == ()
    assert not [path for path in place.scratch.rglob("*") if path.is_file()]


async def test_a_restore_goes_to_the_server_that_is_configured_for_its_environment(
    place: Place, server: LocalPostgres, store: SqlStore
) -> None:
    clock = SteadyClock()
    with LocalPostgres(tcp=True) as provided:
        place.environ["RESTORER"] = provided.password
        address = f"{{host: 127.0.0.1, port: {provided.port}, user: {USER}, password: {{env: RESTORER}}}}"
        scratch = f'{place.scratch}"}}\n    restores: {{staging: {{server: {address}}}}} #'
        adapters = Adapters(place.configuration(server, scratch=scratch).connections)
        try:
            ports = adapters.ports(clock, LedgerMemory(store, clock), backups=LedgerBackups(store, clock))
            assert ports.repository is not None
            made = await ports.databases["shop", Environment.STAGING].dump(ORDER, lambda progress: None)
            await ports.repository.publish(manifest_of(ORDER, "shop", made))
            manifest = await ports.repository.manifest(ORDER.id)
            assert manifest is not None
            host = ports.restore_host
            assert host is not None
            order = RestoreOrder("forge-staging-9", manifest, None, Environment.STAGING)
            await host.fetch(order, lambda progress: None)
            instance = await host.provision(order)
            await host.restore(order, instance, lambda progress: None)
            facts = await host.check(instance, RestoreChecks(tables=("public.orders",)))
            assert facts.rows == {"public.orders": 1000}
            assert instance.where == f"127.0.0.1:{provided.port}/shop_restored_staging_9"
            assert await host.standing() == ("forge-staging-9",)
            await host.drop("forge-staging-9", Environment.STAGING)
            assert await host.standing() == ()
        finally:
            await adapters.aclose()


async def test_a_manifest_that_another_key_signed_is_no_backup_of_ours(
    wired: Adapters, store: SqlStore, place: Place, server: LocalPostgres
) -> None:
    clock = SteadyClock()
    made = await wired.postgres.databases["shop", Environment.STAGING].dump(ORDER, lambda progress: None)
    assert wired.postgres.repository is not None
    await wired.postgres.repository.publish(manifest_of(ORDER, "shop", made))
    place.environ["FORGE_AUDIT_KEY"] = new_private_key()
    other = Adapters(place.configuration(server).connections)
    repository = other.ports(clock, LedgerMemory(store, clock)).repository
    assert repository is not None
    with pytest.raises(Permanent) as caught:
        await repository.manifest(ORDER.id)
    assert caught.value.code == "backups.forged"


async def test_a_rotated_password_counts_at_once(wired: Adapters, server: LocalPostgres, place: Place) -> None:
    database = wired.postgres.databases["shop", Environment.STAGING]
    assert (await database.look()).major == 18
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("ALTER ROLE backup PASSWORD 'second-word-2'")
    try:
        with pytest.raises(ForgeError) as caught:
            await database.look()
        assert "first-word-1" not in f"{caught.value!r} {caught.value}"
        place.environ["SHOP_DB"] = "second-word-2"
        assert (await database.look()).major == 18
    finally:
        with psycopg.connect(server.url(), autocommit=True) as session:
            session.execute("ALTER ROLE backup PASSWORD 'first-word-1'")


async def test_a_password_without_a_value_is_told_by_name(wired: Adapters, place: Place) -> None:
    del place.environ["SHOP_DB"]
    with pytest.raises(Permanent, match="SHOP_DB"):
        await wired.postgres.databases["shop", Environment.STAGING].look()


async def test_rotated_keys_of_s3_make_the_repository_anew(place: Place, server: LocalPostgres) -> None:
    place.environ |= {"S3_KEY": "one", "S3_SECRET": "secret-one-1"}
    connections = place.configuration(server).connections
    assert connections.postgres.backups is not None
    with_s3 = place.folder / "forge.yaml"
    with_s3.write_text(
        with_s3.read_text().replace(
            "destination: kept",
            'destination: "s3://bucket", s3: {endpoint: "http://127.0.0.1:9", access_key_id: {env: S3_KEY}, secret_access_key: {env: S3_SECRET}}',
        )
    )
    adapters = Adapters(load(with_s3, place.environ).connections)
    repository = adapters.postgres.repository
    assert repository is not None
    with pytest.raises(ForgeError) as caught:
        await repository.published()
    assert "secret-one-1" not in f"{caught.value!r} {caught.value}"
    del place.environ["S3_SECRET"]
    with pytest.raises(Permanent, match="S3_SECRET"):
        await repository.published()


def test_a_bot_without_databases_loads_nothing_of_them(place: Place) -> None:
    place.configuration(None)
    program = f"""
import asyncio, sys
from pathlib import Path
from bot.adapters import Adapters
from bot.assembly import Bot
from bot.configuration.loading import load
from engine.clock import SteadyClock
configuration = load(Path({str(place.folder / "forge.yaml")!r}), {{"FORGE_DATA_DIR": {str(place.folder)!r}}})
async def main():
    ports = Adapters(configuration.connections).ports(SteadyClock(), None)
    assert ports.databases == {{}} and ports.repository is None and ports.database_metrics is None
    assert ports.restore_host is None and ports.backup_ledger is None
asyncio.run(main())
loaded = {{name.partition(".")[0] for name in sys.modules}} & {{"obstore", "pyrage", "psycopg"}}
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_a_database_that_is_only_measured_is_not_backed_up(
    place: Place, server: LocalPostgres, store: SqlStore
) -> None:
    connections = place.configuration(server).connections
    alone = replace(connections, postgres=replace(connections.postgres, backups=None))
    clock = SteadyClock()
    ports = Adapters(alone).ports(clock, LedgerMemory(store, clock), backups=LedgerBackups(store, clock))
    assert (ports.databases, ports.repository, ports.restore_host, ports.backup_ledger) == ({}, None, None, None)
    assert isinstance(ports.backups, NoBackups)
    assert ports.database_metrics is not None


# --- leftovers ------------------------------------------------------------------------------------------------------


def run(id: str, procedure: str, state: RunState, ending: Ending | None = None) -> Run:
    return Run(
        id=id, number=1, service="shop", environment="staging", procedure=procedure, version="", arguments={}, requester="forge",
        requester_name="forge", state=state.value, ending=None if ending is None else ending.value, created_at=datetime.now(UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("procedure", "ending", "gone"),
    [
        ("drill", Ending.COMPLETED, True),
        ("drill", Ending.INCOMPLETE, True),
        ("drill", None, False),
        ("restore", None, False),
        ("restore", Ending.COMPLETED, False),
        ("restore", Ending.INCOMPLETE, False),
        ("restore", Ending.RETURNED, True),
        ("restore", Ending.CANCELLED, True),
        ("restore", Ending.FAILED, True),
        ("rollback", Ending.RETURNED, False),
        ("rollback", Ending.COMPLETED, False),
    ],
)
def test_only_what_serves_nobody_is_left_over(procedure: str, ending: Ending | None, gone: bool) -> None:
    state = RunState.RUNNING if ending is None else RunState.ENDED
    assert is_leftover(run("x-1", procedure, state, ending)) is gone
    assert is_leftover(None) is False


class Host:
    """Only what leftovers ask of a `RestoreHost`."""

    def __init__(self, *names: str, fails: tuple[str, ...] = ()) -> None:
        self.names, self.fails = list(names), fails

    async def standing(self) -> tuple[str, ...]:
        return tuple(self.names)

    async def drop(self, name: str, target: Environment | None = None) -> None:
        if name in self.fails:
            raise Permanent("postgres", "stuck", "it doesn't end")
        self.names.remove(name)


async def test_leftovers_of_ended_drills_go_and_all_else_stays(store: SqlStore) -> None:
    runs = (
        run("drill-1", "drill", RunState.ENDED, Ending.COMPLETED),
        run("drill-2", "drill", RunState.RUNNING),
        run("drill-3", "drill", RunState.ENDED, Ending.FAILED),
        run("restore-4", "restore", RunState.ENDED, Ending.COMPLETED),
        run("drill-6", "drill", RunState.ENDED, Ending.FAILED),
    )
    await store.write(lambda ledger: [ledger.add(each) for each in runs])
    names = ("forge-drill-1", "forge-drill-2", "forge-drill-3", "forge-restore-4", "forge-elsewhere-5", "drill-6")
    host = Host(*names, fails=("forge-drill-3",))
    assert await drop_leftovers(host, store) == ("forge-drill-1",)  # type: ignore[arg-type]
    assert host.names == [name for name in names if name != "forge-drill-1"]


# --- the whole bot --------------------------------------------------------------------------------------------------


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice", email="alice@acme.test")
    made.add_channel(CHANNEL, "releases", ["U0ALICE"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bots(place: Place, slack: LocalSlack, store: SqlStore) -> AsyncIterator[Callable[[Configuration], Bot]]:
    place.slack_url = slack.api_url
    place.environ |= {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token}
    running: list[Bot] = []

    def make(configuration: Configuration) -> Bot:
        running.append(Bot(configuration, store))
        return running[-1]

    yield make
    for bot in running:
        await bot.stop()


async def page(bot: Bot, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{bot.server.port}{path}") as answer:
        return answer.status, await answer.text()


async def shown(bot: Bot, *lines: str) -> None:
    async def holds() -> bool:
        text = (await page(bot, "/metrics"))[1]
        return all(line in text for line in lines)

    await until(holds, 90, f"{lines} in /metrics")


LABELS = '{env="staging",service="shop"}'


async def test_the_running_bot_tells_what_it_measured(
    bots: Callable[[Configuration], Bot], place: Place, server: LocalPostgres
) -> None:
    bot = bots(place.configuration(server))
    await bot.start()
    await shown(
        bot,
        f"forge_postgres_up{LABELS} 1.0",
        f"forge_postgres_max_connections{LABELS} 60.0",
        f"forge_postgres_deadlocks_total{LABELS}",
        f"forge_postgres_connections{LABELS}",
        f"forge_postgres_replication_lag_seconds{LABELS}",
        f"forge_postgres_slow_queries{LABELS}",
        f"forge_postgres_lock_waits{LABELS}",
        f"forge_postgres_wal_size_bytes{LABELS}",
        f"forge_postgres_checkpoint_seconds_total{LABELS}",
    )
    assert "first-word-1" not in (await page(bot, "/metrics"))[1]


async def test_a_database_that_is_down_keeps_the_bot_from_nothing(
    bots: Callable[[Configuration], Bot], place: Place, server: LocalPostgres
) -> None:
    bot = bots(place.configuration(server, port=1))
    await asyncio.wait_for(bot.start(), 90)
    await shown(bot, f"forge_postgres_up{LABELS} 0.0")
    assert f"forge_postgres_connections{LABELS}" not in (await page(bot, "/metrics"))[1]

    async def ready() -> bool:
        return (await page(bot, "/health/ready"))[0] == 200

    await until(ready, 90, "ready without its database")


async def test_a_new_policy_of_backups_is_taken_at_a_reload_and_a_new_address_at_the_next_start(
    bots: Callable[[Configuration], Bot], place: Place, server: LocalPostgres
) -> None:
    bot = bots(place.configuration(server))
    await bot.start()
    file = place.folder / "forge.yaml"
    file.write_text(
        file.read_text()
        .replace('drill: "", wal_switch: 1s', 'drill: "FREQ=DAILY;BYHOUR=5", wal_switch: 1m')
        .replace("name: shop, user", "name: other, user")
    )
    await bot.reload(load(file, place.environ))
    assert bot.settings.current.policy.backups.drill == "FREQ=DAILY;BYHOUR=5"
    assert bot.settings.current.policy.backups.wal_switch_s == 60
    assert bot.configuration.connections.postgres.databases["shop", Environment.STAGING].name == "shop"


# --- WAL ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def archived_server() -> Iterator[LocalPostgres]:
    with LocalPostgres(settings=("max_slot_wal_keep_size=512MB", "wal_level=replica")) as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute(
                "CREATE ROLE backup LOGIN REPLICATION PASSWORD 'first-word-1' IN ROLE pg_read_all_data, pg_monitor"
            )
            session.execute("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO backup")
            session.execute("CREATE DATABASE shop")
        yield running


async def test_the_running_bot_receives_wal_and_goes_on_with_a_rotated_password(
    bots: Callable[[Configuration], Bot], place: Place, archived_server: LocalPostgres
) -> None:
    bot = bots(place.configuration(archived_server, more=", wal: true"))
    await bot.start()
    await shown(bot, f"forge_wal_receiving{LABELS} 1.0")

    async def segments() -> int:
        return len(await bot.backups.segments("shop", Environment.STAGING))

    async def written_until_more_than(count: int) -> None:
        async def more() -> bool:
            await asyncio.to_thread(write, archived_server)
            return await segments() > count

        await until(more, 60, f"more than {count} segments")

    await written_until_more_than(0)
    with psycopg.connect(archived_server.url(), autocommit=True) as session:
        session.execute("ALTER ROLE backup PASSWORD 'second-word-2'")
    place.environ["SHOP_DB"] = "second-word-2"
    with psycopg.connect(archived_server.url(), autocommit=True) as session:
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
    await written_until_more_than(await segments())
    await shown(bot, f"forge_wal_receiving{LABELS} 1.0", f"forge_wal_lost{LABELS} 0.0")
    with psycopg.connect(archived_server.url(), autocommit=True) as session:
        [(slot,)] = session.execute("SELECT slot_name FROM pg_replication_slots").fetchall()
    assert slot == "forge_shop"


def write(server: LocalPostgres) -> None:
    with psycopg.connect(server.url("shop"), autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS noted (at timestamptz)")
        session.execute("INSERT INTO noted VALUES (now())")
        session.execute("SELECT pg_switch_wal()")


async def test_a_new_installation_knows_what_an_old_one_published_soon_after_its_start(
    bots: Callable[[Configuration], Bot], place: Place, server: LocalPostgres, wired: Adapters, store: SqlStore
) -> None:
    """Its repository and its audit key are the old one's, and its database is empty."""
    made = await wired.postgres.databases["shop", Environment.STAGING].dump(ORDER, lambda progress: None)
    assert wired.postgres.repository is not None
    await wired.postgres.repository.publish(manifest_of(ORDER, "shop", made))
    place.environ["FORGE_AUDIT_KEY"], old = new_private_key(), place.environ["FORGE_AUDIT_KEY"]
    stranger = bots(place.configuration(server))
    assert stranger.adapters.postgres.repository is not None
    found = await adopt_published(
        stranger.adapters.postgres.repository, stranger.backups, {("shop", Environment.STAGING)}
    )
    assert [(name, "audit.earlier_keys" in why) for name, why in found.left] == [(ORDER.id, True)]
    (place.folder / "old.pub").write_text(public_pem(load_private_key(old)))
    file = place.folder / "forge.yaml"
    file.write_text(file.read_text() + "audit: {earlier_keys: [old.pub]}\n")
    bot = bots(load(file, place.environ))
    await bot.start()

    async def known() -> bool:
        record = await LedgerBackups(store, SteadyClock()).record(ORDER.id)
        return record is not None and record.restorable

    await until(known, 90, "the old backup is on record")
