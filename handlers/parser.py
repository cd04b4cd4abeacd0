"""What was typed, turned into an `Intent` or into a refusal that says cause, remedy and the nearest valid word. Pure.

One grammar for the slash command and the command line. It never guesses an environment, and nothing here asks anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.answers import Answer, refused
from engine.intents import Intent
from handlers.tokens import TokenError, Word, clean, excerpt, from_slack, split
from runbook.commands import BY_NAME, Argument, Command
from runbook.values import Environment, Version

MAX_CHARACTERS = 1_000
MAX_REASON = 500
MAX_KEPT_TEXT = 500

ALIASES = {"production": "prod", "stage": "staging", "development": "dev"}
_SYNONYMS = {
    "ship": "deploy",
    "release": "deploy",
    "rollout": "deploy",
    "stop": "abort",
    "continue": "resume",
    "queue": "status",
    "ls": "status",
    "list": "status",
    "log": "audit",
    "history": "audit",
    "commands": "help",
}
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_RUN = re.compile(r"(dev|staging|prod)-([1-9]\d{0,8})")
_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VERSION_LIKE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-._]?rc[-._]?(\d+))?")
_RUN_LIKE = re.compile(r"([a-z]+)[-_#. ]*(\d+)")
_VALUED = re.compile(r"--[a-z]+=")
_LONG_DASH = re.compile(r"[\u2010-\u2015\u2212]")


class _Refusal(Exception):
    """Carries an answer up to `parse_*`; never leaves this module."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass
class _Line:
    """One command line on its way. prefix: how the program is called here, `/forge ` or `forge `."""

    prefix: str
    words: list[Word]
    text: str
    values: dict[str, str] = field(default_factory=dict)


def parse_command(text: str, prefix: str = "/forge ") -> Intent | Answer:
    """The text after `/forge`, as Slack sends it."""
    if len(text) > MAX_CHARACTERS:
        return _too_long(len(text))
    try:
        shown = clean(from_slack(text))
        return _parse(_Line(prefix, split(shown), shown))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except _Refusal as refusal:
        return refusal.answer


def parse_argv(argv: Sequence[str], prefix: str = "forge ") -> Intent | Answer:
    """The words after `forge`; the shell has split and unquoted them."""
    length = sum(len(word) + 1 for word in argv)
    if length > MAX_CHARACTERS:
        return _too_long(length)
    try:
        words = [Word(text, quoted=" " in text, option=bool(_VALUED.match(text))) for text in map(clean, argv)]
        return _parse(_Line(prefix, words, " ".join(word.text for word in words)))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except _Refusal as refusal:
        return refusal.answer


def clean_reason(text: str) -> str | Answer:
    """A reason typed into a dialog, by the same rules as `--reason`."""
    try:
        return _reason(clean(text))
    except TokenError as error:
        return refused(error.code, error.cause, error.remedy)
    except _Refusal as refusal:
        return refusal.answer


def _too_long(length: int) -> Answer:
    return refused(
        "parse.too_long",
        f"That was {length:,} characters; a command has at most {MAX_CHARACTERS:,}.",
        "Keep the reason short, and put the rest where it can be linked to.",
    )


def _parse(line: _Line) -> Intent:
    if not line.words:
        return Intent(name="help", text=line.text)
    command = _command(line.words[0].text, line.prefix)
    if any(not word.quoted and word.text in ("--help", "-h") for word in line.words[1:]):
        return Intent(name="help", topic=command.name, text=line.text[:MAX_KEPT_TEXT])
    positions = _take_options(line, command)
    _take_arguments(line, command, positions)
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
    )


def _command(word: str, prefix: str) -> Command:
    name = word.casefold().removeprefix("/")
    if name in BY_NAME:
        return BY_NAME[name]
    if name in ("-h", "--help"):
        return BY_NAME["help"]
    near = _nearest(name, BY_NAME, _SYNONYMS) if name.isalpha() else []
    raise _Refusal(
        refused(
            "parse.unknown_command",
            f"“{excerpt(word)}” is no command.",
            _did_you_mean(near) + f"{prefix}help shows what there is.",
        )
    )


# --- options --------------------------------------------------------------------------------------------------------


def _take_options(line: _Line, command: Command) -> list[Word]:
    """Reads `--reason` and `--service` into the line's values; returns the words that are left."""
    known = [name for name, taken in (("reason", command.takes_reason), ("service", command.takes_service)) if taken]
    positions: list[Word] = []
    words = iter(line.words[1:])
    for word in words:
        text = _LONG_DASH.sub("--", word.text, count=1) if _LONG_DASH.match(word.text) else word.text
        if (word.quoted and not word.option) or not text.startswith("--"):
            positions.append(word)
            continue
        name, has_value, value = text.removeprefix("--").partition("=")
        _check_option(name, known, line, command)
        if not has_value:
            following = next(words, None)
            if following is None or (following.text.startswith("--") and not following.quoted):
                raise _wrong(line, command, "parse.missing_value", f"--{name} has no value.")
            value = following.text
        line.values[name] = _reason(value) if name == "reason" else _service(value, line, command)
    return positions


def _check_option(name: str, known: list[str], line: _Line, command: Command) -> None:
    if name in known:
        if name in line.values:
            raise _wrong(line, command, "parse.repeated_option", f"--{name} was given twice.")
        return
    near = get_close_matches(name.casefold(), known, 1, 0.6)
    cause = f"{command.name} has no option “--{excerpt(name)}”."
    raise _wrong(line, command, "parse.unknown_option", cause, near=[f"--{option}" for option in near])


