"""What stands at a position: each argument's own grammar, and which word is which. Pure; never guesses an environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from handlers.grammar import ALIASES, Line, nearest, wrong
from handlers.tokens import Word, excerpt
from runbook.commands import BACKUP_VERBS, Argument, Command
from runbook.values import Environment, Version

MAX_GATE = 80

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_RUN = re.compile(r"(dev|staging|prod)-([1-9]\d{0,8})")
_INCIDENT = re.compile(r"incident-([1-9]\d{0,8})")
_INCIDENT_LIKE = re.compile(r"(?:i|inc|incident|sev)?[-_#. ]*(\d{1,9})")
_VERSION_LIKE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-._]?rc[-._]?(\d+))?")
_RUN_LIKE = re.compile(r"([a-z]+)[-_#. ]*(\d+)")
_LONG_DASH = re.compile(r"[\u2010-\u2015\u2212]")

_TO_DEV = ("deploy", "plan")
"""Commands that take a commit for dev, and only there."""

VERBS = ("open", "update", "resolve", "list")
_OTHER_VERBS = {
    "close": "resolve",
    "end": "resolve",
    "fixed": "resolve",
    "new": "open",
    "create": "open",
    "start": "open",
    "declare": "open",
    "comment": "update",
    "note": "update",
    "edit": "update",
    "show": "list",
    "ls": "list",
}

_OTHER_BACKUP_VERBS = {
    "create": "run",
    "make": "run",
    "start": "run",
    "now": "run",
    "show": "list",
    "ls": "list",
    "check": "verify",
    "test": "drill",
    "keep": "hold",
    "pin": "hold",
    "unhold": "release",
    "unpin": "release",
    "import": "adopt",
    "scan": "adopt",
}

Reader = Callable[[str, Line, Command], None]


def take_arguments(line: Line, command: Command, positions: Sequence[Word], topic: Reader) -> None:
    """Reads the words at their positions into the line's values. topic: reads a command's name. Raises `Refusal`."""
    if len(positions) > len(command.arguments):
        raise _too_many(line, command, positions)
    # What was given speaks first: `deploy v1.4.0` is a wrong environment rather than a missing version.
    # And the environment first of all: which versions there are depends on it.
    taken = sorted(_in_order(command, positions), key=lambda pair: pair[0] is not Argument.ENVIRONMENT)
    readers = {**_READERS, Argument.COMMAND: topic}
    for argument, word in taken:
        readers[argument](word.text if argument is Argument.GATE else plain_dashes(word.text), line, command)
    present = {argument for argument, _ in taken}
    required = command.arguments[: len(command.arguments) - _may_be_missing(line, command)]
    for missing in required:
        if missing not in present:
            raise _missing(line, command, missing, first=not positions)


def _in_order(command: Command, positions: Sequence[Word]) -> list[tuple[Argument, Word]]:
    """The words with their arguments. An environment and a version are told apart by their looks, in whatever order they stand."""
    arguments = command.arguments[: len(positions)]
    words = [plain_dashes(word.text) for word in positions]
    if set(command.arguments) == {Argument.ENVIRONMENT, Argument.VERSION}:
        version_first = command.arguments[0] is Argument.VERSION
        if len(words) == 1 and version_first and _is_environment(words[0]):
            arguments = (Argument.ENVIRONMENT,)
        if len(words) == 2:
            environment, version = words if version_first else reversed(words)
            if _is_environment(environment) and _is_version(version):
                arguments = tuple(reversed(command.arguments))
    return list(zip(arguments, positions, strict=True))


def _may_be_missing(line: Line, command: Command) -> int:
    """How many of the last arguments are optional: an incident that is opened, updated or resolved must be named, and so must what goes to
    production.
    """
    if Argument.INCIDENT in command.arguments and line.options.get("verb") not in (None, "list"):
        return 0
    if command.arguments[-1:] == (Argument.VERSION,) and line.values.get("environment") == Environment.PROD:
        return 0
    return command.optional


def _too_many(line: Line, command: Command, positions: Sequence[Word]) -> Exception:
    extra = positions[len(command.arguments)].text
    hint = ""
    if Argument.GATE in command.arguments:
        at = command.arguments.index(Argument.GATE)
        gate = " ".join(word.text for word in positions[at:])
        before = "".join(f"{excerpt(word.text)} " for word in positions[:at])
        quoted = f'{command.name} {before}"{excerpt(gate)}"'
        hint = f"A gate of several words stands in quotes: {line.prefix}{quoted}. "
    elif "reason" in line.values or command.takes_reason:
        hint = 'A reason of several words stands in quotes: --reason "like this". '
    return wrong(line, command, "parse.too_many", f"“{excerpt(extra)}” is one word too many.", hint=hint)


def _missing(line: Line, command: Command, missing: Argument, *, first: bool) -> Exception:
    noun, hint = _NOUNS[missing], ""
    if missing is Argument.INCIDENT:
        return _missing_incident(line, command)
    if missing is Argument.ENVIRONMENT:
        hint = _all_environments()
    if missing in (Argument.VERB, Argument.BACKUP_VERB):
        hint = f"One of {', '.join(BACKUP_VERBS if missing is Argument.BACKUP_VERB else VERBS)}. "
    cause = f"{command.name} needs {noun}{'' if first else ' next'}."
    return wrong(line, command, "parse.missing", cause, hint=hint)


def _missing_incident(line: Line, command: Command) -> Exception:
    verb = line.options["verb"]
    if verb == "open":
        cause = f"{command.name} open needs an environment next."
        return wrong(line, command, "parse.missing", cause, hint=_all_environments())
    cause = f"{command.name} {verb} needs an incident (such as incident-7) next."
    example = f'{command.name} {verb} incident-7 --reason "what is known now"'
    return wrong(
        line, command, "parse.missing", cause, hint=f"{line.prefix}incident list shows them. ", example=example
    )


def _all_environments() -> str:
    return "Environments are " + ", ".join(Environment) + ". "


def plain_dashes(text: str) -> str:
    """Slack and mobile keyboards make long dashes of plain ones."""
    return _LONG_DASH.sub("-", text)


# --- readers: one per kind of argument --------------------------------------------------------------------------------


def _is_environment(word: str) -> bool:
    name = word.casefold()
    return ALIASES.get(name, name) in set(Environment)


def _is_version(word: str) -> bool:
    return Version.parse(word) is not None or _COMMIT.fullmatch(word.lower()) is not None


def _read_environment(word: str, line: Line, command: Command) -> None:
    line.values["environment"] = environment_of(word, line, command)


def environment_of(word: str, line: Line, command: Command) -> str:
    """As an option's value. Raises `Refusal`."""
    name = ALIASES.get(word.casefold(), word.casefold())
    if name not in set(Environment):
        near = nearest(name, set(Environment), ALIASES)
        cause = f"“{excerpt(word)}” is no environment."
        raise wrong(
            line, command, "parse.unknown_environment", cause, near=near, hint="" if near else _all_environments()
        )
    return name


