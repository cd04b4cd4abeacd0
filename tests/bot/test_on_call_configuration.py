"""On-call by a schedule and services without a database: what forge.yaml may say of them, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.adapters import Adapters
from bot.configuration.loading import Configuration, load
from engine.clock import SteadyClock
from engine.journal import Turn
from engine.settings import Settings
from integrations.pagerduty import PagerDutySchedule
from runbook.documents.problems import ConfigurationError
from runbook.errors import Permanent
from runbook.policy import Policy, Setting
from runbook.values import Role

EXAMPLE = (Path(__file__).parents[2] / "examples" / "forge.yaml").read_text(encoding="utf-8")


def loaded(folder: Path, text: str, **environ: str) -> Configuration:
    file = folder / "forge.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"FORGE_DATA_DIR": str(folder), **environ})


def with_schedule(section: str) -> str:
    assert "\nintegrations:\n" in EXAMPLE
    return EXAMPLE.replace("\nintegrations:\n", f"\nintegrations:\n  pagerduty: {section}\n", 1)


def test_a_schedule_has_pagerdutys_address_and_its_usual_variable(tmp_path: Path) -> None:
    connections = loaded(tmp_path, with_schedule("{schedule: PI7DH85}"), PAGERDUTY_TOKEN="a-key").connections
    found = connections.pagerduty
    assert found is not None
    assert (found.schedule, found.api_url, found.token.reveal()) == ("PI7DH85", "https://api.pagerduty.com", "a-key")
    assert connections.secrets["integrations.pagerduty.token"] == found.token
    assert "a-key" not in repr(connections)


def test_place_and_key_may_be_named(tmp_path: Path) -> None:
    section = "{schedule: PI7DH85, token: {env: OTHER}, api_url: 'https://api.eu.pagerduty.com'}"
    found = loaded(tmp_path, with_schedule(section), OTHER="b-key").connections.pagerduty
    assert found is not None
    assert (found.api_url, found.token.reveal()) == ("https://api.eu.pagerduty.com", "b-key")


def test_without_a_section_there_is_no_schedule(tmp_path: Path) -> None:
    connections = loaded(tmp_path, EXAMPLE).connections
    assert connections.pagerduty is None
    assert Adapters(connections).schedule is None


@pytest.mark.parametrize("section", ["{schedule: Shop primary}", "{schedule: 'PX/../x'}", "{}", "{schedule: PI7DH85, token: abc}"])  # fmt: skip
def test_a_section_that_cant_be_meant_is_refused(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigurationError):
        loaded(tmp_path, with_schedule(section))


async def test_a_key_without_a_value_is_told_by_the_name_of_its_variable(tmp_path: Path) -> None:
    adapters = Adapters(loaded(tmp_path, with_schedule("{schedule: PI7DH85}")).connections)
    assert isinstance(adapters.schedule, PagerDutySchedule)
    with pytest.raises(Permanent, match="PAGERDUTY_TOKEN"):
        await adapters.schedule.on_call()
    await adapters.aclose()


async def test_gates_ask_the_directory_who_holds_a_role(tmp_path: Path) -> None:
    connections = loaded(tmp_path, with_schedule("{schedule: PI7DH85}"), SLACK_BOT_TOKEN="xoxb-1").connections
    adapters = Adapters(connections)
    directory, nothing = adapters.directory(dict), None
    memory: Any = nothing
    assert adapters.ports(SteadyClock(), memory, people=directory).people is directory
    with pytest.raises(Permanent):
        await adapters.ports(SteadyClock(), memory).people.holders(Role.ON_CALL)
    await adapters.aclose()


def test_a_production_in_which_nobody_is_on_call_or_approves_is_a_doubt(tmp_path: Path) -> None:
    bare = EXAMPLE.replace("  on_call: [S0ONCALL001]\n", "").replace("  product: [U0PRODUCT01]\n", "")
    bare = bare.replace("  operations: [S0OPERATION]\n", "")
    causes = [problem.cause for problem in loaded(tmp_path, bare).warnings]
    assert "nobody is on call, so that nothing can be released to production" in causes
    assert "production needs an approval by product or operations, and nobody holds the role" in causes
    by_schedule = bare.replace("\nintegrations:\n", "\nintegrations:\n  pagerduty: {schedule: PI7DH85}\n", 1)
    assert not any("nobody is on call" in problem.cause for problem in loaded(tmp_path, by_schedule).warnings)


def test_a_service_may_have_no_database(tmp_path: Path) -> None:
    assert loaded(tmp_path, EXAMPLE).setting.services["shop"].database
    before, _, rest = EXAMPLE.partition("  postgres: # databases")
    without = f"{before}\nserver:\n{rest.partition(chr(10) + 'server:' + chr(10))[2]}"
    text = without.replace("    repository: acme/shop\n", "    repository: acme/shop\n    database: false\n", 1)
    assert not loaded(tmp_path, text).setting.services["shop"].database


# --- mentions ---------------------------------------------------------------------------------------------------------

SETTING = Setting(Policy(), {}, "one", {Role.ON_CALL: ("SGROUP", "os:root"), Role.PRODUCT: ("UPIA",)})


def mentioned(settings: Settings, *roles: Role) -> tuple[str, ...]:
    ledger: Any = None
    return Turn(ledger, SteadyClock().now(), settings.current).members(*roles)


def test_whom_the_schedule_names_is_mentioned_in_place_of_the_configured_members() -> None:
    settings = Settings(SETTING)
    assert mentioned(settings, Role.ON_CALL, Role.PRODUCT) == ("SGROUP", "UPIA")
    settings.know_on_call(("UOLGA",))
    assert mentioned(settings, Role.ON_CALL, Role.PRODUCT) == ("UOLGA", "UPIA")


def test_where_the_schedule_names_nobody_who_can_be_reached_the_configured_members_are_mentioned() -> None:
    settings = Settings(SETTING)
    settings.know_on_call(())
    assert mentioned(settings, Role.ON_CALL) == ("SGROUP",)


def test_who_is_on_call_stays_known_when_the_file_changes() -> None:
    settings = Settings(SETTING)
    settings.know_on_call(("UOLGA",))
    settings.replace(replace(SETTING, hash="two"))
    assert (settings.current.hash, mentioned(settings, Role.ON_CALL)) == ("two", ("UOLGA",))
