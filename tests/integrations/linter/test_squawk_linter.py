"""The linter's integration with the real squawk, and with programs that misbehave in its place."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from integrations.sql_linter import EXCLUDED, INCLUDED, LARGEST_BYTES, SquawkLinter
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.ports import LintFinding
from runbook.rules.migrations import DOUBTFUL, INCOMPATIBLE

DROP = "-- away with it\nALTER TABLE orders\n  DROP COLUMN note;\n"


def rules(findings: tuple[LintFinding, ...]) -> set[str]:
    return {finding.rule for finding in findings}


def impostor(folder: Path, body: str) -> SquawkLinter:
    """A program of our own in squawk's place."""
    path = folder / "squawk"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return SquawkLinter(str(path), timeout_s=10.0)


async def test_a_finding_names_file_line_rule_and_squawks_words() -> None:
    found = await SquawkLinter().lint({"migrations/0042_drop.sql": DROP})
    (drop,) = [finding for finding in found if finding.rule == "ban-drop-column"]
    assert (drop.path, drop.line) == ("migrations/0042_drop.sql", 3)
    assert drop.message == "Dropping a column may break existing clients."


async def test_harmless_sql_has_no_findings() -> None:
    assert await SquawkLinter().lint({"a.sql": "SELECT 1;", "empty.sql": ""}) == ()


async def test_findings_of_several_files_stay_apart() -> None:
    found = await SquawkLinter().lint({"a.sql": DROP, "b.sql": "DROP TABLE notes;", "c.sql": DROP})
    assert {f.path for f in found if f.rule == "ban-drop-column"} == {"a.sql", "c.sql"}
    assert {f.path for f in found if f.rule == "ban-drop-table"} == {"b.sql"}


async def test_what_is_no_sql_is_a_syntax_error_with_its_line() -> None:
    found = await SquawkLinter().lint({"a.sql": "SELECT 1;\nSELEC 2;\n"})
    assert {(finding.rule, finding.line) for finding in found} == {("syntax-error", 2)}


@pytest.mark.parametrize(
    "silencer", ["-- squawk-ignore ban-drop-column\n", "-- squawk-ignore-file\n", "/* SQUAWK-IGNORE-FILE */\n"]
)
async def test_a_migration_cannot_silence_the_linter(silencer: str) -> None:
    assert "ban-drop-column" in rules(await SquawkLinter().lint({"a.sql": silencer + DROP}))


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        ("adding-not-nullable-field", "ALTER TABLE t ALTER COLUMN a SET NOT NULL;"),
        ("adding-required-field", "ALTER TABLE t ADD COLUMN a bigint NOT NULL;"),
        ("ban-drop-column", "ALTER TABLE t DROP COLUMN a;"),
        ("ban-drop-database", "DROP DATABASE d;"),
        ("ban-drop-domain", "DROP DOMAIN d;"),
        ("ban-drop-extension", "DROP EXTENSION e;"),
        ("ban-drop-function", "DROP FUNCTION f();"),
        ("ban-drop-schema", "DROP SCHEMA s;"),
        ("ban-drop-sequence", "DROP SEQUENCE s;"),
        ("ban-drop-table", "DROP TABLE t;"),
        ("ban-drop-type", "DROP TYPE t;"),
        ("ban-drop-view", "DROP VIEW v;"),
        ("ban-set-schema", "ALTER TABLE t SET SCHEMA s;"),
        ("ban-truncate-cascade", "TRUNCATE t CASCADE;"),
        ("changing-column-type", "ALTER TABLE t ALTER COLUMN a TYPE text;"),
        ("renaming-column", "ALTER TABLE t RENAME COLUMN a TO b;"),
        ("renaming-object", "ALTER TYPE t RENAME VALUE 'a' TO 'b';"),
        ("renaming-table", "ALTER TABLE t RENAME TO u;"),
    ],
)
async def test_every_rule_that_contradicts_a_declaration_is_one_that_squawk_finds(rule: str, sql: str) -> None:
    assert rule in INCOMPATIBLE
    assert rule in rules(await SquawkLinter().lint({"a.sql": sql}))


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        ("require-concurrent-index-creation", "CREATE INDEX i ON t (a);"),
        ("constraint-missing-not-valid", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);"),
        ("disallowed-unique-constraint", "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a);"),
        ("adding-foreign-key-constraint", "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id);"),
        ("ban-drop-not-null", "ALTER TABLE t ALTER COLUMN a DROP NOT NULL;"),
        ("ban-drop-constraint", "ALTER TABLE t DROP CONSTRAINT c;"),
        ("ban-revoke", "REVOKE ALL ON t FROM shop;"),
        ("ban-new-write-restriction", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"),
        ("ban-drop-default", "ALTER TABLE t ALTER COLUMN a DROP DEFAULT;"),
        ("require-lock-timeout", "ALTER TABLE t ADD COLUMN a bigint;"),
    ],
)
async def test_what_is_only_doubtful_is_found_too(rule: str, sql: str) -> None:
    assert rule in DOUBTFUL
    assert rule in rules(await SquawkLinter().lint({"a.sql": sql}))