def _read_version(word: str, line: Line, command: Command) -> None:
    is_of_dev = command.name in _TO_DEV and line.values.get("environment") == Environment.DEV
    line.values["version"] = (_commit_of if is_of_dev else version_of)(word, line, command)


def _commit_of(word: str, line: Line, command: Command) -> str:
    """dev runs commits, and no tags. Raises `Refusal`."""
    commit = word.lower()
    if _COMMIT.fullmatch(commit):
        return commit
    example = f"{command.name} dev 3f2a91c0d4be"
    version = Version.parse(word)
    if version is None:
        cause = f"“{excerpt(word)}” is no commit: 7 to 40 digits of its SHA, such as 3f2a91c0d4be."
        hint = "Without one it is the newest of the branch. "
        raise wrong(line, command, "parse.bad_commit", cause, hint=hint, example=example)
    cause = f"dev runs commits of the branch, and {word} is a tag."
    where = f"promote {word} prod" if version.candidate is None else f"deploy staging {word}"
    hint = f"A {'release' if version.candidate is None else 'candidate'} goes elsewhere: {line.prefix}{where}. "
    raise wrong(line, command, "parse.tag_for_dev", cause, hint=hint, example=example)


def version_of(word: str, line: Line, command: Command) -> str:
    """A version or a commit as it was typed. Raises `Refusal`."""
    if _is_version(word):
        return word if Version.parse(word) is not None else word.lower()
    near: list[str] = []
    match = _VERSION_LIKE.fullmatch(word.casefold())
    if match:
        numbers = [str(int(group)) for group in match.groups()[:3]]
        likely = "v" + ".".join(numbers) + (f"-rc.{int(match[4])}" if match[4] else "")
        near = [likely] if Version.parse(likely) else []
    cause = f"“{excerpt(word)}” is no version: candidates are vX.Y.Z-rc.N, releases are vX.Y.Z."
    raise wrong(line, command, "parse.bad_version", cause, near=near)


