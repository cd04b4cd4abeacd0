"""What the doctor says of change windows and of the incident channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bot.adapters import Adapters
from bot.checks.findings import Finding, State
from bot.checks.windows import check_windows, has_production
from bot.checks.workspace import check_channel
from bot.configuration.connections import Secret, SlackConnection
from runbook.errors import Permanent
from runbook.policy import ChangeWindow, Policy, ProdPolicy, Service, Setting, Workload
from runbook.values import Environment

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def setting(*windows: ChangeWindow, environment: Environment = Environment.PROD) -> Setting:
    shop = Service("shop", "acme/shop", (Workload("web", "web", "r.test/web"),), {environment: "http://x"})
    return Setting(Policy(prod=ProdPolicy(windows=windows)), {"shop": shop}, "h")


async def said(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


@pytest.mark.parametrize(
    ("windows", "state", "words"),
    [
        ((), State.WARN, "no change window is configured: nothing is released to production"),
        ((ChangeWindow("always", rrule="FREQ=DAILY", duration_s=86_400.0),), State.OK, "“always” is open"),
        ((ChangeWindow("sunday", rrule="FREQ=WEEKLY;BYDAY=SU"),), State.OK, "“sunday” opens Sun 29 Nov"),
        (
            (ChangeWindow("gone", starts="2026-01-01", ends="2026-01-02"),),
            State.WARN,
            "no change window opens any more",
        ),
    ],
)
async def test_the_doctor_says_whether_production_can_be_released_to(
    windows: tuple[ChangeWindow, ...], state: State, words: str
) -> None:
    (finding,) = await said(check_windows(setting(*windows), NOW))
    assert (finding.check, finding.state) == ("policy.prod.windows", state)
    assert words in finding.text
    assert bool(finding.remedy) is (state is State.WARN)


def test_it_is_asked_where_something_is_released_to_production() -> None:
    assert has_production(setting())
    assert not has_production(setting(environment=Environment.STAGING))


class OneChannel:
    """A workspace in whose C1 alone the bot is a member. asked: the channels that were read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.slack = self

    async def call(self, _method: str, *, channel: str, limit: int) -> dict[str, Any]:
        self.asked.append(channel)
        if channel != "C1":
            raise Permanent("slack", "not_in_channel", "the bot is no member")
        return {}


def connection(incidents: str = "") -> SlackConnection:
    none = Secret("NONE")
    return SlackConnection("C1", "T1", none, none, none, "socket", "http://x", incident_channel=incidents)


async def test_the_incident_channel_is_looked_at_where_it_is_another() -> None:
    slack = OneChannel()
    found = await said(check_channel(cast("Adapters", slack), connection("C2")))
    assert [(f.check, f.state) for f in found] == [("slack.channel", State.OK), ("slack.incident_channel", State.FAIL)]
    assert "/invite" in found[1].remedy
    only = OneChannel()
    assert [f.check for f in await said(check_channel(cast("Adapters", only), connection()))] == ["slack.channel"]
    assert only.asked == ["C1"]
