"""forge.yaml: what is accepted, what is refused, and how well a refusal is told."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bot.configuration.document import PAGE, page
from bot.configuration.loading import Configuration, load
from bot.configuration.policy_schema import Health, Metrics, Staging, Waiting
from runbook.documents.problems import ConfigurationError, Problem
from runbook.durations import duration_text, parse_duration
from runbook.errors import Permanent
from runbook.policy import HealthPolicy, MetricsPolicy, Policy, ProdPolicy, StagingPolicy, WaitingPolicy
from runbook.values import Environment, Role

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "examples" / "forge.yaml").read_text(encoding="utf-8")


def loaded(tmp_path: Path, text: str, **environ: str) -> Configuration:
    file = tmp_path / "forge.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"FORGE_DATA_DIR": str(tmp_path), **environ})


def problems(tmp_path: Path, text: str) -> dict[str, Problem]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text)
    return {problem.path: problem for problem in caught.value.problems}


def edited(old: str, new: str) -> str:
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new, 1)


def test_the_example_is_valid_and_without_doubts(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, EXAMPLE)
    assert configuration.warnings == ()
    policy = configuration.setting.policy
    assert [window.name for window in policy.prod.windows] == ["weekdays"]
    assert policy == Policy(prod=ProdPolicy(windows=policy.prod.windows, checklist=policy.prod.checklist))
    shop = configuration.setting.services["shop"]
    assert [workload.name for workload in shop.workloads] == ["shop-api", "shop-web"]
    assert shop.health.startup == ""
    assert configuration.setting.roles[Role.ON_CALL] == ("S0ONCALL001",)
    assert configuration.connections.clusters[Environment.PROD].context == "prod"


def test_an_error_names_file_line_column_key_cause_and_the_nearest_word(tmp_path: Path) -> None:
    found = problems(tmp_path, edited("signers:", "singers:"))["integrations.singers"]
    line = EXAMPLE.splitlines().index("  signers: # whose signed tags are releases") + 1
    assert (found.line, found.column) == (line, 3)
    assert found.cause == "there is no such key"
    assert found.remedy == 'Did you mean "signers"?'
    assert str(found).startswith(f"{tmp_path}/forge.yaml:{line}:3: integrations.singers: ")


def test_all_errors_are_told_at_once_in_the_files_order(tmp_path: Path) -> None:
    text = edited("channel: C0123456789", "channel: releases").replace("port: 8080", "port: 99999")
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text)
    assert [problem.path for problem in caught.value.problems] == ["slack.channel", "server.port"]


@pytest.mark.parametrize(
    ("old", "new", "path", "remedy"),
    [
        ("  product:", "  prodct:", "roles.prodct", '"product"'),
        ("  prod:\n", "  productoin:\n", "environments.productoin", '"prod"'),
        ("      staging: https", "      stagign: https", "services.shop.urls.stagign", '"staging"'),
        ("    observation: 30m", "    observatoin: 30m", "policy.staging.observatoin", '"observation"'),
        ("  staging:\n    observation", "  commands: {deply: []}\n  staging:\n    observation", "policy.commands.deply", '"deploy"'),
        ("token: smoke-buyer", "token: smoke-buyr", "services.shop.smoke[1].token", '"smoke-buyer"'),
        ("    observation: 30m", "    approvers: [servce_owner]", "policy.staging.approvers[0]", '"service_owner"'),
        ("  team: T0123456789", "  team: T0123456789\n  mode: sockets", "slack.mode", '"socket"'),
    ],
)  # fmt: skip
def test_a_misspelt_word_gets_the_one_that_was_meant(
    tmp_path: Path, old: str, new: str, path: str, remedy: str
) -> None:
    assert remedy in problems(tmp_path, edited(old, new))[path].remedy


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    found = problems(tmp_path, edited("  team: T0123456789", "  team: T0123456789\n  bot_token: xoxb-very-secret"))
    assert found["slack.bot_token"].cause == "a secret must not stand in this file"
    assert "{env: NAME}" in found["slack.bot_token"].remedy
    assert "very-secret" not in str(found["slack.bot_token"])


def test_a_secret_in_a_header_is_refused(tmp_path: Path) -> None:
    text = edited(
        "        path: /health/live", "        path: /health/live\n        headers: {Authorization: Bearer x}"
    )
    assert problems(tmp_path, text)["services.shop.smoke[0].headers.Authorization"].cause.startswith("a secret")


def test_a_secret_has_exactly_one_place(tmp_path: Path) -> None:
    text = edited("{ env: SHOP_SMOKE_TOKEN }", "{ env: A, file: b }")
    assert "exactly one" in problems(tmp_path, text)["services.shop.secrets.smoke-buyer"].cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("slack: {\nroles: []\n", "not YAML"),
        ("slack:\n\tteam: x\n", "not YAML"),
        ("slack: *nobody\n", "undefined alias"),
        ("slack: {}\n---\nroles: {}\n", "single document"),
        ("slack: {}\nslack: {}\n", "twice, first in line 1"),
        ("slack: !!python/object:os.system {}\n", "missing"),
        ("slack: !secret x\n", "tag"),
        ("", "the file is empty"),
        ("- slack\n", "the file is no mapping"),
        ("slack: .inf\n", "finite"),
        ("# " + "x" * 1_100_000, "larger than"),
    ],
)
def test_a_file_that_is_no_configuration_says_where_and_why(tmp_path: Path, text: str, cause: str) -> None:
    assert cause in "\n".join(map(str, problems(tmp_path, text).values()))


def test_aliases_can_not_multiply_without_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("multiply" in str(problem) for problem in problems(tmp_path, "\n".join(lines)).values())


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = edited(
        "kubernetes: { context: staging, namespace: shop }", "kubernetes: &shop { context: staging, namespace: shop }"
    )
    text = text.replace("kubernetes: { context: prod, namespace: shop }", "kubernetes: { <<: *shop, context: prod }")
    clusters = loaded(tmp_path, text).connections.clusters
    assert (clusters[Environment.PROD].namespace, clusters[Environment.PROD].context) == ("shop", "prod")


def test_the_hash_follows_the_content_and_not_its_spelling(tmp_path: Path) -> None:
    first = loaded(tmp_path, EXAMPLE).setting.hash
    assert loaded(tmp_path, "# another comment\n" + EXAMPLE).setting.hash == first
    assert loaded(tmp_path, EXAMPLE, SHOP_SMOKE_TOKEN="changed").setting.hash == first
    assert loaded(tmp_path, edited("observation: 30m", "observation: 31m")).setting.hash != first


def test_numbers_weaker_than_the_runbook_are_doubted_unless_every_run_says_so(tmp_path: Path) -> None:
    weaker = edited("observation: 30m", "observation: 30s")
    assert [problem.path for problem in loaded(tmp_path, weaker).warnings] == ["policy.staging.observation"]
    assert loaded(tmp_path, weaker + "notice: durations are shortened\n").warnings == ()


def test_numbers_of_production_weaker_than_the_runbook_are_doubted_too(tmp_path: Path) -> None:
    numbers = "policy:\n  prod:\n    phase: 1m\n    watch: 10m\n    mitigate: 1h\n    triggers: {ratio: 3, core_success: 90 %}\n"
    weaker = EXAMPLE.partition("policy:\n")[0] + numbers
    found = [problem.path for problem in loaded(tmp_path, weaker).warnings]
    keys = ("phase", "watch", "mitigate", "triggers.core_success", "triggers.ratio")
    assert found == [f"policy.prod.{key}" for key in keys]
    assert loaded(tmp_path, weaker + "notice: durations are shortened\n").warnings == ()


def test_an_approver_role_that_nobody_holds_is_doubted(tmp_path: Path) -> None:
    warnings = loaded(tmp_path, edited("[U0PRODUCT01]", "[]")).warnings
    assert ["product" in problem.cause for problem in warnings] == [True]


def test_secrets_are_read_when_used_and_never_shown(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, EXAMPLE, SLACK_BOT_TOKEN="xoxb-shown-nowhere")
    token = configuration.connections.slack.bot_token
    assert token.reveal() == "xoxb-shown-nowhere"
    assert "shown-nowhere" not in repr(configuration) + str(token) + str(token.read())
    assert [problem.path for problem in configuration.missing()] == ["slack.app_token", "audit.key"]
    with pytest.raises(Permanent, match="SLACK_APP_TOKEN"):
        configuration.connections.slack.app_token.reveal()


def test_a_secret_file_is_relative_to_the_configuration_and_read_anew(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, edited("{ env: SHOP_SMOKE_TOKEN }", "{ file: token.txt }"))
    for value in ("first", "second"):
        (tmp_path / "token.txt").write_text(value + "\n")
        assert configuration.connections.service_token("shop", "smoke-buyer") == value


def test_a_database_password_is_in_no_repr(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, EXAMPLE, FORGE_DATABASE_URL="postgresql://forge:hunter2@db/forge")
    assert "hunter2" not in repr(configuration)


@pytest.mark.parametrize("value", ["-3m", "0", "soon", "3 weeks", "true", "[]", "'1h nonsense'", "400d"])
def test_a_duration_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    assert "policy.staging.observation" in problems(tmp_path, edited("observation: 30m", f"observation: {value}"))


@given(st.integers(min_value=1, max_value=366 * 86_400))
def test_a_duration_survives_being_written(seconds: int) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("inside", "section"),
    [(StagingPolicy, Staging), (HealthPolicy, Health), (WaitingPolicy, Waiting), (MetricsPolicy, Metrics)],
)
def test_every_number_of_the_policy_can_be_configured(inside: Any, section: type[BaseModel]) -> None:
    assert {field.name.removesuffix("_s") for field in fields(inside)} == set(section.model_fields)


def test_a_limit_is_written_in_its_metrics_unit(tmp_path: Path) -> None:
    growth = "policy:\n  observed:\n    - {{name: log, metric: postgres_wal_growth_bytes_per_second, above: {}}}\n"
    for written, limit in (("16 MB/s", 16e6), ("1.5kB/s", 1500.0), ("20 B/s", 20.0), ("1000", 1000.0), ("2.5", 2.5)):
        (one,) = loaded(tmp_path, edited("policy:\n", growth.format(written))).setting.policy.observed
        assert (one.limit, one.unit) == (limit, "bytes_per_s")
    for written in ("16 MB", "16 MiB/s", "a lot", "yes"):
        (found,) = problems(tmp_path, edited("policy:\n", growth.format(written))).values()
        assert found.remedy == "Write 16 MB/s, or bytes per second as a number"


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="FORGE_CONFIG"):
        load(tmp_path / "none.yaml", {})


def test_the_page_in_docs_is_the_schemas() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "run `make docs`"


def test_a_total_is_not_replaced_without_its_part(tmp_path: Path) -> None:
    line = "    without: [queue_depth"
    found = problems(tmp_path, edited(line, "    expressions: { request_rate: 'sum(rate(hits[1m]))' }\n" + line))
    assert "error_rate" in found["services.shop.expressions"].cause


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("kind: end_to_end", "kind: journey", "services.shop.suites[1].kind", "end_to_end"),
        (
            "image: registry.example/acme/shop-load,",
            "workload: shop-ap,",
            "services.shop.performance.job.workload",
            "shop-api",
        ),
        ("duration: 5m\n", "duration: 15m\n", "services.shop.performance.job.timeout", "above 15m"),
        ("[queue_depth,", "[queue_dept,", "services.shop.without[0]", "queue_depth"),
        ("[queue_depth,", "[error_ratio, queue_depth,", "services.shop.without[0]", "expressions"),
        ("name: journeys", "name: api", "services.shop.suites[1].name", "Rename"),
    ],
)
def test_what_a_release_needs_beside_its_workloads_is_checked(
    tmp_path: Path, old: str, new: str, path: str, words: str
) -> None:
    found = problems(tmp_path, edited(old, new))[path]
    assert words in f"{found.cause} {found.remedy}"


def test_a_service_without_what_the_promotion_requires_is_doubted(tmp_path: Path) -> None:
    text = edited("kind: end_to_end", "kind: integration")
    assert [problem.path for problem in loaded(tmp_path, text).warnings] == ["services.shop.suites"]
    weighed = text + "  criteria: { suites: { to_prod: optional } }\n"
    assert loaded(tmp_path, weighed).warnings == ()


def test_a_canary_may_be_allowed_several_times_stables_latency(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, edited("  prod:\n    windows", "  prod:\n    max_over_stable: 300 %\n    windows"))
    assert configuration.setting.policy.prod.max_over_stable == 3.0
    found = problems(
        tmp_path,
        edited("  prod:\n    windows", "  prod:\n    max_over_stable: -1\n    max_error_ratio: 300 %\n    windows"),
    )
    assert "no excess" in found["policy.prod.max_over_stable"].cause
    assert "no ratio" in found["policy.prod.max_error_ratio"].cause
