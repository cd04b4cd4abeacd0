"""What the world is told of the program it surrounds: it imports nothing of it, and knows no more than this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Product:
    """serve: the command line that runs the bot; its configuration is named by FORGE_CONFIG.

    rules: (window, interval, beside=(fast, short, long)), such as `("1m", "15s", beside=("30s", "5m", "1h"))` -> the recording rules that
    are shipped, as YAML.
    hints: what may be typed after `/forge`: `[{"name", "usage", "help"}]`.
    """

    serve: Sequence[str]
    rules: Callable[..., str]
    hints: Sequence[dict[str, Any]] = ()
