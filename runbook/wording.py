"""Numbers and lists in the words that verdicts' reasons are made of. English, plain text, no markup."""

from __future__ import annotations

from collections.abc import Iterable


def percent(ratio: float) -> str:
    """A ratio in [0, 1] as `1.25 %`, with as many digits as it needs, at most three after the point."""
    return f"{_short(ratio * 100, 3)} %"


def duration(seconds: float) -> str:
    """`90 ms`, `4.5 s`, `4 min 50 s`, `2 h 5 min`; the two largest units from a minute on."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        return "0 s" if seconds == 0 else f"{_short(seconds * 1000, 1)} ms"
    if seconds < 60:
        return f"{_short(seconds, 1)} s"
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def measure(value: float, unit: str) -> str:
    """A value in the unit that evidence names: `ratio`, `s`, `bytes_per_s`, `count`, or another word as it stands."""
    if unit == "ratio":
        return percent(value)
    if unit == "s":
        return duration(value)
    if unit == "bytes_per_s":
        return f"{size(value)}/s"
    return _short(value, 3) if unit in ("", "count") else f"{_short(value, 3)} {unit}"


def size(count: float) -> str:
    """Bytes as `512 B`, `16.5 MB`; thousands, not 1024s. No fractions of a byte."""
    if abs(count) < 999.5:
        return f"{count:.0f} B".replace("-0 B", "0 B")
    for name in ("kB", "MB", "GB"):
        count /= 1000
        if abs(count) < 999.5:
            return f"{count:.3g} {name}"
    return f"{count / 1000:.3g} TB"


def listing(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    all_words = list(words)
    if len(all_words) < 2:
        return "".join(all_words)
    return f"{', '.join(all_words[:-1])} {last} {all_words[-1]}"


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, the cut marked."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
