"""The report of a run as one HTML page without anything from elsewhere: it opens from a file, years later. Pure.

Every text in it is somebody's: the template engine escapes all of them, and no script is on the page.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from engine.report import ReportView
from messages import words
from messages.changes import summary as change_summary
from runbook.verdicts import Evidence
from runbook.wording import duration

OUTCOMES = {"pass": "passed", "fail": "failed", "no_data": "no data", "error": "error", "not_run": "not run", "": "–"}


def report_page(view: ReportView, pictures: Mapping[int, bytes]) -> str:
    """pictures: PNG by the chart's place in `view.charts`; a chart without one is told by its alt text."""
    charts = [
        {"title": chart.title, "alt": chart.alt, "source": _source(pictures.get(place))}
        for place, chart in enumerate(view.charts)
    ]
    changed = change_summary(view.changes) if view.changes is not None else ""
    return str(_template().render(view=view, run=view.run, charts=charts, facts=_facts(view), changed=changed))


def report_name(run_id: str, at: datetime) -> str:
    """The file's name."""
    return f"forge-report-{run_id}-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.html"


def _facts(view: ReportView) -> list[tuple[str, str]]:
    run, release = view.run, view.about.get("release") or {}
    found = [
        ("Service", run.service),
        ("Version", run.version),
        ("Environment", run.environment),
        ("Commit", str(release.get("commit", ""))),
        ("Signed by", str(release.get("signer", ""))),
        ("Asked for by", run.requester_name),
        ("Reason", run.reason),
        ("Began", _time(run.created_at)),
        ("Ended", _time(run.ended_at)),
        ("Took", duration(round(view.duration_s))),
        ("Outcome", run.ending or run.state),
        ("Why", run.ending_reason),
    ]
    found += [(f"Image of {i['workload']}", f"{i['repository']}@{i['digest']}") for i in release.get("images", ())]
    found += [(f"Weight 0 of {name}", f"{duration(s)} after the decision") for name, s in view.seconds_back.items()]
    return [(name, value) for name, value in found if value]


def _source(png: bytes | None) -> str:
    return "" if png is None else "data:image/png;base64," + base64.b64encode(png).decode()


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _evidence(fact: Evidence) -> str:
    return words.evidence(fact)


def _took(seconds: float | None) -> str:
    return "" if seconds is None else duration(round(seconds, 1))


def _outcome(word: str) -> str:
    return OUTCOMES.get(word, word)


def _web(url: str) -> str:
    """Only what opens a web page becomes a link."""
    return url if url.startswith(("https://", "http://")) else ""


def _words(word: str) -> str:
    return word.replace("_", " ")


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("messages", "pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": _time,
        "took": _took,
        "outcome": _outcome,
        "evidence": _evidence,
        "words": _words,
        "web": _web,
    }
    return environment.get_template("report.html.j2")
