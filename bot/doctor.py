"""`forge doctor`: all checks at once, each bounded and on its own, so that one that hangs hides none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.adapters import Adapters
from bot.checks import (
    backups,
    databases,
    dev,
    dev_isolation,
    dev_profile,
    machine,
    people,
    programs,
    restore_servers,
    scans,
    series,
    surroundings,
    webhooks,
    windows,
    workspace,
)
from bot.checks.findings import Check, Finding, State, carry_out, fail
from bot.configuration.connections import RestoreCluster, RestoreServer
from bot.configuration.loading import Configuration, load
from engine.ports import Painter
from integrations.charts.painter import Painter as ChartPainter
from runbook.documents.problems import ConfigurationError

LIMIT_S = 20.0

_FOR_A_PICTURE = 0.9
"""Of the limit: a picture that takes longer is given up in time to be the warning that it is."""


@dataclass(frozen=True)
class Report:
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        return any(finding.state is State.FAIL for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        return {"ok": not self.failed, "findings": [finding.as_json() for finding in self.findings]}


async def examine(
    path: Path | None, environ: Mapping[str, str], *, limit_s: float = LIMIT_S, painter: Painter | None = None
) -> Report:
    """limit_s: for each check. painter: None: the bot's own. Without a usable configuration its problems are the report."""
    try:
        configuration = load(path, environ)
    except ConfigurationError as error:
        return Report(tuple(fail("configuration", str(problem)) for problem in error.problems))
    adapters, own_painter = Adapters(configuration.connections), ChartPainter(timeout_s=limit_s * _FOR_A_PICTURE)
    try:
        checks = checks_of(configuration, adapters, painter or own_painter)
        found = await asyncio.gather(*(carry_out(name, check, limit_s) for name, check in checks.items()))
    finally:
        own_painter.close()
        await adapters.aclose()
    return Report(tuple(finding for findings in found for finding in findings))


def checks_of(configuration: Configuration, adapters: Adapters, painter: Painter) -> dict[str, Check]:
    connections, setting = configuration.connections, configuration.setting
    slack = connections.slack
    checks: dict[str, Check] = {
        "configuration": lambda: machine.check_configuration(configuration),
        "data folder": lambda: machine.check_data_dir(connections.data_dir),
        "database": lambda: machine.check_database(connections),
        "audit key": lambda: machine.check_audit_key(connections),
        "signers": lambda: machine.check_signers(connections),
        "linter": lambda: programs.check_linter(adapters.linter),
        "charts": lambda: programs.check_charts(painter),
        "slack.token": lambda: workspace.check_bot(adapters, slack, by_email=connections.pagerduty is not None),
        "slack.app_token": lambda: workspace.check_second_token(adapters, slack),
        "slack.channel": lambda: workspace.check_channel(adapters, slack),
        "slack.groups": lambda: workspace.check_groups(adapters, setting.roles),
        "people": lambda: people.check_people(adapters, connections, setting),
        "github": lambda: surroundings.check_code(adapters, setting),
        "registry": lambda: surroundings.check_registry(adapters, setting),
        "scans": lambda: scans.check_scans(adapters, connections, setting.policy),
    }
    if webhooks.is_wanted(connections, setting):
        checks[webhooks.NAME] = lambda: webhooks.check_webhook(connections, setting)
    for env in connections.clusters:
        checks[f"{env}.kubernetes"] = lambda env=env: surroundings.check_cluster(env, adapters.clusters[env], setting)  # type: ignore[misc]
        checks[f"{env}.prometheus"] = lambda env=env: series.check_series(env, adapters.metrics[env], setting)  # type: ignore[misc]
    checks |= _database_checks(configuration, adapters)
    if dev.has_dev(connections, setting):
        checks[dev_profile.NAME] = lambda: dev.check_profile(adapters, connections, setting)
        checks[dev_isolation.NAME] = lambda: dev.check_isolation(adapters, connections, setting)
    if windows.has_production(setting):
        checks[windows.NAME] = lambda: windows.check_windows(setting, datetime.now(UTC))
    return checks


def _database_checks(configuration: Configuration, adapters: Adapters) -> dict[str, Check]:
    """None where no database is configured."""
    postgres, own = configuration.connections.postgres, adapters.postgres
    checks: dict[str, Check] = {
        databases.name_of(found): lambda found=found: databases.check_database(found, own)  # type: ignore[misc]
        for found in postgres.databases.values()
    }
    checks |= {
        restore_servers.name_of(server): lambda server=server: restore_servers.check_restore_server(server, own)  # type: ignore[misc]
        for server in postgres.restores.values()
        if isinstance(server, RestoreServer)
    }
    checks |= {
        restore_servers.name_of(made): lambda made=made: restore_servers.check_template(made)  # type: ignore[misc]
        for made in postgres.restores.values()
        if isinstance(made, RestoreCluster)
    }
    kept = postgres.backups
    if kept is not None:
        own.memory = backups.OnRecord(configuration.connections.database_url, configuration.connections.data_dir)
        checks[backups.DESTINATION] = lambda: backups.check_destination(own)
        checks[backups.KEYS] = lambda: backups.check_keys(kept, configuration.setting.policy.backups)
        checks[backups.SCRATCH] = lambda: backups.check_scratch(kept.scratch, own)
    return checks


_SIGNS = {State.OK: ("ok  ", "32"), State.WARN: ("warn", "33"), State.FAIL: ("FAIL", "31")}


def as_text(report: Report, *, color: bool) -> str:
    lines = []
    for finding in report.findings:
        word, paint = _SIGNS[finding.state]
        sign = f"\x1b[{paint}m{word}\x1b[0m" if color else word
        lines.append(f"{sign}  {finding.check}: {finding.text}")
        if finding.remedy and finding.state is not State.OK:
            lines.append(f"      → {finding.remedy}")
    counts = {state: sum(finding.state is state for finding in report.findings) for state in State}
    lines.append(f"{counts[State.OK]} ok, {counts[State.WARN]} warnings, {counts[State.FAIL]} failed")
    return "\n".join(lines)
