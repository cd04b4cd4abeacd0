"""What is wrong in a configuration, in the form that people can act on: file, line, key, cause, remedy, nearest word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_ALIASES = {"production": "prod", "development": "dev", "stage": "staging"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct. line, column: from 1; 0 where the file has no such place. path: keys joined by dots, such as `slack.channel`."""

    file: str
    line: int
    column: int
    path: str
    cause: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.path}: {self.cause}" if self.path else self.cause
        return f"{where}: {what}. {self.remedy}" if self.remedy else f"{where}: {what}."

    def as_json(self) -> dict[str, str | int]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": self.path,
            "cause": self.cause,
            "remedy": self.remedy,
        }


class ConfigurationError(Exception):
    """The file can't be used; every problem that was found, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column, p.path)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The valid word that was probably meant, or None."""
    valid = list(words)
    known = _ALIASES.get(word.lower())
    if known in valid:
        return known
    close = difflib.get_close_matches(word.lower(), valid, n=1, cutoff=0.55)
    if close:
        return close[0]
    aliases = difflib.get_close_matches(word.lower(), _ALIASES, n=1, cutoff=0.7)
    return next((_ALIASES[alias] for alias in aliases if _ALIASES[alias] in valid), None)


def suggest(word: str, words: Iterable[str], *, longest: int = 20) -> str:
    """The remedy for an unknown word: what was probably meant, or what there is."""
    valid = sorted(words)
    near = nearest(word, valid)
    if near is not None:
        return f'Did you mean "{near}"?'
    if not valid:
        return "Nothing is allowed here"
    return f"Valid here: {', '.join(valid[:longest])}{', …' if len(valid) > longest else ''}"
