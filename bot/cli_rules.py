"""`forge rules`: the recording and alert rules for Prometheus, as the configuration wants them. It prints and touches nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli_output import fail, fail_configuration
from bot.exits import Exit

if TYPE_CHECKING:
    from runbook.policy import Setting

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration. Default: FORGE_CONFIG, else forge.yaml here, else the runbook's numbers.",
)
@click.option("--format", "form", type=click.Choice(["yaml", "prometheusrule"]), default="yaml", show_default=True,
              help="A rule file, or an object for the Prometheus operator.")  # fmt: skip
@click.option("--window", help="The window in the rules' names. Default: policy.metrics.window, else 1m.")
@click.option("--interval", help="How often they are evaluated. Default: policy.metrics.interval, else 15s.")
@click.option("--service", "services", multiple=True, help="Record this service alone; may be repeated. Default: all.")
@click.option("--name", default="forge", show_default=True, help="Name of the PrometheusRule.")
@click.option("--namespace", default="", help="Its namespace.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of it; may be repeated.")
def rules(
    config: Path | None, form: str, window: str | None, interval: str | None, services: tuple[str, ...], name: str,
    namespace: str, labels: tuple[str, ...],
) -> None:  # fmt: skip
    """Print the recording and alert rules for Prometheus."""
    from integrations.prometheus.rules import prometheus_rule, rules_text

    setting = _setting(config)
    metrics = setting.policy.metrics
    unknown = [service for service in services if setting.services and service not in setting.services]
    if unknown:
        fail(Exit.USAGE, "service.unknown", f"There is no service {', '.join(unknown)}.",
             f"Known: {', '.join(setting.services)}")  # fmt: skip
    try:
        text = rules_text(
            window or metrics.window, interval or f"{max(1, round(metrics.interval_s))}s", metrics.baseline, metrics.month,
            expressions={service.name: service.expressions for service in setting.services.values() if service.expressions},
            services=services, policy=setting.policy,
        )  # fmt: skip
        if form == "prometheusrule":
            text = prometheus_rule(text, _named(name), namespace and _named(namespace), _labels(labels))
    except ValueError as error:
        fail(Exit.USAGE, "rules.wrong", f"{str(error)[:1].upper()}{str(error)[1:]}.")
    click.echo(text, nl=False)


def _setting(config: Path | None) -> Setting:
    """The configuration's; the runbook's defaults where nobody named a file and there is none here."""
    import os

    from bot.configuration.loading import load
    from bot.configuration.places import config_path
    from runbook.documents.problems import ConfigurationError
    from runbook.policy import Policy, Setting

    if config is None and not os.environ.get("FORGE_CONFIG") and not config_path(os.environ).exists():
        return Setting(policy=Policy(), services={}, hash="")
    try:
        return load(config).setting
    except ConfigurationError as error:
        fail_configuration(error)


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a Kubernetes object")
    return name


def _labels(labels: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{label!r} is no label such as release=prometheus")
        found[key] = value
    return found
