"""`forge runbook`: production's procedure, triggers, way back and checklists are printed from the plans that are executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bot.configuration.loading import load
from bot.runbook_lines import CHECKS
from bot.runbook_text import render_runbook
from runbook.criteria import Weight
from runbook.steps.gates import AnyCheck

EXAMPLE = Path(__file__).parents[2] / "examples" / "forge.yaml"


@pytest.fixture(scope="module")
def text() -> str:
    return render_runbook(load(EXAMPLE, {}).setting)


def chapter(text: str, heading: str) -> str:
    return text.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]


def test_production_is_told_in_the_order_in_which_it_is_executed(text: str) -> None:
    told = chapter(text, "## Production Deployment: shop")
    order = [
        "Change windows:",
        "Artifact",
        "Ready for production",
        "Ship to production",
        "Pre-deployment checklist",
        "Start the canary",
        "Canary gate (5 %)",
        "Ramp gate (25 %)",
        "Full rollout gate (100 %)",
        "Elevated watch",
        "Completion criteria",
        "Make it stable",
        "Post-deployment checklist",
    ]
    places = [told.index(words) for words in order]
    assert places == sorted(places)
    assert "[ ] Backup recency and restore test status verified (ticks itself when “backup” passed)" in told
    assert "by Service Owner, Product or Operations within 1d" in told


def test_every_trigger_says_its_limit_and_what_it_does(text: str) -> None:
    told = chapter(text, "### Rollback Triggers of shop")
    assert "error rate of the canary above 3 % for 5m (`forge:error_ratio:1m`): rolled back at once" in told
    assert "core transaction success of the canary below 98 % for 1m" in told
    assert "canary errors against stable's: more than 2 times stable's error rate" in told
    regression = next(line for line in told.splitlines() if line.startswith("- slow queries"))
    assert regression.endswith("on-call is asked, and without an answer within 15m it is rolled back")


def test_the_way_back_names_the_database_owners_choice_with_what_follows_each_answer(text: str) -> None:
    told = chapter(text, "### Rollback Procedure of shop")
    assert told.index("Shift traffic back") < told.index("Remove the canary") < told.index("Update the incident")
    assert "**What becomes of the schema.** (by the Database Owner; reminded after 15m)" in told
    assert "- Keep the schema, roll the application back: nothing more" in told
    assert "[ ] Incident timeline documented" in told


def test_backup_drill_and_restore_are_told_with_their_policy(text: str) -> None:
    policy = chapter(text, "## PostgreSQL Backup and Restore: shop")
    assert "- full backup: FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0 (UTC)" in policy
    assert "- kept for 7d in dev, 14d in staging and 35d in prod" in policy
    order = (
        "Verify the backup destination",
        "Make the full logical backup",
        "Validate the stored",
        "Record the backup's metadata",
        "Apply the retention",
    )
    made = chapter(text, "### Backup of shop")
    assert [made.index(words) for words in order] == sorted(made.index(words) for words in order)
    drilled = chapter(text, "### Restore drill of shop")
    assert "the rows of public.orders, at least 1000" in drilled
    assert "Sign off the drill" in drilled
    restored = chapter(text, "### Restore of shop")
    assert (
        restored.index("Post-restore checks")
        < restored.index("Sign off what was restored")
        < restored.index("Lead the traffic")
    )


def test_dev_is_told_in_the_order_in_which_it_is_executed(text: str) -> None:
    told = chapter(text, "## Development Deployment: shop")
    assert "A commit of `main`: by itself once its CI is green, or by `/forge deploy dev [commit]`." in told
    order = [
        "CI green", "Workloads deployable", "Remember the images", "Deploy shop-api", "Deploy shop-web", "Smoke tests",
        "Observe logs, error rate and health", "Dev validation gate", "no pod has logged a line", "Mark as dev-validated",
        "Record the result",
    ]  # fmt: skip
    places = [told.index(words) for words in order]
    assert places == sorted(places)
    assert "Watched from" not in told
    assert "since the deployment began: `\\bFATAL\\b`, `\\bPANIC\\b`, " in told
    assert "not-validated" in chapter(text, "### Return of shop to what ran in dev before")


def test_staging_says_what_it_asks_of_dev(text: str) -> None:
    told = chapter(text, "## Staging Deployment: shop")
    assert told.index("Dev promotion gate") < told.index("Deploy to staging")
    assert "this very commit was validated in dev" in told
    assert "this very commit was validated in dev: smoke tests, logs and error rate\n" in told
    setting = load(EXAMPLE, {}).setting
    relaxed = replace(setting.policy, staging=replace(setting.policy.staging, dev_validated=Weight.RECOMMENDED))
    shown = chapter(render_runbook(replace(setting, policy=relaxed)), "## Staging Deployment: shop")
    assert "smoke tests, logs and error rate (recommended: shown, not decisive)" in shown
    shop = setting.services["shop"]
    urls = {env: url for env, url in shop.urls.items() if env != "dev"}
    bare = render_runbook(replace(setting, services={"shop": replace(shop, urls=urls)}))
    assert "## Development Deployment" not in bare
    told = chapter(bare, "## Staging Deployment: shop")
    assert "Before it nothing is asked of dev: shop has none" in told
    assert "Dev promotion gate" not in told


def test_nothing_is_told_twice_and_no_two_lines_are_empty(text: str) -> None:
    assert "the same as step" in chapter(text, "## Production Deployment: shop")
    assert "\n\n\n" not in text


def test_every_kind_of_check_has_its_words() -> None:
    kinds = {check.__dataclass_fields__["kind"].default for check in get_args(get_args(AnyCheck)[0])}
    assert kinds == set(CHECKS)
