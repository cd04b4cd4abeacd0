"""`forge incident …` on the command line: listing needs no bot, everything else does; and the words are Slack's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from bot.exits import Exit
from engine.incidents import open_incident
from engine.journal import Turn
from engine.ports import Ledger
from runbook.policy import Policy, Setting
from state.store import open_store
from tests.bot.test_command_line import answering, forge


def test_open_incidents_are_listed_without_a_bot_and_opening_one_needs_it(tmp_path: Path) -> None:
    def change(ledger: Ledger) -> None:
        open_incident(
            Turn(ledger, datetime.now(UTC), Setting(Policy(), {}, "h")), "prod", "shop", 2, "checkout is slow"
        )

    with open_store("", data_dir=tmp_path) as store:
        store.write_now(change)
    listed = forge("incident", "list", "prod", "--json", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["view"]["incidents"][0]["title"] == "checkout is slow"
    assert "No incident is open in staging" in forge("incident", "list", "staging", folder=tmp_path).stdout
    assert "checkout is slow" in forge("status", folder=tmp_path, COLUMNS="120").stdout
    opened = forge("incident", "open", "prod", "--severity", "2", "--reason", "slow", folder=tmp_path)
    assert opened.returncode == Exit.NOT_RUNNING


def test_options_and_quoted_words_reach_the_bot_as_they_were_typed(tmp_path: Path) -> None:
    answer = {"kind": "done", "code": "x", "text": "done", "rendered": "done\n"}
    for words in (
        ("freeze", "prod", "--until", "3h", "--reason", "end of year"),
        ("incident", "open", "prod", "--severity", "2", "--reason", "checkout is slow"),
        ("override", "prod-12", "change window", "--reason", "agreed"),
        ("rollback", "prod", "--to", "v1.3.2"),
        ("promote", "v1.4.0", "prod"),
    ):
        with answering(tmp_path, answer) as asked:
            forge(*words, folder=tmp_path)
        (tmp_path / "forge.sock").unlink(missing_ok=True)
        assert asked[0]["argv"] == list(words)
