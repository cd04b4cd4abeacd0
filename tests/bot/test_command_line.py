"""The command line as a script sees it: exit codes, JSON, what works without a running bot."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from typing import Any

import pytest

from bot.exits import MEANING, Exit, of_answer
from engine.records import Entry
from runbook.commands import COMMANDS
from state.store import open_store
from tests.bot.prepared_forge import Ended, typed

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "forge.yaml"


def forge(*words: str, folder: Path, **environ: str) -> Ended:
    """folder: of its data."""
    return typed(words, ROOT, {"FORGE_DATA_DIR": str(folder), **environ})


@contextmanager
def answering(folder: Path, answer: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """A bot's socket that gives one answer to everything, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            length = 0
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            asked.append(json.loads(self.rfile.read(length)))
            body = json.dumps(answer).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with UnixStreamServer(str(folder / "forge.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def reply(kind: str, code: str, text: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "code": code,
        "text": text,
        "remedy": "",
        "run": "",
        "verdicts": [],
        "view": None,
        "rendered": text + "\n",
    }


def test_help_names_every_command_and_every_exit_code() -> None:
    command = [sys.executable, "-c", "from bot.cli import main; main()", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for word in ("serve", "sandbox", "demo", "doctor", "config", "audit", "runbook", *(c.name for c in COMMANDS)):
        assert f"\n  {word} " in done.stdout
    for code, meaning in MEANING.items():
        assert f"{code.value}  {meaning}" in done.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """Forge's help has to be quick: measured by what it imports, because a shared machine's clock proves nothing."""
    heavy = ("pydantic", "aiohttp", "slack_sdk", "sqlalchemy", "kubernetes_asyncio", "asyncio", "rich")
    script = f"""
import sys
from bot.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([module for module in {heavy} if module in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_the_documentation_lists_the_exit_codes() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for code, meaning in MEANING.items():
        assert f"| {code.value} | {meaning} |" in text


@pytest.mark.parametrize("command", ["approve", "reject", "withdraw"])
def test_a_decision_names_the_way_in_slack(tmp_path: Path, command: str) -> None:
    done = forge(command, "staging-7", folder=tmp_path)
    assert done.returncode == Exit.NEEDS_SLACK
    assert f"/forge {command} staging-7" in done.stderr


def test_without_a_bot_a_deployment_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    done = forge("deploy", "staging", "v1.4.0-rc.2", "--json", folder=tmp_path)
    assert done.returncode == Exit.NOT_RUNNING
    assert json.loads(done.stdout)["code"] == "local.not_running"


def test_words_reach_the_bot_as_they_were_typed(tmp_path: Path) -> None:
    with answering(tmp_path, reply("done", "run.created", "staging-7 is queued.")) as asked:
        done = forge("deploy", "staging", "v1.4.0-rc.2", "--reason", "two words", "--service", "shop", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "staging-7 is queued.\n")
    assert asked[0]["argv"] == ["deploy", "staging", "v1.4.0-rc.2", "--reason", "two words", "--service", "shop"]


def test_a_refusal_is_told_on_standard_error(tmp_path: Path) -> None:
    with answering(tmp_path, reply("refused", "authority.role", "You may not.")):
        done = forge("pause", "staging-7", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.REFUSED, "", "You may not.\n")


def test_audit_of_a_run_is_the_slash_command(tmp_path: Path) -> None:
    with answering(tmp_path, reply("info", "audit", "entries")) as asked:
        assert forge("audit", "staging-7", folder=tmp_path).returncode == 0
        assert forge("audit", folder=tmp_path).returncode == 0
    assert [each["argv"] for each in asked] == [["audit", "staging-7"], ["audit"]]


@pytest.mark.parametrize(
    ("kind", "code", "wanted"),
    [("done", "x", Exit.OK), ("info", "x", Exit.OK), ("refused", "gate.x", Exit.REFUSED), ("refused", "parse.environment", Exit.USAGE),
     ("refused", "authority.slack_only", Exit.NEEDS_SLACK), ("fault", "handler.fault", Exit.FAULT)],
)  # fmt: skip
def test_every_kind_of_answer_has_its_exit_code(kind: str, code: str, wanted: Exit) -> None:
    assert of_answer(kind, code) is wanted


def test_reading_works_without_a_bot(tmp_path: Path) -> None:
    with open_store("", data_dir=tmp_path) as store:
        entry = Entry(actor="forge", action="run.created", subject="staging-1", why="because")
        store.write_now(lambda ledger: ledger.audit(entry, datetime.now(UTC)))
    shown = forge("audit", "--json", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["view"]["entries"][0]["why"] == "because"
    assert "No bot is running" in forge("status", folder=tmp_path).stdout
    assert "deploy <env> [version]" in forge("help", "deploy", folder=tmp_path).stdout
    assert "because" in forge("audit", "show", "--text", "becau", folder=tmp_path).stdout
    assert forge("audit", "export", str(tmp_path / "log.csv"), "--format", "csv", folder=tmp_path).returncode == 0
    assert (
        forge("audit", "export", str(tmp_path / "log.csv"), "--format", "csv", folder=tmp_path).returncode
        == Exit.REFUSED
    )


def test_a_lock_without_a_bot_needs_a_role_of_the_operating_system_user(tmp_path: Path) -> None:
    import pwd

    me = pwd.getpwuid(os.getuid()).pw_name
    words = ("lock", "staging", "--reason", "load test")
    refused = forge(*words, folder=tmp_path, FORGE_CONFIG=str(EXAMPLE))
    assert refused.returncode == Exit.REFUSED
    mine = tmp_path / "forge.yaml"
    mine.write_text(EXAMPLE.read_text().replace("[S0RELEASE01]", f'[S0RELEASE01, "os:{me}"]'))
    done = forge(*words, folder=tmp_path, FORGE_CONFIG=str(mine))
    assert done.returncode == 0, done.stderr
    assert "load test" in forge("status", folder=tmp_path).stdout


def test_a_key_is_made_once_and_verifies_the_log(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    made = forge("audit", "keygen", "--out", str(key), folder=tmp_path)
    assert made.returncode == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in made.stdout + made.stderr
    assert forge("audit", "keygen", "--out", str(key), folder=tmp_path).returncode == Exit.REFUSED
    public = tmp_path / "public.pem"
    public.write_text(made.stdout)
    with open_store("", data_dir=tmp_path) as store:
        for number in range(3):
            entry = Entry(actor="forge", action="test", subject=str(number))
            store.write_now(lambda ledger, entry=entry: ledger.audit(entry, datetime.now(UTC)))  # type: ignore[misc]
    good = forge("audit", "verify", "--public-key", str(public), "--json", folder=tmp_path)
    assert (good.returncode, json.loads(good.stdout)["entries"]) == (0, 3)
    import sqlite3

    with sqlite3.connect(tmp_path / "forge.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE audit SET what = 'forged' WHERE seq = 2")
    bad = forge("audit", "verify", "--public-key", str(public), folder=tmp_path)
    assert bad.returncode == Exit.CHECK_FAILED
    assert "entry 2" in bad.stdout


def test_a_configuration_is_validated_by_exit_code(tmp_path: Path) -> None:
    assert forge("config", "validate", str(EXAMPLE), folder=tmp_path).returncode == 0
    bad = tmp_path / "bad.yaml"
    bad.write_text("slak: {}\n")
    done = forge("config", "validate", "--json", str(bad), folder=tmp_path)
    assert done.returncode == Exit.USAGE
    problems = json.loads(done.stdout)["problems"]
    assert {
        "file": str(bad),
        "line": 1,
        "column": 1,
        "key": "slak",
        "cause": "there is no such key",
        "remedy": 'Did you mean "slack"?',
    } in problems


def test_the_schema_is_json(tmp_path: Path) -> None:
    assert json.loads(forge("config", "schema", folder=tmp_path).stdout)["title"] == "File"


def test_the_runbook_in_force_has_the_configured_numbers(tmp_path: Path) -> None:
    mine = tmp_path / "forge.yaml"
    critical = "policy:\n  critical:\n    - {name: error rate, metric: error_ratio, above: 2 %, for: 90s}\n"
    mine.write_text(EXAMPLE.read_text().replace("policy:\n", critical))
    text = forge("runbook", "--config", str(mine), folder=tmp_path).stdout
    assert "error rate above 2 % for 1m30s" in text
    assert text.index("Deploy shop-api") < text.index("Deploy shop-web") < text.index("Go or no-go")
