"""`/forge metrics`: one question to Prometheus, bounded in time, and the report and the picture made of its answer. It changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.answers import Answer, info, refused
from engine.journal import Turn, show_picture_to
from engine.records import Received
from runbook.charts import Chart
from runbook.errors import ForgeError
from runbook.metric_chart import metric_chart
from runbook.metric_report import (
    HISTORY_S,
    STEP_S,
    MetricReport,
    beside,
    make_report,
    read_series,
    report_query,
    summary,
    windows_of,
)
from runbook.policy import Policy, Service
from runbook.ports import Ports, Series
from runbook.values import Actor, Environment

LONGEST_S = 20.0
"""Somebody waits for the answer; the command line gives up after 30 seconds."""


@dataclass(frozen=True)
class Looked:
    """chart: None where nothing was recorded."""

    report: MetricReport
    chart: Chart | None

    def answer(self) -> Answer:
        return info("metrics", summary(self.report), view=self.report)

    def show(self, turn: Turn, actor: Actor, received: Received) -> None:
        """The picture goes to the caller alone, once for each time it is asked for."""
        user = actor.id.rpartition(":")[2]
        if self.chart is not None and user.startswith(("U", "W")):
            show_picture_to(turn, user, f"metrics:{received.id}", self.chart)


async def look_up_metrics(
    ports: Ports, policy: Policy, service: Service, environment: Environment | None
) -> Looked | Answer:
    """The answer that says why not: no Prometheus for this environment, no answer, or none in time. Where forge measured the service's
    database itself, that is shown all the same."""
    if environment is None:
        return refused("metrics.not_configured", "forge knows no Prometheus for no environment.", _known(ports))
    at, windows = ports.clock.now(), windows_of(policy)
    own = ports.database_metrics.recorded(service.name, environment, windows) if ports.database_metrics else ()
    measured = beside({}, read_series(own, at, windows))
    answer = await _asked(ports, report_query(service, environment, windows), environment, at)
    if not isinstance(answer, Answer):
        sight = beside(read_series(answer, at, windows), measured)
        report = make_report(sight, at, service, environment, policy)
    elif measured:
        sight, trouble = measured, answer.text.rstrip(".")
        report = make_report(sight, at, service, environment, policy, trouble=trouble, remedy=answer.remedy)
    else:
        return answer
    return Looked(report, metric_chart(sight, report, policy))


async def _asked(ports: Ports, query: str, environment: Environment, at: datetime) -> tuple[Series, ...] | Answer:
    metrics = ports.metrics.get(environment)
    if metrics is None:
        return refused("metrics.not_configured", f"forge knows no Prometheus for {environment.value}.", _known(ports))
    try:
        async with asyncio.timeout(LONGEST_S):
            return await metrics.query_range(query, at - timedelta(seconds=HISTORY_S), at, STEP_S)
    except ForgeError as error:
        return refused(error.code, f"The metrics can't be read: {error.cause}.", error.remedy or _REMEDY)
    except TimeoutError:
        text = f"The metrics can't be read: Prometheus gave no answer within {LONGEST_S:g} s."
        return refused("metrics.timeout", text, _REMEDY)


_REMEDY = "Try again in a moment; `forge doctor` says whether Prometheus can be reached."


def _known(ports: Ports) -> str:
    names = sorted(each.value for each in ports.metrics)
    add = "Add its address under environments.<name>.prometheus in forge.yaml"
    return f"{add}, or ask about {' or '.join(names)}." if names else f"{add}."
