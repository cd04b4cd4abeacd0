"""`make bench`: measures what forge promises on this machine, prints a table, and fails where a limit is missed.

Ratios are taken within one run. A busy machine makes the seconds worse, never better.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.bench import acknowledgement, backups, canary, crowd, decision, footprint, observation, verification
from tests.bench.figures import Figure, table
from tests.bench.surroundings import warm_up

Measure = Callable[..., Coroutine[Any, Any, list[Figure]]]
MEASURES: dict[str, Measure] = {
    "acknowledgement": acknowledgement.measure,
    "canary": canary.measure,
    "decision": decision.measure,
    "crowd": crowd.measure,
    "observation": observation.measure,
    "backups": backups.measure,
    "verification": verification.measure,
    "footprint": footprint.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(MEASURES), help="measure this alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and smaller crowds: for a first look")
    arguments = parser.parse_args()
    warm_up()
    figures: list[Figure] = []
    for name in arguments.only or MEASURES:
        figures += _measure(name, quick=arguments.quick)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    sys.stdout.write(f"{table(figures)}\n\n{os.cpu_count()} cores, load {load}\n")
    return 0 if all(figure.kept for figure in figures) else 1


def _measure(name: str, *, quick: bool) -> list[Figure]:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"forge-bench-{name}-") as folder:
        figures = asyncio.run(MEASURES[name](Path(folder), quick=quick))
    sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    return figures


if __name__ == "__main__":
    sys.exit(main())
