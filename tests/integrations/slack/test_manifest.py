"""The manifest asks for what the code uses: no scope too few, none too many; and what the code calls, Slack lets it call."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from handlers.consumer import ACTIONS, WITH_DIALOG
from handlers.slack_app import COMMAND_NAME
from integrations.slack.scopes import BOT_SCOPES, METHODS
from messages import cards
from runbook.commands import BY_NAME
from sandbox.slack import LocalSlack

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((ROOT / "manifest.yml").read_text())
    return found


def test_the_scopes_are_exactly_those_that_the_code_needs(manifest: dict[str, Any]) -> None:
    assert manifest["oauth_config"]["scopes"] == {"bot": list(BOT_SCOPES)}


def test_the_slash_command_is_the_one_that_is_listened_to(manifest: dict[str, Any]) -> None:
    [command] = manifest["features"]["slash_commands"]
    assert command["command"] == COMMAND_NAME
    assert command["should_escape"] is True
    hinted = {part.split()[0] for part in command["usage_hint"].split("|")}
    assert hinted <= set(BY_NAME)
    assert "url" not in command  # Socket Mode takes none


def test_interactivity_and_socket_mode_are_on_and_nothing_else_is_asked_for(manifest: dict[str, Any]) -> None:
    assert manifest["settings"]["interactivity"]["is_enabled"] is True
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert "event_subscriptions" not in manifest["settings"]
    assert "user" not in manifest["oauth_config"]["scopes"]


def test_slacks_limits_for_a_manifest_are_kept(manifest: dict[str, Any]) -> None:
    shown = manifest["display_information"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 174 <= len(shown["long_description"]) <= 4000
    [command] = manifest["features"]["slash_commands"]
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000


def test_every_method_that_the_code_calls_is_declared_and_every_declared_one_is_called() -> None:
    called: set[str] = set()
    for folder in ("integrations/slack", "handlers", "bot"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "scopes.py":
                called |= {
                    text for text in _texts(path) if text in METHODS or text.startswith(("chat.", "conversations."))
                }
    # bot asks auth.test at the start and for `forge doctor`.
    assert called | {"auth.test"} == set(METHODS)


def test_slack_lets_the_code_call_each_method_with_these_scopes() -> None:
    methods = LocalSlack().api.methods
    for name in METHODS:
        accepted = methods[name].scopes
        assert not accepted or set(accepted) & set(BOT_SCOPES), name


def test_every_button_that_can_be_shown_is_listened_to() -> None:
    assert set(cards._ORDER) == set(ACTIONS)
    assert set(WITH_DIALOG) <= set(ACTIONS)
    assert {action for action in ACTIONS if action in BY_NAME} == set(ACTIONS)


def _texts(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
