"""The release file: what it may say, every problem at once, and how it is read at a commit with the real linter."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.github import GitHub
from integrations.http_calls import Limits
from integrations.sql_linter import SquawkLinter
from runbook.documents.job_sections import JobSection, MigrationSection
from runbook.documents.problems import Problem
from runbook.errors import Permanent, Temporary
from runbook.jobs import JobTemplate, Migration, Migrations, Stage
from runbook.policy import Service
from runbook.ports import NoLinter, Ports
from runbook.release_file import LARGEST_BYTES, ReleaseFile, look_at_migrations, parse_release_file
from runbook.verdicts import Outcome, Verdict, decided
from sandbox.faults import Fault
from sandbox.github import LocalGitHub, Submodule
from tests.runbook.fakes import SERVICE, World

PAGE = Path("docs/release-file.md")
PATH = ".forge/release.yaml"
WORKLOADS = ("web", "worker")

EXPAND = """
migrations:
  - name: 0042-add-currency
    stage: expand
    backward_compatible: true
    sql: [migrations/0042.sql]
    up: {workload: web, command: [migrate, up], env: {LEVEL: "2"}, env_from_secrets: [web-database], timeout: 5m}
verification: {workload: worker, args: [verify]}
"""


def parsed(text: str) -> Migrations:
    found = parse_release_file(text, PATH, WORKLOADS)
    assert isinstance(found, Migrations), [str(problem) for problem in found]
    return found


def problems(text: str) -> tuple[Problem, ...]:
    found = parse_release_file(text, PATH, WORKLOADS)
    assert not isinstance(found, Migrations)
    return found


def one_migration(**changes: str) -> str:
    keys = {"name": "0001-a", "stage": "expand", "backward_compatible": "true", "up": "{workload: web}", **changes}
    return "migrations:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in keys.items()) + "\n"


def three_times_fifty_files() -> str:
    parts = [
        one_migration(name=f"m{n}", sql=f"[{', '.join(f'{n}-{i}.sql' for i in range(50))}]").removeprefix(
            "migrations:\n"
        )
        for n in range(3)
    ]
    return "migrations:\n" + "".join(parts)


def test_what_the_file_says_becomes_plain_values() -> None:
    found = parsed(EXPAND)
    up = JobTemplate(
        workload="web", command=("migrate", "up"), env={"LEVEL": "2"}, env_from_secrets=("web-database",), timeout_s=300
    )
    assert found.migrations == (Migration("0042-add-currency", Stage.EXPAND, True, up, sql=("migrations/0042.sql",)),)
    assert found.verification == JobTemplate(workload="worker", args=("verify",))
    assert found.source == PATH


def test_the_order_of_the_file_is_kept_within_a_stage() -> None:
    found = parsed("".join(["migrations:", *(f"\n- {{name: {n}, stage: {s}, backward_compatible: true, up: {{workload: web}}}}"
                            for n, s in [("b", "expand"), ("x", "contract"), ("a", "expand")])]))  # fmt: skip
    assert [migration.name for migration in found.of(Stage.EXPAND)] == ["b", "a"]
    assert [migration.name for migration in found.of(Stage.CONTRACT)] == ["x"]


def test_an_empty_mapping_declares_nothing() -> None:
    assert parsed("{}") == Migrations(source=PATH)


def test_all_problems_are_told_at_once_with_line_key_and_remedy() -> None:
    found = problems(
        """migrations:
  - name: Add Currency
    stage: expnd
    backward_compatible: "yes"
    up: {workload: wbe, comand: [a], timeout: soon}
    sql: [/etc/passwd]
  - stage: contract
