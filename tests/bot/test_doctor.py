"""The doctor against the stand-ins and a real Prometheus: all well, then one thing spoilt at a time."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.checks.findings import Finding, State, carry_out
from bot.checks.programs import check_charts, check_linter
from bot.checks.workspace import judge_skew
from bot.doctor import as_text, examine
from engine.ports import Painter
from integrations.charts.painter import Painter as ChartPainter
from integrations.slack.scopes import BOT_SCOPES
from integrations.sql_linter import SquawkLinter
from runbook.charts import Chart
from runbook.series import SHIPPED, Windows, recorded_as
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from sandbox.kubernetes import LocalKubernetes, ScriptedRuntime
from sandbox.prometheus import LocalPrometheus
from sandbox.registry import LocalRegistry
from sandbox.signing import SshSigner
from sandbox.slack.server import LocalSlack
from state.checkpoints import new_private_key

KEY = new_private_key()


class QuickPainter:
    """Fulfils `Painter` without drawing: a picture takes seconds, and is the matter of a few tests alone."""

    async def draw(self, chart: Chart) -> bytes:
        return chart.title.encode()


@dataclass
class Surroundings:
    """Everything that a bot needs, and its configuration."""

    folder: Path
    slack: LocalSlack
    kubernetes: LocalKubernetes
    prometheus: LocalPrometheus
    github: LocalGitHub
    registry: LocalRegistry
    signer: SshSigner
    live_path: str = "/health/live"
    painter: Painter | None = field(default_factory=QuickPainter)

    def deploy(self) -> None:
        probe = {"httpGet": {"path": "/health/ready", "port": 8080}}
        web = {"name": "web", "image": "registry.local/web:1", "readinessProbe": probe}
        if self.live_path:
            web["livenessProbe"] = {"httpGet": {"path": self.live_path, "port": 8080}}
        pods = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [web]}}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": pods}
        metadata = {"name": "web", "namespace": "staging"}
        self.kubernetes.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    async def record(self, *metrics: str, value: float = 1.0) -> None:
        labels = {"service": "shop", "env": "staging", "track": "stable"}
        now = time.time()
        await self.prometheus.write_samples(
            [({"__name__": recorded_as(m, Windows()), **labels}, [(now, value)]) for m in metrics]
        )

    def configuration(self) -> Path:
        text = f"""
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: {self.slack.api_url}}}
roles: {{service_owner: [U0ALICE], product: [S0PRODUCT]}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: "{self.registry.host}/acme/web"}}]
    urls: {{staging: "http://127.0.0.1:9"}}
    smoke: [{{name: alive, path: /health/live}}]
    suites:
      - {{name: api, kind: integration, job: {{workload: web, command: [./test-api]}}}}
      - {{name: orders, kind: end_to_end, job: {{workload: web, command: [./test-orders]}}}}
    performance:
      job: {{workload: web, command: [./load]}}
      target: {{p95: 300ms, throughput: 20}}
      rate: 20
      duration: 60s
environments:
  staging:
    kubernetes: {{host: "{self.kubernetes.url}", namespace: staging}}
    prometheus: {{url: "{self.prometheus.url}"}}
integrations:
  github: {{api_url: "{self.github.url}"}}
  signers: {{ssh: [{{principal: {self.signer.principal}, key: "{self.signer.public_line}"}}]}}