def _reason(value: str) -> str:
    reason = " ".join(value.split())
    if len(reason) > MAX_REASON:
        cause = f"The reason has {len(reason):,} characters; at most {MAX_REASON} are kept."
        raise _Refusal(refused("parse.reason_too_long", cause, "Shorten it, and link to the rest."))
    return reason


def _service(value: str, line: _Line, command: Command) -> str:
    name = value.casefold()
    if not _SERVICE.fullmatch(name):
        cause = f"“{excerpt(value)}” can't be a service: names have lower-case letters, digits and dashes."
        raise _wrong(line, command, "parse.bad_service", cause)
    return name


# --- arguments ------------------------------------------------------------------------------------------------------


def _take_arguments(line: _Line, command: Command, positions: list[Word]) -> None:
    if len(positions) > len(command.arguments):
        extra = positions[len(command.arguments)].text
        hint = ""
        if "reason" in line.values or command.takes_reason:
            hint = 'A reason of several words stands in quotes: --reason "like this". '
        raise _wrong(line, command, "parse.too_many", f"“{excerpt(extra)}” is one word too many.", hint=hint)
    # What was given speaks first: `deploy v1.4.0` is a wrong environment rather than a missing version.
    for argument, word in zip(command.arguments, positions, strict=False):
        _READERS[argument](_LONG_DASH.sub("-", word.text), line, command)
    if len(positions) < len(command.arguments) - command.optional:
        missing = command.arguments[len(positions)]
        cause = f"{command.name} needs {_NOUNS[missing]}{' next' if positions else ''}."
        hint = "Environments are " + ", ".join(Environment) + ". " if missing is Argument.ENVIRONMENT else ""
        raise _wrong(line, command, "parse.missing", cause, hint=hint)


def _read_environment(word: str, line: _Line, command: Command) -> None:
    name = word.casefold()
    name = ALIASES.get(name, name)
    if name not in set(Environment):
        near = _nearest(name, set(Environment), ALIASES)
        cause = f"“{excerpt(word)}” is no environment."
        hint = "" if near else "Environments are " + ", ".join(Environment) + ". "
        raise _wrong(line, command, "parse.unknown_environment", cause, near=near, hint=hint)
    line.values["environment"] = name


def _read_version(word: str, line: _Line, command: Command) -> None:
    if Version.parse(word) or _COMMIT.fullmatch(word):
        line.values["version"] = word
        return
    near: list[str] = []
    match = _VERSION_LIKE.fullmatch(word.casefold())
    if match:
        numbers = [str(int(group)) for group in match.groups()[:3]]
        likely = "v" + ".".join(numbers) + (f"-rc.{int(match[4])}" if match[4] else "")
        near = [likely] if Version.parse(likely) else []
    cause = f"“{excerpt(word)}” is no version: candidates are vX.Y.Z-rc.N, releases are vX.Y.Z."
    raise _wrong(line, command, "parse.bad_version", cause, near=near)


def _read_run(word: str, line: _Line, command: Command) -> None:
    name = word.casefold().removeprefix("#")
    if _RUN.fullmatch(name):
        line.values["run"] = name
        return
    near: list[str] = []
    match = _RUN_LIKE.fullmatch(name)
    if match and int(match[2]) in range(1, 10**9):
        near = [f"{place}-{int(match[2])}" for place in _nearest(match[1], set(Environment), ALIASES)]
    elif name.isdecimal() and int(name) in range(1, 10**9):
        near = [f"staging-{int(name)}"]
    cause = f"“{excerpt(word)}” is no run: they are called like staging-12."
    raise _wrong(line, command, "parse.bad_run", cause, near=near, hint=f"{line.prefix}status lists them. ")


def _read_topic(word: str, line: _Line, _asked: Command) -> None:
    line.values["topic"] = _command(word, line.prefix).name


_READERS: dict[Argument, Callable[[str, _Line, Command], None]] = {
    Argument.ENVIRONMENT: _read_environment,
    Argument.VERSION: _read_version,
    Argument.RUN: _read_run,
    Argument.COMMAND: _read_topic,
}
_NOUNS = {
    Argument.ENVIRONMENT: "an environment",
    Argument.VERSION: "a version (such as v1.4.0-rc.2)",
    Argument.RUN: "a run (such as staging-12)",
    Argument.COMMAND: "a command",
}
_EXAMPLE_WORDS = {
    Argument.ENVIRONMENT: "staging",
    Argument.VERSION: "v1.4.0-rc.2",
    Argument.RUN: "staging-12",
    Argument.COMMAND: "deploy",
}


# --- what to do instead ---------------------------------------------------------------------------------------------


def _nearest(word: str, valid: Iterable[str], others: dict[str, str]) -> list[str]:
    """Valid words that this may have meant, by likeness to them or to their other names; at most two."""
    if word in others:
        return [others[word]]
    names = {name: name for name in valid} | others
    found = get_close_matches(word[:60], names, 4, 0.6)
    return list(dict.fromkeys(names[name] for name in found))[:2]


def _did_you_mean(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _wrong(
    line: _Line, command: Command, code: str, cause: str, *, near: Sequence[str] = (), hint: str = ""
) -> _Refusal:
    example = command.example or " ".join([command.name, *(_EXAMPLE_WORDS[a] for a in command.arguments)])
    usage = f"Usage: {line.prefix}{command.usage} · Example: {line.prefix}{example}"
    return _Refusal(refused(code, cause, _did_you_mean(near) + hint + usage))
