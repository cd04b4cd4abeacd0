"""`forge doctor` on people: the schedule, who is on call, and roles that nobody can fill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.adapters import Adapters
from bot.checks.findings import Finding, State, carry_out
from bot.checks.people import check_people
from bot.configuration.loading import load
from sandbox.faults import Fault
from sandbox.pagerduty import LocalPagerDuty
from sandbox.slack import LocalSlack

EXAMPLE = Path(__file__).parents[2] / "examples" / "forge.yaml"
ROLES = """roles:
  service_owner: [U0ALICE]
  product: [U0GONE]
  operations: []
  on_call: [U0ALICE]
services:"""


@dataclass
class Around:
    folder: Path
    slack: LocalSlack
    pagerduty: LocalPagerDuty
    key: str = "pd-local-key"

    async def findings(self, *, schedule: str = "") -> dict[str, Finding]:
        text = EXAMPLE.read_text(encoding="utf-8")
        before, rest = text.split("roles:\n", 1)
        text = before + ROLES + rest.split("services:", 1)[1]
        text = text.replace("slack:\n", f"slack:\n  api_url: {self.slack.api_url}\n", 1)
        if schedule:
            section = f"\n  pagerduty: {{schedule: {schedule}, api_url: {self.pagerduty.url}}}\n"
            text = text.replace("\nintegrations:\n", f"\nintegrations:{section}", 1)
        path = self.folder / "forge.yaml"
        path.write_text(text, encoding="utf-8")
        configuration = load(path, {"SLACK_BOT_TOKEN": self.slack.bot_token, "PAGERDUTY_TOKEN": self.key})
        adapters = Adapters(configuration.connections)
        try:
            check = lambda: check_people(adapters, configuration.connections, configuration.setting)  # noqa: E731
            found = await carry_out("people", check, 120)
        finally:
            await adapters.aclose()
        return {finding.check: finding for finding in found}


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Around]:
    team = next(
        line.split(":")[1].split("#")[0].strip()
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith("  team:")
    )
    slack, pagerduty = LocalSlack(), LocalPagerDuty()
    slack.add_user("U0ALICE", "alice", email="alice@acme.test", team_id=team)
    slack.add_user("U0GONE", "gus", deleted=True, team_id=team)
    slack.workspace.team_id = team
    pagerduty.add_user("PALICE", "Alice", "alice@acme.test")
    pagerduty.add_user("PEVE", "Eve", "eve@acme.test")
    pagerduty.add_schedule("PSHOP", "Shop primary")
    await slack.start()
    await pagerduty.start()
    yield Around(tmp_path, slack, pagerduty)
    await pagerduty.stop()
    await slack.stop()


async def test_who_is_on_call_by_configuration_is_named_and_roles_that_nobody_fills_are_told(around: Around) -> None:
    found = await around.findings()
    assert found["on_call"].state is State.OK
    assert "alice is on call" in found["on_call"].text
    assert found["roles.product"].state is State.WARN
    assert "deactivated" in found["roles.product"].text
    assert "pagerduty" not in found
    assert "roles.service_owner" not in found


async def test_the_schedule_is_named_and_says_who_is_on_call(around: Around) -> None:
    around.pagerduty.put_on_call("PSHOP", "PALICE")
    found = await around.findings(schedule="PSHOP")
    assert "Shop primary" in found["pagerduty"].text
    assert "alice is on call" in found["on_call"].text


async def test_an_empty_schedule_is_a_warning(around: Around) -> None:
    found = await around.findings(schedule="PSHOP")
    assert found["on_call"].state is State.WARN
    assert "escalation policy" in found["on_call"].remedy


async def test_somebody_on_call_whom_slack_doesnt_know_is_a_failure(around: Around) -> None:
    around.pagerduty.put_on_call("PSHOP", "PEVE")
    found = await around.findings(schedule="PSHOP")
    assert found["on_call"].state is State.FAIL
    assert "Eve: Slack knows no member" in found["on_call"].text


async def test_a_wrong_key_a_wrong_schedule_and_an_outage_are_told_with_their_remedies(around: Around) -> None:
    assert "integrations.pagerduty.schedule" in (await around.findings(schedule="PNOTHING"))["pagerduty"].remedy
    around.pagerduty.faults.add(Fault(status=503, times=-1))
    assert (await around.findings(schedule="PSHOP"))["pagerduty"].state is State.FAIL
    around.pagerduty.faults.clear()
    around.key = "a-wrong-key"
    refused = (await around.findings(schedule="PSHOP"))["pagerduty"]
    assert "PAGERDUTY_TOKEN" in refused.remedy
    assert "a-wrong-key" not in refused.text + refused.remedy
