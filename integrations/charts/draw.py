"""The drawing process: a chart as JSON on standard input, its PNG on standard output. It reads and writes nothing else.

Run by the painter as `python -m integrations.charts.draw BYTES`; BYTES bounds its memory.
"""

from __future__ import annotations

import json
import resource
import sys

from integrations.charts.bounds import CPU_S, MAX_INPUT_BYTES, UNFIT
from runbook.charts import Chart, chart_from_json


def main() -> int:
    _limit(int(sys.argv[1]))
    try:
        chart = _read()
    except (KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"the chart was not understood: {type(error).__name__}\n")
        return UNFIT
    # Imported behind the limits, and only when there is something to draw.
    from integrations.charts.picture import png

    sys.stdout.buffer.write(png(chart))
    sys.stdout.buffer.flush()
    return 0


def _limit(memory_bytes: int) -> None:
    for what, wanted in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(what, (bound, bound))


def _read() -> Chart:
    text = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(text) > MAX_INPUT_BYTES:
        raise ValueError("too long")
    return chart_from_json(json.loads(text))


if __name__ == "__main__":
    sys.exit(main())
