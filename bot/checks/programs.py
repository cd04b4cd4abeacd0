"""Programs that forge runs for its work: the linter of migrations and the drawing of pictures. Each is given a trifle to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.checks.findings import Finding, fail, ok, warn
from engine.ports import Painter
from runbook.charts import Chart, Line, Panel
from runbook.errors import ForgeError
from runbook.ports import SqlLinter

LINTER, CHARTS = "linter", "charts"

_DROPPED = {"doctor.sql": "ALTER TABLE orders DROP COLUMN total;\n"}
"""Whatever version of the linter it is: it has to object."""

_TINY = Chart("doctor", "one line", (Panel("doctor", "count", (Line("one", ((0.0, 1.0), (60.0, 2.0))),)),))


async def check_linter(linter: SqlLinter) -> AsyncIterator[Finding]:
    """Raises its error where it can't be run: without it no migration can be held against its declaration."""
    if any(finding.rule == "ban-drop-column" for finding in await linter.lint(_DROPPED)):
        yield ok(LINTER, "squawk runs, and objects to a dropped column")
    else:
        remedy = "Install it anew into forge's environment: pip install --force-reinstall 'squawk-cli>=2.70'"
        yield fail(LINTER, "squawk runs, and does not object to a dropped column", remedy)


async def check_charts(painter: Painter) -> AsyncIterator[Finding]:
    """Nothing waits for a picture: without it its alt text is posted, so this only warns."""
    try:
        picture = await painter.draw(_TINY)
    except ForgeError as error:
        way_out = error.remedy.rstrip(".") or "See that forge is installed whole, and has memory for one process more"
        yield warn(CHARTS, f"no chart can be drawn: {error.cause}", f"{way_out}; until then words replace pictures")
    else:
        yield ok(CHARTS, f"charts can be drawn ({len(picture):,} bytes)")
