"""What was typed, turned into an `Intent` or into a refusal that says cause, remedy and the nearest valid word. Pure.

One grammar for the slash command and the command line. It never guesses an environment, and nothing here asks anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.answers import Answer, refused
from engine.intents import Intent
from handlers.arguments import take_arguments
from handlers.grammar import Line, Refusal, did_you_mean, nearest
from handlers.options import check_together, reason_of, take_options
from handlers.tokens import TokenError, Word, clean, excerpt, from_slack, split
from runbook.commands import BY_NAME, Command
from runbook.values import Environment

MAX_CHARACTERS = 1_000
MAX_KEPT_TEXT = 500

_SYNONYMS = {
    "ship": "deploy",
    "rollout": "deploy",
    "release": "promote",
    "revert": "rollback",
    "undo": "rollback",
    "stop": "abort",
    "continue": "resume",
    "queue": "status",
    "ls": "status",
    "list": "status",
    "thaw": "unfreeze",
    "outage": "incident",
    "incidents": "incident",
    "force": "override",
    "bypass": "override",
    "pager": "oncall",
    "backups": "backup",
    "dump": "backup",
    "recover": "restore",
    "pitr": "restore",
    "sign": "signoff",
    "sign-off": "signoff",
    "who": "oncall",
    "where": "status",
    "candidate": "plan",
    "candidates": "plan",
    "log": "audit",
    "history": "audit",
    "commands": "help",
}
_VALUED = re.compile(r"--[a-z]+=")


def parse_command(text: str, prefix: str = "/forge ") -> Intent | Answer:
    """The text after `/forge`, as Slack sends it."""
    if len(text) > MAX_CHARACTERS:
        return _too_long(len(text))
    try:
        shown = clean(from_slack(text))
        return _parse(Line(prefix, split(shown), shown))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except Refusal as refusal:
        return refusal.answer


def parse_argv(argv: Sequence[str], prefix: str = "forge ") -> Intent | Answer:
    """The words after `forge`; the shell has split and unquoted them."""
    length = sum(len(word) + 1 for word in argv)
    if length > MAX_CHARACTERS:
        return _too_long(length)
    try:
        words = [Word(text, quoted=" " in text, option=bool(_VALUED.match(text))) for text in map(clean, argv)]
        return _parse(Line(prefix, words, " ".join(word.text for word in words)))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except Refusal as refusal:
        return refusal.answer


def clean_reason(text: str) -> str | Answer:
    """A reason typed into a dialog, by the same rules as `--reason`."""
    try:
        return reason_of(clean(text))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except Refusal as refusal:
        return refusal.answer


def _too_long(length: int) -> Answer:
    return refused(
        "parse.too_long",
        f"That was {length:,} characters; a command has at most {MAX_CHARACTERS:,}.",
        "Keep the reason short, and put the rest where it can be linked to.",
    )


def _parse(line: Line) -> Intent:
    if not line.words:
        return Intent(name="help", text=line.text)
    command = _command(line.words[0].text, line.prefix)
    if any(not word.quoted and word.text in ("--help", "-h") for word in line.words[1:]):
        return Intent(name="help", topic=command.name, text=line.text[:MAX_KEPT_TEXT])
    positions = take_options(line, command)
    take_arguments(line, command, positions, _read_topic)
    check_together(line, command)
    environment = line.values.get("environment")
    return Intent(
        name=command.name,
        environment=Environment(environment) if environment else None,
        version=line.values.get("version", ""),
        run=line.values.get("run", ""),
        service=line.values.get("service", ""),
        reason=line.values.get("reason", ""),
        topic=line.values.get("topic", ""),
        text=line.text[:MAX_KEPT_TEXT],
        options=line.options,
    )


def _command(word: str, prefix: str) -> Command:
    name = word.casefold().removeprefix("/")
    if name in BY_NAME:
        return BY_NAME[name]
    if name in ("-h", "--help"):
        return BY_NAME["help"]
    near = nearest(name, BY_NAME, _SYNONYMS) if name.isalpha() else []
    raise Refusal(
        refused(
            "parse.unknown_command",
            f"“{excerpt(word)}” is no command.",
            did_you_mean(near) + f"{prefix}help shows what there is.",
        )
    )


def _read_topic(word: str, line: Line, _asked: Command) -> None:
    line.values["topic"] = _command(word, line.prefix).name
