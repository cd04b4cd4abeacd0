"""What forge.yaml says of dev: what is accepted, what is refused at which key with which way out, and what is only doubted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.configuration.connections import DevBounds, Profile
from bot.configuration.loading import Configuration, load
from runbook.documents.problems import ConfigurationError, Problem
from runbook.policy import DevPolicy
from runbook.procedures.committed import image_tag

EXAMPLE = (Path(__file__).parents[2] / "examples" / "forge.yaml").read_text(encoding="utf-8")
WITHOUT_POLICY = EXAMPLE.partition("\n# Every number of the runbook")[0]


def loaded(tmp_path: Path, text: str) -> Configuration:
    file = tmp_path / "forge.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"FORGE_DATA_DIR": str(tmp_path)})


def with_policy(tmp_path: Path, lines: str, notice: str = "") -> Configuration:
    said = f"notice: {notice}\n" if notice else ""
    return loaded(tmp_path, f"{WITHOUT_POLICY}\n{said}policy:\n  dev:\n    {lines}\n")


def problem(tmp_path: Path, text: str) -> Problem:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text)
    assert len(caught.value.problems) == 1, caught.value
    return caught.value.problems[0]


def test_without_a_word_dev_has_the_runbooks_numbers(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, WITHOUT_POLICY)
    assert configuration.setting.policy.dev == DevPolicy()
    assert configuration.setting.policy.dev.observation_s == 900


def test_every_number_of_dev_can_be_written(tmp_path: Path) -> None:
    lines = """auto_deploy: false
    settle: 5s
    poll: 10s
    ci_wait: 1h
    observation: 20m
    max_error_ratio: 0.5 %
    min_requests: 50
    smoke_every: 10s
    rollout_timeout: 5m
    trouble_within: 30s
    traffic_wait: 1m
    log_patterns: ['(?i)\\bdeadlock detected\\b']
    log_bytes: 4096
    log_lines: 3"""
    assert with_policy(tmp_path, lines).setting.policy.dev == DevPolicy(
        auto_deploy=False, settle_s=5, poll_s=10, ci_wait_s=3600, observation_s=1200, max_error_ratio=0.005,
        min_requests=50, smoke_every_s=10, rollout_timeout_s=300, trouble_within_s=30, traffic_wait_s=60,
        log_patterns=("(?i)\\bdeadlock detected\\b",), log_bytes=4096, log_lines=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "key", "cause", "remedy"),
    [
        ("log_patterns: ['(']", "policy.dev.log_patterns[0]", "unclosed group", "linear in time"),
        ("log_patterns: ['FATAL(?=:)']", "policy.dev.log_patterns[0]", "look-around", "linear in time"),
        ("log_patterns: ['.*']", "policy.dev.log_patterns[0]", "every line", ""),
        ("log_bytes: 100", "policy.dev.log_bytes", "4096", ""),
        ("log_bytes: 100000000", "policy.dev.log_bytes", "16777216", ""),
        ("poll: 1s", "policy.dev.poll", "without a pause", "10s"),
        ("min_requests: 0", "policy.dev.min_requests", "1", ""),
        ("approvers: [service_owner]", "policy.dev.approvers", "", ""),
    ],
)
def test_what_cant_be_is_refused_at_its_key(tmp_path: Path, lines: str, key: str, cause: str, remedy: str) -> None:
    found = problem(tmp_path, f"{WITHOUT_POLICY}\npolicy:\n  dev:\n    {lines}\n")
    assert found.path == key
    assert cause in found.cause
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("lines", "key", "cause"),
    [
        ("observation: 5m", "policy.dev.observation", "weaker than the runbook's 15m"),
        ("max_error_ratio: 5 %", "policy.dev.max_error_ratio", "weaker than the runbook's 1 %"),
        ("log_patterns: []", "policy.dev.log_patterns", "no line of a log is verified"),
    ],
)
def test_what_is_weaker_than_the_runbook_is_doubted_unless_every_run_says_why(
    tmp_path: Path, lines: str, key: str, cause: str
) -> None:
    (doubt,) = with_policy(tmp_path, lines).warnings
    assert (doubt.path, cause in doubt.cause) == (key, True)
    assert "notice" in doubt.remedy
    assert with_policy(tmp_path, lines, notice="durations are shortened").warnings == ()


# --- a service's branch, images and suites ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "tag"),
    [("{commit}", "c" * 40), ("sha-{short}", "sha-ccccccc"), ("main-{commit}.arm", f"main-{'c' * 40}.arm")],
)
def test_a_commits_images_have_the_tag_that_ci_gives_them(tmp_path: Path, template: str, tag: str) -> None:
    text = EXAMPLE.replace('image_tag: "{commit}"', f'image_tag: "{template}"')
    assert image_tag(loaded(tmp_path, text).setting.services["shop"], "c" * 40) == tag


@pytest.mark.parametrize("template", ["latest", "{sha}", "{commit", "a b{commit}", "{commit}@x", ""])
def test_a_tag_that_names_no_commit_is_refused(tmp_path: Path, template: str) -> None:
    found = problem(tmp_path, EXAMPLE.replace('image_tag: "{commit}"', f'image_tag: "{template}"'))
    assert found.path == "services.shop.image_tag"
    assert "{commit} or {short}" in found.cause + found.remedy


@pytest.mark.parametrize("branch", ["main", "release/2026", "trunk"])
def test_the_branch_is_a_plain_name(tmp_path: Path, branch: str) -> None:
    assert loaded(tmp_path, EXAMPLE.replace("    # branch: main #", f"    branch: {branch} #")).setting.services["shop"].branch == branch  # fmt: skip


@pytest.mark.parametrize("branch", ["-x", "a b", "../main", '""'])
def test_another_branch_is_refused(tmp_path: Path, branch: str) -> None:
    found = problem(tmp_path, EXAMPLE.replace("    # branch: main #", f"    branch: {branch} #"))
    assert found.path == "services.shop.branch"


def test_suites_of_dev_are_the_services_own(tmp_path: Path) -> None:
    text = EXAMPLE.replace("    # dev_suites: [api] #", "    dev_suites: [api, journeys] #")
    assert loaded(tmp_path, text).setting.services["shop"].dev_suites == ("api", "journeys")
    found = problem(tmp_path, EXAMPLE.replace("    # dev_suites: [api] #", "    dev_suites: [apo] #"))
    assert (found.path, found.cause) == ("services.shop.dev_suites[0]", "the service has no suite named apo")
    assert "api" in found.remedy


# --- the environment --------------------------------------------------------------------------------------------------------


def test_the_example_has_a_dev(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, EXAMPLE)
    assert configuration.connections.dev == DevBounds(Profile(1, 0.5, 512 * 1024**2), ("registry-login",), ())
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ("max_cpu: lots", "environments.dev.profile.max_cpu"),
        ('max_cpu: "0"', "environments.dev.profile.max_cpu"),
        ("max_memory: 1GB", "environments.dev.profile.max_memory"),
        ("max_replicas: 0", "environments.dev.profile.max_replicas"),
    ],
)
def test_a_quantity_that_is_none_is_refused(tmp_path: Path, wrong: str, key: str) -> None:
    name = wrong.partition(":")[0]
    profile = {"max_replicas": "max_replicas: 1", "max_cpu": "max_cpu: 500m", "max_memory": "max_memory: 512Mi"}
    found = problem(tmp_path, EXAMPLE.replace(profile[name], wrong))
    assert found.path == key


@pytest.mark.parametrize("key", ["profile: { max_replicas: 1 }", "isolation: { production_hosts: [db.example] }"])
def test_only_dev_has_a_profile_and_isolation(tmp_path: Path, key: str) -> None:
    text = EXAMPLE.replace("  prod:\n    kubernetes", f"  prod:\n    {key}\n    kubernetes")
    found = problem(tmp_path, text)
    assert found.path == f"environments.prod.{key.partition(':')[0]}"
    assert "nothing looks at it in prod" in found.cause
