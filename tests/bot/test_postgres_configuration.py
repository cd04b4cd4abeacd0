"""integrations.postgres, policy.backups and restore_checks in forge.yaml: what is accepted, and what is refused at which key with which way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyrage import x25519

from bot.configuration.connections import RestoreCluster, RestoreServer
from bot.configuration.loading import Configuration, load
from runbook.backups import RestoreChecks
from runbook.documents.problems import ConfigurationError, Problem
from runbook.errors import Permanent
from runbook.policy import BackupsPolicy
from runbook.values import Environment

EXAMPLE = (Path(__file__).parents[2] / "examples" / "forge.yaml").read_text(encoding="utf-8")
_BEFORE, _, _REST = EXAMPLE.partition("  postgres: # databases")
_AFTER = "\nserver:\n" + _REST.partition("\nserver:\n")[2]
IDENTITY = x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
SHOP = "host: db.example, name: shop, user: forge_backup, password: {env: SHOP_DB}"
DATABASES = f"databases: {{prod: {{shop: {{{SHOP}}}}}}}"
BACKUPS = f"backups: {{destination: /var/backups/forge, recipients: [{RECIPIENT}]}}"


def loaded(
    tmp_path: Path, *postgres: str, policy: str = "", replaced: tuple[str, str] = ("", ""), **environ: str
) -> Configuration:
    """postgres: lines beneath `integrations.postgres`. policy: what stands for `policy.backups`."""
    lines = "".join(f"    {line}\n" for line in postgres)
    text = _BEFORE + (f"  postgres:\n{lines}" if lines else "") + _AFTER + (f"  backups: {policy}\n" if policy else "")
    assert replaced[0] in text
    file = tmp_path / "forge.yaml"
    file.write_text(text.replace(*replaced, 1) if replaced[0] else text, encoding="utf-8")
    return load(file, {"FORGE_DATA_DIR": str(tmp_path / "data"), **environ})


def problems(
    tmp_path: Path, *postgres: str, policy: str = "", replaced: tuple[str, str] = ("", ""), **environ: str
) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, *postgres, policy=policy, replaced=replaced, **environ)
    return list(caught.value.problems)


def database(more: str) -> str:
    return f"databases: {{prod: {{shop: {{{more}}}}}}}"


def test_without_databases_nothing_is_different(tmp_path: Path) -> None:
    configuration = loaded(tmp_path)
    assert configuration.connections.postgres.databases == {}
    assert configuration.connections.postgres.backups is None
    assert configuration.setting.policy.backups == BackupsPolicy()


def test_a_database_and_its_backups_are_taken_over_with_the_defaults(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, DATABASES, BACKUPS)
    postgres = configuration.connections.postgres
    shop = postgres.databases["shop", Environment.PROD]
    assert (shop.host, shop.port, shop.name, shop.user, shop.sslmode) == (
        "db.example",
        5432,
        "shop",
        "forge_backup",
        "verify-full",
    )
    assert (shop.wal, shop.slot, shop.reader, shop.where) == (False, "", None, "db.example:5432/shop")
    assert postgres.backups is not None
    assert postgres.backups.recipients == (RECIPIENT,)
    assert postgres.backups.scratch == tmp_path / "data" / "scratch"
    assert postgres.backups.identity is None
    assert "integrations.postgres.databases.prod.shop.password" in configuration.connections.secrets


def test_a_server_for_restores_is_taken_over_with_the_defaults(tmp_path: Path) -> None:
    restores = "restores: {prod: {server: {host: r.example, user: restorer, password: {env: RESTORER}}}}"
    configuration = loaded(tmp_path, DATABASES, BACKUPS, restores)
    server = configuration.connections.postgres.restores[Environment.PROD]
    assert isinstance(server, RestoreServer)
    assert (server.where, server.database, server.user, server.sslmode) == (
        "r.example:5432",
        "postgres",
        "restorer",
        "verify-full",
    )
    assert (server.create_roles, server.sslrootcert) == (True, None)
    assert "integrations.postgres.restores.prod.server.password" in configuration.connections.secrets


def test_a_template_for_restores_is_taken_over_with_the_defaults(tmp_path: Path) -> None:
    restores = "restores: {prod: {kubernetes: {template: t.yaml}}}"
    found = loaded(tmp_path, DATABASES, BACKUPS, restores).connections.postgres.restores[Environment.PROD]
    assert isinstance(found, RestoreCluster)
    assert (found.template, found.user, found.sslmode, found.ready_s) == (
        tmp_path / "t.yaml",
        "postgres",
        "verify-full",
        300,
    )
    assert found.host.startswith("$NAME.")
    assert found.host.endswith(".svc")


def test_the_example_backs_production_up_with_its_wal(tmp_path: Path) -> None:
    file = tmp_path / "forge.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    configuration = load(file, {"FORGE_DATA_DIR": str(tmp_path)})
    prod = configuration.connections.postgres.databases["shop", Environment.PROD]
    assert (prod.wal, prod.slot) == (True, "forge_shop")
    assert prod.reader is not None
    assert prod.reader.user == "forge_reader"
    assert configuration.setting.services["shop"].restore_checks == RestoreChecks(
        schema_version="SELECT max(version) FROM schema_migrations",
        tables=("public.orders", "public.customers"),
        smoke=("SELECT count(*) > 0 FROM orders WHERE placed_at > now() - interval '2 days'",),
        minimum_rows={"public.orders": 1000},
    )


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer"])
def test_a_connection_in_the_clear_is_refused(tmp_path: Path, sslmode: str) -> None:
    [found] = problems(tmp_path, database(f"{SHOP}, sslmode: {sslmode}"))
    assert found.path == "integrations.postgres.databases.prod.shop"
    assert found.line == EXAMPLE.partition("  postgres: # databases")[0].count("\n") + 2
    assert f"sslmode {sslmode}" in found.cause
    assert "verify-full" in found.remedy


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", '"::1"', "/var/run/postgresql"])
def test_on_this_machine_nothing_has_to_be_encrypted(tmp_path: Path, host: str) -> None:
    text = f"host: {host}, name: shop, user: forge"
    configuration = loaded(tmp_path, database(f"{text}, sslmode: disable"))
    assert configuration.connections.postgres.databases["shop", Environment.PROD].sslmode == "disable"
    by_default = loaded(tmp_path, database(text)).connections.postgres.databases["shop", Environment.PROD]
    assert (by_default.sslmode, by_default.password) == ("prefer", None)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", '"::2"', "127.example"])
def test_what_only_looks_like_this_machine_is_not(tmp_path: Path, host: str) -> None:
    [found] = problems(tmp_path, database(f"host: '{host.strip(chr(34))}', name: shop, user: forge, sslmode: disable"))
    assert "in the clear" in found.cause


@pytest.mark.parametrize(
    ("line", "key", "cause", "remedy"),
    [
        ("databases: {prd: {shop: {" + SHOP + "}}}", "databases.prd", "prd", "prod"),
        ("databases: {prod: {shpo: {" + SHOP + "}}}", "databases.prod.shpo", "there is no service shpo", '"shop"'),
        (database(SHOP.replace("{env: SHOP_DB}", "hunter22")), "databases.prod.shop.password", "must not stand in this file", "{env: NAME}"),
        (database(SHOP + ", wal: true"), "databases.prod.shop.wal", "kept nowhere", "backups"),
        (database(SHOP + ", slot: forge_shop"), "databases.prod.shop", "no use without WAL", "wal: true"),
        (database(SHOP + ", slot: Forge-Shop, wal: true"), "databases.prod.shop.slot", "replication slot's name", "forge_shop"),
        (database(SHOP.replace("name: shop", "name: dbname=x")), "databases.prod.shop.name", "a database's name", "shop"),
        (database(SHOP.replace("db.example", "'a.example,b.example'")), "databases.prod.shop.host", "one host", "db.example"),
        (database(SHOP + ", port: 70000"), "databases.prod.shop.port", "", ""),
        ("restores: {prod: {server: {host: r.example, user: restorer, sslmode: prefer}}}", "restores.prod.server", "in the clear", "verify-full"),
        ("restores: {prod: {}}", "restores.prod", "a server or a template", "kubernetes"),
        ("restores: {prod: {server: {host: r, user: r}, kubernetes: {template: t.yaml}}}", "restores.prod", "a server or a template", "kubernetes"),
        ("restores: {prod: {kubernetes: {template: t.yaml, host: restored.shop}}}", "restores.prod.kubernetes.host", "$NAME", "$NAME.shop"),
        ("restores: {prod: {kubernetes: {template: t.yaml, sslmode: prefer}}}", "restores.prod.kubernetes.sslmode", "", ""),
        ("restores: {prod: {server: {host: /run/postgresql, user: restorer}}}", "restores.prod.server", "Unix socket", "remove this section"),
        ("restores: {prod: {server: {host: r, user: r, password: pw}}}", "restores.prod.server.password", "must not stand in", "{env: NAME}"),
        ("restores: {prod: {server: {host: r.example, user: restorer}}}", "restores", "nothing is backed up", "backups"),
        (database(SHOP + ", sslmod: require"), "databases.prod.shop.sslmod", "no such key", '"sslmode"'),
        ("backups: {destination: /b}", "backups", "nobody could decrypt", "FORGE_BACKUP_RECIPIENTS"),
        ("backups: {destination: /b, recipients: [age1abc]}", "backups.recipients[0]", "no age public key", "age-keygen -y"),
        ("backups: {destination: 'http://x/b', recipients: [" + RECIPIENT + "]}", "backups.destination", "http://", "s3://"),
        ("backups: {destination: 's3://', recipients: [" + RECIPIENT + "]}", "backups.destination", "no bucket", "s3://bucket"),
        ("backups: {destination: 's3://k:s@b/x', recipients: [" + RECIPIENT + "]}", "backups.destination", "more than a bucket", "{env: NAME}"),
        ("backups: {destination: 's3://b', s3: {endpoint: 'http://s.x'}, recipients: [" + RECIPIENT + "]}", "backups.s3.endpoint", "TLS", "https:"),
        (f"backups: {{destination: 's3://b', s3: {{access_key_id: {{env: A}}}}, recipients: [{RECIPIENT}]}}", "backups.s3", "one half", "neither"),
        (f"backups: {{destination: /b, s3: {{region: eu}}, recipients: [{RECIPIENT}]}}", "backups", "not in S3", "remove `s3`"),
        (f"backups: {{destination: /b, scratch: /b/scratch, recipients: [{RECIPIENT}]}}", "backups.scratch", "within the destination", "outside"),
        (f"backups: {{destination: /b, scratch: /b, recipients: [{RECIPIENT}]}}", "backups.scratch", "within the destination", "outside"),
        (f"backups: {{destination: /b/x, scratch: /b, recipients: [{RECIPIENT}]}}", "backups.scratch", "is wiped", "of its own"),
        (f"backups: {{destination: /b, scratch: ., recipients: [{RECIPIENT}]}}", "backups.scratch", "is wiped", "of its own"),
        (f"backups: {{destination: /b, scratch: data, recipients: [{RECIPIENT}]}}", "backups.scratch", "is wiped", "of its own"),
    ],
)  # fmt: skip
def test_what_cant_be_meant_is_refused_at_its_key(tmp_path: Path, line: str, key: str, cause: str, remedy: str) -> None:
    found = {problem.path: problem for problem in problems(tmp_path, line)}[f"integrations.postgres.{key}"]
    assert found.line > 0
    assert cause in found.cause
    assert remedy in found.remedy
    assert found.remedy


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("databases: {dev: {shop: {" + SHOP + "}}}", "databases.dev"),
        ("restores: {dev: {server: {host: r.example, user: restorer}}}", "restores.dev"),
    ],
)
def test_an_environment_that_is_not_there_is_refused(tmp_path: Path, line: str, key: str) -> None:
    dev = _BEFORE[_BEFORE.index("\n  dev: #") : _BEFORE.index("\n  staging:\n    kubernetes")]
    found = {problem.path: problem for problem in problems(tmp_path, line, replaced=(dev, ""))}
    problem = found[f"integrations.postgres.{key}"]
    assert "dev is not configured" in problem.cause
    assert "staging" in problem.remedy


def test_a_scratch_space_that_a_link_leads_into_the_destination_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    line = f"backups: {{destination: kept, scratch: link/scratch, recipients: [{RECIPIENT}]}}"
    assert "within the destination" in problems(tmp_path, line)[0].cause


def test_s3_without_tls_is_for_this_machine(tmp_path: Path) -> None:
    line = (
        f"backups: {{destination: 's3://b/x/', s3: {{endpoint: 'http://127.0.0.1:5000'}}, recipients: [{RECIPIENT}]}}"
    )
    backups = loaded(tmp_path, line).connections.postgres.backups
    assert backups is not None
    assert (backups.destination, backups.folder, backups.s3.endpoint) == ("s3://b/x", None, "http://127.0.0.1:5000")


def test_a_private_key_among_the_recipients_is_refused_and_not_repeated(tmp_path: Path) -> None:
    [found] = problems(tmp_path, f"backups: {{destination: /b, recipients: [{IDENTITY}]}}")
    assert "private key" in found.cause
    assert str(IDENTITY)[15:] not in str(found)
    [found] = problems(tmp_path, "backups: {destination: /b}", FORGE_BACKUP_RECIPIENTS=f"{RECIPIENT},{IDENTITY}")
    assert found.cause.startswith("FORGE_BACKUP_RECIPIENTS, key 2: this is a private key")
    assert str(IDENTITY)[15:] not in str(found)


def test_recipients_and_identity_come_from_variables_where_the_file_names_none(tmp_path: Path) -> None:
    other = str(x25519.Identity.generate().to_public())
    configuration = loaded(
        tmp_path,
        "backups: {destination: /b}",
        FORGE_BACKUP_RECIPIENTS=f"{RECIPIENT}, {other},",
        FORGE_BACKUP_IDENTITY=str(IDENTITY),
    )
    backups = configuration.connections.postgres.backups
    assert backups is not None
    assert backups.recipients == (RECIPIENT, other)
    assert backups.identity is not None
    assert backups.identity.reveal() == str(IDENTITY)
    assert str(IDENTITY)[15:] not in repr(configuration)


def test_the_identitys_variable_may_hold_a_files_path(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"# created by age-keygen\n{IDENTITY}\n", encoding="utf-8")
    backups = loaded(tmp_path, BACKUPS, FORGE_BACKUP_IDENTITY="key.txt").connections.postgres.backups
    assert backups is not None
    assert backups.identity is not None
    assert backups.identity.file == tmp_path / "key.txt"
    assert str(IDENTITY) in backups.identity.reveal()
    (tmp_path / "key.txt").unlink()
    with pytest.raises(Permanent, match=r"key\.txt has no value"):
        backups.identity.reveal()


def test_a_database_of_a_service_without_one_is_refused(tmp_path: Path) -> None:
    [found] = problems(
        tmp_path, DATABASES, replaced=("    required_checks:", "    database: false\n    required_checks:")
    )
    assert found.path == "integrations.postgres.databases.prod.shop"
    assert "has no database" in found.cause
    assert "services.shop" in found.remedy


def test_two_databases_on_one_slot_of_one_server_are_refused(tmp_path: Path) -> None:
    shop = f"{{{SHOP}, wal: true}}"
    found = problems(tmp_path, f"databases: {{staging: {{shop: {shop}}}, prod: {{shop: {shop}}}}}", BACKUPS)
    assert [problem.path for problem in found] == ["integrations.postgres.databases.prod.shop.wal"]
    assert "forge_shop" in found[0].cause
    loaded(
        tmp_path,
        f"databases: {{staging: {{shop: {shop}}}, prod: {{shop: {{{SHOP}, wal: true, slot: other}}}}}}",
        BACKUPS,
    )


@pytest.mark.parametrize(
    ("policy", "key", "cause", "remedy"),
    [
        ("{retention: {prod: 34d}}", ".retention", "prod would keep backups for 34d, less than the runbook's 35d", "35d or more"),
        ("{retention: {staging: 13d}}", ".retention", "14d", "14d or more"),
        ("{retention: {dev: 1d}}", ".retention", "7d", "7d or more"),
        ("{retention: {prd: 40d}}", ".retention.prd", "no such key", '"prod"'),
        ("{full: every night}", ".full", "no part of a rule", "FREQ="),
        ('{drill: "FREQ=WEEKLY"}', ".drill", "doesn't say on which days", "BYDAY"),
        ("{base: FREQ=HOURLY}", ".base", "FREQ=HOURLY", "DAILY"),
        ("{time_zone: Europe/Berln}", ".time_zone", "is no time zone", "Europe/Berlin"),
        ("{wal_switch: 0.1}", ".wal_switch", "", ""),
        ("{wal_swich: 1m}", ".wal_swich", "no such key", '"wal_switch"'),
    ],
)  # fmt: skip
def test_a_policy_that_cant_be_used_is_refused(tmp_path: Path, policy: str, key: str, cause: str, remedy: str) -> None:
    [found] = problems(tmp_path, policy=policy)
    assert found.path == f"policy.backups{key}"
    assert cause in found.cause
    assert remedy in found.remedy


def test_a_policy_of_ones_own_counts(tmp_path: Path) -> None:
    policy = loaded(
        tmp_path,
        policy='{full: "FREQ=DAILY;BYHOUR=1", base: "", time_zone: Europe/Berlin, retention: {prod: 60d}, wal_switch: 1m, missed_after: 30m}',
    ).setting.policy.backups
    assert (policy.full, policy.base, policy.drill) == ("FREQ=DAILY;BYHOUR=1", "", BackupsPolicy().drill)
    assert (policy.time_zone, policy.wal_switch_s, policy.missed_after_s) == ("Europe/Berlin", 60.0, 1800.0)
    days = {env: seconds / 86_400 for env, seconds in policy.retention_s.items()}
    assert days == {Environment.DEV: 7, Environment.STAGING: 14, Environment.PROD: 60}


@pytest.mark.parametrize("key", ["restore_switch", "restore_sanitise"])
def test_a_job_of_a_restore_names_its_image_by_digest_or_a_workload(tmp_path: Path, key: str) -> None:
    def with_job(job: str) -> tuple[str, str]:
        return "    restore_checks:", f"    {key}: {{{job}}}\n    restore_checks:"

    [found] = problems(tmp_path, replaced=with_job("image: registry.example/acme/switch"))
    assert found.path == f"services.shop.{key}.image"
    assert "sha256" in found.remedy
    [found] = problems(tmp_path, replaced=with_job("workload: shop-apo"))
    assert found.path == f"services.shop.{key}.workload"
    digest = "sha256:" + "0" * 64
    for job in (f'image: "registry.example/acme/switch@{digest}"', "workload: shop-api, args: [switch]"):
        shop = loaded(tmp_path, replaced=with_job(job)).setting.services["shop"]
        assert getattr(shop, key) is not None


def test_a_table_needs_its_schema(tmp_path: Path) -> None:
    [found] = problems(tmp_path, replaced=("tables: [public.orders,", "tables: [orders,"))
    assert found.path == "services.shop.restore_checks.tables[0]"
    assert "public.orders" in found.remedy


def test_a_table_with_a_minimum_is_a_critical_one(tmp_path: Path) -> None:
    shop = loaded(tmp_path, replaced=("tables: [public.orders, public.customers]", "tables: []")).setting.services[
        "shop"
    ]
    assert shop.restore_checks.tables == ("public.orders",)


def test_what_leaves_a_database_without_a_trusted_backup_is_doubted(tmp_path: Path) -> None:
    def doubted(*postgres: str, replaced: tuple[str, str] = ("", "")) -> list[str]:
        return [warning.cause for warning in loaded(tmp_path, *postgres, replaced=replaced).warnings]

    assert doubted(DATABASES, BACKUPS) == []
    assert "only measured" in doubted(DATABASES)[0]
    assert "no database: none is backed up" in doubted(BACKUPS)[0]
    assert "production asks for a backup" in doubted(DATABASES.replace("prod", "staging"), BACKUPS)[0]
    start = EXAMPLE.index("    restore_checks:")
    checks = EXAMPLE[start : EXAMPLE.index("    without:", start)]
    assert "constraints and sequences alone" in doubted(DATABASES, BACKUPS, replaced=(checks, ""))[0]