verifcation: {workload: web}
"""
    )
    told = {(problem.line, problem.path): problem for problem in found}
    assert told[2, "migrations[0].name"].remedy == "For example: 0042-add-currency"
    assert told[3, "migrations[0].stage"].remedy == 'Did you mean "expand"?'
    assert "true or false" in told[4, "migrations[0].backward_compatible"].cause
    assert told[5, "migrations[0].up.workload"].remedy == 'Did you mean "web"?'
    assert told[5, "migrations[0].up.comand"].remedy == 'Did you mean "command"?'
    assert "no duration" in told[5, "migrations[0].up.timeout"].cause
    assert "path in the repository" in told[6, "migrations[0].sql[0]"].cause
    assert told[8, "verifcation"].remedy == 'Did you mean "verification"?'
    missing = {problem.path for problem in found if problem.cause == "this key is missing"}
    assert missing == {"migrations[1].name", "migrations[1].backward_compatible", "migrations[1].up"}
    assert all(problem.remedy for problem in found)
    assert all(str(problem).startswith(f"{PATH}:") for problem in found)


@pytest.mark.parametrize(
    ("text", "path", "cause"),
    [
        (one_migration(backward_compatible="false"), "migrations[0]", "no way back"),
        (one_migration(up="{image: registry.example/evil/tool}"), "migrations[0].up.image", "only forge.yaml"),
        (one_migration(up="{}"), "migrations[0].up", "exactly one image"),
        (one_migration(up="{workload: web, previous: true}"), "migrations[0].up", "the release's image"),
        (one_migration(down="{workload: db}"), "migrations[0].down.workload", "no workload of this service"),
        (one_migration(up="{workload: web, env: {LEVEL: 2}}"), "migrations[0].up.env.LEVEL", "text belongs"),
        (one_migration(up="{workload: web, cpu: lots}"), "migrations[0].up.cpu", "amount of CPU"),
        (one_migration(up="{workload: web, env: {a-b: x}}"), "migrations[0].up.env.a-b", "variable's name"),
        (one_migration(name="a" * 41), "migrations[0].name", "at most 40"),
        (one_migration(sql="[../secret.sql]"), "migrations[0].sql[0]", "path in the repository"),
        (one_migration(sql="[a//b.sql]"), "migrations[0].sql[0]", "path in the repository"),
        (one_migration() + one_migration().removeprefix("migrations:\n"), "migrations", "more than once"),
        (three_times_fifty_files(), "migrations", "150 SQL files"),
        ("migrations: {}", "migrations", "a list"),
        ("- a", "", "no mapping"),
        ("", "", "empty"),
        ("migrations: []\nmigrations: []", "migrations", "twice"),
        ("migrations: [", "", "not YAML"),
        ("verification: !!python/object:os.system x", "verification", "tag"),
        ("a: " + "x" * LARGEST_BYTES, "", "64 KiB"),
        ("[" * 200 + "]" * 200, "", "nested too deeply"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(text: str, path: str, cause: str) -> None:
    assert any(problem.path.startswith(path) and cause in problem.cause for problem in problems(text)), problems(text)


def test_aliases_that_multiply_are_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = problems("\n".join(lines))
    assert "multiply" in problem.cause


def test_without_the_services_workloads_any_name_goes() -> None:
    assert isinstance(parse_release_file(one_migration(up="{workload: other}"), PATH), Migrations)


def test_a_contract_migration_needs_no_way_back() -> None:
    assert parsed(one_migration(stage="contract", backward_compatible="false")).of(Stage.CONTRACT)


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_documented_example_is_read_without_a_problem() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    found = parsed(example)
    assert [migration.name for migration in found.of(Stage.EXPAND)] == ["0042-add-currency", "0043-rename-total"]
    assert [migration.down is not None for migration in found.migrations] == [False, True, False]
    assert found.verification is not None


def test_the_documented_problem_is_told_in_these_words() -> None:
    (shown,) = re.findall(r"```text\n(.*?)\n```", PAGE.read_text(), re.S)
    text = "migrations:\n  - name: a\n    # a comment\n    stage: expnd\n    backward_compatible: true\n    up: {workload: web}\n"
    (problem,) = problems(text)
    assert shown == f"{problem.file}:{problem.line}: {problem.path}: {problem.cause}. {problem.remedy}"


@pytest.mark.parametrize("form", [ReleaseFile, MigrationSection, JobSection])
def test_every_key_is_documented(form: type[ReleaseFile | MigrationSection | JobSection]) -> None:
    page = PAGE.read_text()
    assert [key for key in form.model_fields if f"`{key}`" not in page and f"[].{key}`" not in page] == [
        key for key in ("migrations",) if form is ReleaseFile
    ]


# --- looking at a commit --------------------------------------------------------------------------------------------


@pytest.fixture
async def host() -> AsyncIterator[LocalGitHub]:
    local = LocalGitHub()
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
async def ports(host: LocalGitHub) -> AsyncIterator[Ports]:
    github = GitHub(host.url, lambda: host.token, limits=Limits(first_wait_s=0.01, longest_wait_s=0.05))
    yield replace(World().ports, code=github, linter=SquawkLinter())
    await github.aclose()


def told(verdicts: tuple[Verdict, ...]) -> list[tuple[str, Outcome, bool]]:
    return [(verdict.code, verdict.outcome, verdict.binding) for verdict in verdicts]


def committed(host: LocalGitHub, files: Mapping[str, str | bytes]) -> str:
    return host.commit(SERVICE.repository, "A change", files=files)


async def test_a_release_without_a_file_declares_what_the_configuration_says(host: LocalGitHub, ports: Ports) -> None:
    configured = Migration("0001", Stage.EXPAND, True, JobTemplate(workload="web"))
    verify = JobTemplate(workload="web", args=("verify",))
    service = replace(SERVICE, migrations=(configured,), verification=verify)
    found, verdicts = await look_at_migrations(ports, service, committed(host, {"README.md": "# The shop"}))
    assert found == Migrations((configured,), verify, "forge.yaml")
    assert told(verdicts) == [("ok", Outcome.PASS, True)]
    assert "declaration alone" in verdicts[0].reason


async def test_a_release_that_declares_nothing_passes(host: LocalGitHub, ports: Ports) -> None:
    found, verdicts = await look_at_migrations(ports, SERVICE, committed(host, {"README.md": "# The shop"}))
    assert found is not None
    assert found.migrations == ()
    assert told(verdicts) == [("migration.none", Outcome.PASS, True)]


async def test_a_true_declaration_passes(host: LocalGitHub, ports: Ports) -> None:
    sql = "SET lock_timeout = '2s';\nSET statement_timeout = '9s';\nALTER TABLE orders ADD COLUMN currency text;\n"
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": sql})
    found, verdicts = await look_at_migrations(ports, SERVICE, commit)
    assert found is not None
    assert [migration.name for migration in found.migrations] == ["0042-add-currency"]
    assert told(verdicts) == [("ok", Outcome.PASS, True)]


async def test_a_false_declaration_is_contradicted_by_the_sql(host: LocalGitHub, ports: Ports) -> None:
    sql = "SET lock_timeout = '2s';\nSET statement_timeout = '9s';\nALTER TABLE orders RENAME COLUMN total TO sum;\n"
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": sql})
    found, verdicts = await look_at_migrations(ports, SERVICE, commit)
    assert found is not None
    (verdict,) = verdicts
    assert verdict.code == "migration.contradicted"
    assert verdict.outcome is Outcome.FAIL
    for words in ("0042-add-currency", "migrations/0042.sql:3", "renaming-column", "may break existing clients"):
        assert words in verdict.reason
    assert "`down`" in verdict.remedy


async def test_the_sql_is_read_at_the_commit_and_not_at_the_branch(host: LocalGitHub, ports: Ports) -> None:
    good = committed(host, {PATH: EXPAND, "migrations/0042.sql": "SELECT 1;"})
    committed(host, {"migrations/0042.sql": "DROP TABLE orders;"})
    _, verdicts = await look_at_migrations(ports, SERVICE, good)
    assert decided(verdicts) is Outcome.PASS


async def test_a_missing_sql_file_is_named(host: LocalGitHub, ports: Ports) -> None:
    _, verdicts = await look_at_migrations(ports, SERVICE, committed(host, {PATH: EXPAND}))
    assert told(verdicts) == [("migration.sql_missing", Outcome.FAIL, True)]
    assert "migrations/0042.sql" in verdicts[0].reason


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x00\x01", "no text"), ("-" * 1_100_000, "larger than"), (Submodule(b"1" * 40), "a submodule")],
)
async def test_sql_that_is_no_text_is_refused_and_not_asked_again(
    host: LocalGitHub, ports: Ports, content: str | bytes, words: str
) -> None:
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": content})
    _, verdicts = await look_at_migrations(ports, SERVICE, commit)
    assert told(verdicts) == [("migration.sql_missing", Outcome.FAIL, True)]
    assert words in verdicts[0].reason


async def test_a_release_file_that_is_a_folder_is_refused(host: LocalGitHub, ports: Ports) -> None:
    found, verdicts = await look_at_migrations(ports, SERVICE, committed(host, {f"{PATH}/a": "x"}))
    assert found is None
    assert told(verdicts) == [("migration.file_invalid", Outcome.FAIL, True)]
    assert "a folder" in verdicts[0].reason


async def test_no_answer_from_github_is_no_verdict(host: LocalGitHub, ports: Ports) -> None:
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": "SELECT 1;"})
    host.faults.add(Fault(status=503, path="0042", times=-1))
    with pytest.raises(Temporary):
        await look_at_migrations(ports, SERVICE, commit)


async def test_a_file_with_mistakes_gives_a_verdict_for_each(host: LocalGitHub, ports: Ports) -> None:
    text = one_migration(stage="expnd", up="{workload: db}")
    found, verdicts = await look_at_migrations(ports, SERVICE, committed(host, {PATH: text}))
    assert found is None
    assert told(verdicts) == [("migration.file_invalid", Outcome.FAIL, True)] * 2
    assert f"{PATH}:3: migrations[0].stage" in verdicts[0].reason
    assert "tag the next candidate" in verdicts[0].remedy


async def test_where_both_declare_migrations_the_file_counts_and_a_note_says_so(
    host: LocalGitHub, ports: Ports
) -> None:
    service = replace(SERVICE, migrations=(Migration("old", Stage.EXPAND, True, JobTemplate(workload="web")),))
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": "SELECT 1;"})
    found, verdicts = await look_at_migrations(ports, service, commit)
    assert found is not None
    assert [migration.name for migration in found.migrations] == ["0042-add-currency"]
    assert told(verdicts) == [("migration.file_counts", Outcome.PASS, True), ("ok", Outcome.PASS, True)]


async def test_a_release_file_cannot_take_the_configured_verification_away(host: LocalGitHub, ports: Ports) -> None:
    verify = JobTemplate(workload="web", args=("verify",))
    service = replace(SERVICE, verification=verify)
    found, _ = await look_at_migrations(ports, service, committed(host, {PATH: one_migration()}))
    assert found is not None
    assert found.verification == verify


async def test_another_path_may_be_configured(host: LocalGitHub, ports: Ports) -> None:
    service: Service = replace(SERVICE, release_file="deploy/release.yaml")
    found, _ = await look_at_migrations(ports, service, committed(host, {"deploy/release.yaml": one_migration()}))
    assert found is not None
    assert found.source == "deploy/release.yaml"


async def test_without_a_linter_sql_stays_unknown_and_that_is_not_yes(host: LocalGitHub, ports: Ports) -> None:
    commit = committed(host, {PATH: EXPAND, "migrations/0042.sql": "SELECT 1;"})
    with pytest.raises(Permanent, match="no linter"):
        await look_at_migrations(replace(ports, linter=NoLinter()), SERVICE, commit)


async def test_a_commit_that_isnt_there_is_no_missing_file(host: LocalGitHub, ports: Ports) -> None:
    committed(host, {"README.md": "# The shop"})
    with pytest.raises(Permanent, match="has no commit"):
        await look_at_migrations(ports, SERVICE, "0" * 40)
