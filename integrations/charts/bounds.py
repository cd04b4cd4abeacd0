"""What the painter and its drawing process agree on."""

from __future__ import annotations

MODULE = "integrations.charts.draw"
UNFIT = 3
"""The process's exit code for a chart that it can't draw, however often it is asked."""
CPU_S = 60
"""Seconds of processor time, after which the system ends the process even if its parent is gone."""
MAX_INPUT_BYTES = 5_000_000
MAX_OUTPUT_BYTES = 5_000_000
MAX_PANELS = 8
"""More would be unreadable on a phone; the picture says how many were left out."""
MAX_LINES = 6
MAX_BARS = 12