def _read_run(word: str, line: Line, command: Command) -> None:
    name = word.casefold().removeprefix("#")
    if _RUN.fullmatch(name):
        line.values["run"] = name
        return
    near: list[str] = []
    match = _RUN_LIKE.fullmatch(name)
    if match and int(match[2]) in range(1, 10**9):
        near = [f"{place}-{int(match[2])}" for place in nearest(match[1], set(Environment), ALIASES)]
    elif name.isdecimal() and int(name) in range(1, 10**9):
        near = [f"{place.value}-{int(name)}" for place in (Environment.STAGING, Environment.PROD)]
    cause = f"“{excerpt(word)}” is no run: they are called like staging-12."
    raise wrong(line, command, "parse.bad_run", cause, near=near, hint=f"{line.prefix}status lists them. ")


def _read_place_or_run(word: str, line: Line, command: Command) -> None:
    read = _read_environment if _is_environment(word) else _read_run
    read(word, line, command)


def _read_gate(word: str, line: Line, command: Command) -> None:
    gate = " ".join(word.split())
    if not gate:
        cause = "The gate is empty."
        hint = f"Write the gate as the run's card names it; {line.prefix}status <run> shows them. "
        raise wrong(line, command, "parse.bad_gate", cause, hint=hint)
    if len(gate) > MAX_GATE:
        cause = f"“{excerpt(gate)}” can't be a gate: it has {len(gate)} characters, a gate's name at most {MAX_GATE}."
        raise wrong(line, command, "parse.bad_gate", cause, hint="A reason stands behind --reason. ")
    line.options["gate"] = gate


def _read_verb(word: str, line: Line, command: Command) -> None:
    _keep_verb(word, line, command, VERBS, _OTHER_VERBS)


def _read_backup_verb(word: str, line: Line, command: Command) -> None:
    _keep_verb(word, line, command, tuple(BACKUP_VERBS), _OTHER_BACKUP_VERBS)


def _keep_verb(word: str, line: Line, command: Command, verbs: Sequence[str], others: dict[str, str]) -> None:
    verb = word.casefold()
    if verb not in verbs:
        near = nearest(verb, verbs, others)
        cause = f"{command.name} can't “{excerpt(word)}”."
        hint = f"It can {', '.join(verbs)}. "
        raise wrong(line, command, "parse.unknown_verb", cause, near=near, hint=hint)
    line.options["verb"] = verb


def _read_incident(word: str, line: Line, command: Command) -> None:
    """An environment for `open` and `list`, an incident for `update` and `resolve`."""
    verb = line.options["verb"]
    name = word.casefold().removeprefix("#")
    if verb in ("open", "list"):
        _read_environment(word, line, command)
        return
    if _INCIDENT.fullmatch(name):
        line.options["incident"] = name
        return
    match = _INCIDENT_LIKE.fullmatch(name)
    near = [f"incident-{int(match[1])}"] if match and int(match[1]) else []
    cause = f"“{excerpt(word)}” is no incident: they are called like incident-7."
    example = f'{command.name} {verb} incident-7 --reason "what is known now"'
    hint = f"{line.prefix}incident list shows them. "
    raise wrong(line, command, "parse.bad_incident", cause, near=near, hint=hint, example=example)


_READERS: dict[Argument, Reader] = {
    Argument.ENVIRONMENT: _read_environment,
    Argument.VERSION: _read_version,
    Argument.RUN: _read_run,
    Argument.PLACE_OR_RUN: _read_place_or_run,
    Argument.GATE: _read_gate,
    Argument.VERB: _read_verb,
    Argument.INCIDENT: _read_incident,
    Argument.BACKUP_VERB: _read_backup_verb,
}
_NOUNS = {
    Argument.ENVIRONMENT: "an environment",
    Argument.VERSION: "a version (such as v1.4.0-rc.2)",
    Argument.RUN: "a run (such as staging-12)",
    Argument.PLACE_OR_RUN: "an environment or a run (such as staging-12)",
    Argument.COMMAND: "a command",
    Argument.GATE: "a gate (as the run's card names it)",
    Argument.VERB: "to know what to do",
    Argument.INCIDENT: "an incident (such as incident-7)",
    Argument.BACKUP_VERB: "to know what to do",
}