async def test_matters_of_taste_are_not_reported() -> None:
    found = await SquawkLinter().lint({"a.sql": "CREATE TABLE t (id int, name char(10), at timestamp);"})
    assert found == ()


async def test_every_rule_that_is_asked_for_is_known_to_the_installed_squawk(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    for rule in {*INCLUDED, *EXCLUDED, *INCOMPATIBLE, *DOUBTFUL}:
        done = subprocess.run(
            [Path(sys.executable).parent / "squawk", f"--exclude={rule}", tmp_path / "a.sql"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


async def test_equal_content_is_linted_once(tmp_path: Path) -> None:
    linter = impostor(tmp_path, "open(sys.argv[0] + '.ran', 'a').write('x')\nprint('[]')")
    await linter.lint({"a.sql": "SELECT 1;"})
    await linter.lint({"b.sql": "SELECT 1;"})
    assert (tmp_path / "squawk.ran").read_text() == "x"
    await linter.lint({"b.sql": "SELECT 2;"})
    assert (tmp_path / "squawk.ran").read_text() == "xx"


async def test_the_copies_are_closed_to_others_and_gone_afterwards(tmp_path: Path) -> None:
    body = (
        "folder = os.path.dirname(sys.argv[-1])\n"
        "open(sys.argv[0] + '.seen', 'w').write(folder + ' ' + oct(os.stat(folder).st_mode & 0o777))\n"
        "print('[]')"
    )
    await impostor(tmp_path, body).lint({"secret/../path.sql": "SELECT 1;"})
    folder, mode = (tmp_path / "squawk.seen").read_text().split()
    assert mode == "0o700"
    assert not Path(folder).exists()


async def refusal(linter: SquawkLinter, sql: str = "SELECT 1;") -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await linter.lint({"a.sql": sql})
    return caught.value


async def test_a_missing_program_is_told_with_the_way_to_install_it(tmp_path: Path) -> None:
    error = await refusal(SquawkLinter(str(tmp_path / "none")))
    assert isinstance(error, Permanent)
    assert error.code == "linter.no_program"
    assert "pip install squawk-cli" in error.remedy


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    linter = impostor(tmp_path, "time.sleep(60)")
    linter._timeout_s = 0.3
    error = await refusal(linter)
    assert isinstance(error, Temporary)
    assert error.code == "linter.timeout"


async def test_a_program_that_is_killed_may_be_asked_again(tmp_path: Path) -> None:
    error = await refusal(impostor(tmp_path, "os.kill(os.getpid(), 9)"))
    assert isinstance(error, Temporary)
    assert error.code == "linter.killed"


@pytest.mark.parametrize(
    "body",
    [
        "print('no JSON')",
        "print('{}')",
        "print('[{}]')",
        "print('[1]')",
        "sys.stderr.write('Error: something is wrong\\n'); sys.exit(1)",
        "print('[]'); sys.exit(101)",
        "sys.stdout.buffer.write(b'\\xff\\xfe')",
    ],
)
async def test_an_answer_that_is_no_list_of_findings_is_never_taken_for_none(tmp_path: Path, body: str) -> None:
    error = await refusal(impostor(tmp_path, body))
    assert isinstance(error, Permanent)
    assert error.code == "linter.garbage"


async def test_squawks_own_words_are_kept_where_it_could_not_work(tmp_path: Path) -> None:
    error = await refusal(
        impostor(tmp_path, "sys.stderr.write('Error: stream did not contain valid UTF-8\\n'); sys.exit(1)")
    )
    assert "stream did not contain valid UTF-8" in error.cause


async def test_a_finding_about_a_file_that_nobody_asked_for_is_garbage(tmp_path: Path) -> None:
    body = """print('[{"file": "/x/other.sql", "line": 0, "rule_name": "a", "message": "b", "help": null}]')"""
    assert (await refusal(impostor(tmp_path, body))).code == "linter.garbage"


async def test_more_sql_than_a_release_has_is_refused_before_it_runs(tmp_path: Path) -> None:
    error = await refusal(SquawkLinter(str(tmp_path / "none")), "-" * (LARGEST_BYTES + 1))
    assert error.code == "linter.too_large"


async def test_a_thousand_findings_are_bounded_and_hide_no_other_rule() -> None:
    found = await SquawkLinter().lint({"a.sql": "DROP TABLE t;\n" * 1000 + DROP})
    assert "ban-drop-column" in rules(found)
    assert len(found) < 200