audit: {{checkpoints: [checkpoints]}}
"""
        path = self.folder / "forge.yaml"
        path.write_text(text)
        return path

    def environ(self) -> dict[str, str]:
        return {
            "FORGE_DATA_DIR": str(self.folder / "data"),
            "FORGE_AUDIT_KEY": KEY,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "GITHUB_TOKEN": self.github.token,
            "FORGE_CI_TOKEN": "c" * 32,
        }

    async def findings(self, **changes: str) -> list[Finding]:
        report = await examine(self.configuration(), {**self.environ(), **changes}, limit_s=120, painter=self.painter)
        return list(report.findings)

    async def bad(self, **changes: str) -> list[Finding]:
        return [finding for finding in await self.findings(**changes) if finding.state is not State.OK]


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "data").mkdir(mode=0o700)
    signer = SshSigner.generate("releases@acme.example")
    made = Surroundings(
        tmp_path,
        LocalSlack(scopes=BOT_SCOPES),
        LocalKubernetes(runtime=ScriptedRuntime(), time_scale=0.02),
        LocalPrometheus(remote_write=True),
        LocalGitHub(),
        LocalRegistry(),
        signer,
    )
    for part in (made.slack, made.kubernetes, made.prometheus, made.github, made.registry):
        await part.start()
    made.slack.add_user("U0ALICE", "alice")
    made.slack.add_channel("C0RELEASE1", "releases", ["U0ALICE"])
    made.slack.add_usergroup("S0PRODUCT", "product", ["U0ALICE"])
    made.github.tag("acme/shop", "v1.0.0-rc.1", made.github.commit("acme/shop"), signer=signer)
    made.registry.push("acme/web", "latest")
    made.deploy()
    await made.record(*SHIPPED)
    yield made
    for part in (made.slack, made.kubernetes, made.prometheus, made.github, made.registry):
        await part.stop()


async def test_all_is_well(around: Surroundings) -> None:
    around.painter = None  # the real one
    found = await around.findings()
    assert [finding for finding in found if finding.state is not State.OK] == []
    assert {"linter", "charts"} <= {finding.check for finding in found}
    checks = {finding.check for finding in found}
    assert {"configuration", "data folder", "database", "audit key", "checkpoints", "signers", "slack.token", "slack.scopes",
            "slack.app_token", "slack.channel", "slack.groups", "clock", "github", "registry", "staging.kubernetes", "staging.shop",
            "staging.prometheus", "staging.shop.series"} <= checks  # fmt: skip


async def test_slacks_faults_are_told_with_their_remedies(around: Surroundings) -> None:
    around.slack.workspace.scopes.discard("usergroups:read")
    around.slack.workspace.channels["C0RELEASE1"].members.remove(around.slack.workspace.bot_user)
    found = {finding.check: finding for finding in await around.bad()}
    assert set(found) == {"slack.scopes", "slack.channel", "slack.groups"}
    assert "usergroups:read" in found["slack.scopes"].text
    assert "/invite" in found["slack.channel"].remedy


async def test_wrong_tokens_are_told_and_never_shown(around: Surroundings) -> None:
    bad = await around.bad(
        SLACK_BOT_TOKEN="xoxb-wrong-token", SLACK_APP_TOKEN="xapp-wrong-token", GITHUB_TOKEN="ghp_wrong-token"
    )
    assert {"slack.token", "slack.app_token", "slack.channel", "github"} <= {finding.check for finding in bad}
    assert "wrong-token" not in "".join(finding.text + finding.remedy for finding in bad)


async def test_the_clusters_faults_are_told(around: Surroundings) -> None:
    around.live_path = ""
    around.deploy()
    bad = await around.bad()
    assert [(finding.check, "livenessProbe is missing" in finding.text) for finding in bad] == [("staging.shop", True)]
    assert "/health/live" in bad[0].remedy


async def test_missing_series_are_named(around: Surroundings) -> None:
    text = around.configuration().read_text().replace("notice", "")
    (around.folder / "forge.yaml").write_text(text + "policy: {metrics: {window: 5m}}\n")
    report = await examine(around.folder / "forge.yaml", around.environ(), limit_s=120, painter=around.painter)
    bad = [finding for finding in report.findings if finding.state is State.FAIL]
    assert [finding.check for finding in bad] == ["staging.shop.series"]
    assert "forge:error_ratio:5m" in bad[0].text
    assert "forge rules" in bad[0].remedy


async def test_each_source_of_missing_series_is_told_with_its_remedy(around: Surroundings) -> None:
    bare = LocalPrometheus(remote_write=True)
    around.prometheus, full = bare, around.prometheus
    await bare.start()
    try:
        missed = {
            "queue_depth",
            "queue_lag_seconds",
            "queue_lag_baseline_seconds",
            "oom_kills",
            "error_ratio",
            "latency_p95_seconds",
            "core_transaction_success_ratio",
            "job_failure_ratio",
            "postgres_checkpoint_duration_seconds",
        }
        rates = {"request_rate", "core_transaction_rate", "job_success_rate"}
        await around.record(*(metric for metric in SHIPPED if metric not in missed | rates))
        await around.record(*rates, value=0.0)
        bad = await around.bad()
        path = around.configuration()
        without = "    without: [queue_depth, queue_lag_seconds, queue_lag_baseline_seconds]\nenvironments"
        path.write_text(path.read_text().replace("environments", without))
        fewer = await examine(path, around.environ(), limit_s=120, painter=around.painter)
    finally:
        around.prometheus = full
        await bare.stop()
    assert {(finding.check, finding.state) for finding in bad} == {("staging.shop.series", State.WARN)}
    told = {finding.text: finding.remedy for finding in bad}
    assert len(told) == 5
    assert "no traffic in the last 1m" in next(
        text
        for text in told
        if "error_ratio:1m, forge:latency_p95_seconds:1m, forge:core_transaction_success_ratio:1m" in text
    )
    assert [f.state for f in fewer.findings if "job_failure_ratio:1m: no gate waits for it" in f.text] == [State.OK]
    assert "Expose queue_depth" in told["no samples now of forge:queue_depth:1m, forge:queue_lag_seconds:1m"]
    assert "allowlist=pods=" in told["no samples now of forge:oom_kills:1m"]
    checkpoints = told["no samples now of forge:postgres_checkpoint_duration_seconds:1m"]
    assert "for PostgreSQL 17 and newer with --collector.stat_checkpointer" in checkpoints
    assert "minutes after" in told["no samples now of forge:queue_lag_baseline_seconds:1d"]
    assert not [finding for finding in fewer.findings if "queue" in finding.text]


async def test_no_way_in_for_required_scans_is_told(around: Surroundings) -> None:
    (found,) = [finding for finding in await around.findings(FORGE_CI_TOKEN="") if finding.check == "scans"]
    assert found.state is State.FAIL
    assert "FORGE_CI_TOKEN" in found.remedy


async def test_a_scan_folder_with_broken_files_is_told(around: Surroundings) -> None:
    (around.folder / "scans").mkdir()
    broken = around.folder / "scans" / "web.json"
    broken.write_text('{"half":')
    os.utime(broken, (time.time() - 60, time.time() - 60))
    path = around.configuration()
    text = path.read_text().replace("integrations:\n", "integrations:\n  scans: {folder: scans}\n")
    path.write_text(text)
    report = await examine(path, {**around.environ(), "FORGE_CI_TOKEN": "short"}, limit_s=120, painter=around.painter)
    found = [finding for finding in report.findings if finding.check == "scans"]
    assert [finding.state for finding in found] == [State.WARN, State.WARN]
    assert "fewer than 16" in found[0].text
    assert "web.json" in found[1].text


async def test_a_linter_that_is_missing_is_a_failure_with_its_remedy(tmp_path: Path) -> None:
    (found,) = await carry_out("linter", lambda: check_linter(SquawkLinter(str(tmp_path / "squawk"))), 120)
    assert (found.check, found.state) == ("linter", State.FAIL)
    assert "pip install squawk-cli" in found.remedy


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("echo '[]'", "does not object"),
        ("echo 'unexpected argument' >&2; exit 2", "the exit code 2: unexpected argument"),
        ("kill -9 $$", "ended by the signal 9"),
    ],
)
async def test_a_linter_that_does_not_lint_is_a_failure(tmp_path: Path, program: str, told: str) -> None:
    path = tmp_path / "squawk"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    (found,) = await carry_out("linter", lambda: check_linter(SquawkLinter(str(path))), 120)
    assert found.state is State.FAIL
    assert told in found.text
    assert found.remedy


async def test_a_linter_that_hangs_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "squawk"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    (found,) = await carry_out("linter", lambda: check_linter(SquawkLinter(str(path))), 0.2)
    assert (found.check, found.state) == ("linter", State.FAIL)


async def test_charts_that_cannot_be_drawn_are_a_warning(tmp_path: Path) -> None:
    for painter in (
        ChartPainter(memory_bytes=16 << 20, scratch=tmp_path),
        ChartPainter(timeout_s=0.001, scratch=tmp_path),
        ChartPainter(scratch=tmp_path / "missing"),
    ):
        (found,) = await carry_out("charts", lambda painter=painter: check_charts(painter), 30)  # type: ignore[misc]
        assert (found.check, found.state) == ("charts", State.WARN)
        assert "until then words replace pictures" in found.remedy


async def test_a_system_that_hangs_hides_nothing_else(around: Surroundings) -> None:
    around.kubernetes.faults.add(Fault("hang", times=50))
    report = await examine(around.configuration(), around.environ(), limit_s=10.0, painter=around.painter)
    bad = {finding.check for finding in report.findings if finding.state is State.FAIL}
    assert "staging.kubernetes" in bad
    assert "slack.token" in {finding.check for finding in report.findings if finding.state is State.OK}


async def test_without_a_configuration_its_problems_are_the_report(tmp_path: Path) -> None:
    (tmp_path / "forge.yaml").write_text("slak: {}")
    report = await examine(tmp_path / "forge.yaml", {})
    assert report.failed
    assert 'Did you mean "slack"?' in as_text(report, color=False)


@pytest.mark.parametrize(
    ("seconds", "signed", "state"),
    [(0, True, State.OK), (70, False, State.WARN), (400, False, State.WARN), (400, True, State.FAIL)],
)
def test_the_clock_is_held_against_slacks(seconds: int, signed: bool, state: State) -> None:
    now = datetime.fromtimestamp(1_800_000_000 + seconds, UTC)
    assert judge_skew("Fri, 15 Jan 2027 08:00:00 GMT", now, signed=signed).state is state
