"""The commands: one table that the slash command's parser, the command line, the help and the policy are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runbook.values import Role


class Argument(StrEnum):
    """What stands at a position: its grammar is in the parser."""

    ENVIRONMENT = "env"
    VERSION = "version"
    RUN = "run"
    PLACE_OR_RUN = "env|run"
    COMMAND = "command"
    GATE = "gate"
    VERB = "open|update|resolve|list"
    INCIDENT = "env|incident"
    BACKUP_VERB = "run|list|verify|drill|hold|release|adopt"


BACKUP_VERBS: Mapping[str, str] = {
    "run": "make one now",
    "list": "show what is on record, with the recovery window",
    "verify": "restore one apart from everything and check it: a drill of that backup",
    "drill": "restore the newest one apart from everything, check it, and take the time; --kind base: with all its WAL",
    "hold": "keep one from being deleted; takes --backup and --reason",
    "release": "let the retention have it again; takes --backup",
    "adopt": "take on record what is published in the repository and isn't: after an older copy of forge's database was put back",
}
"""What stands behind `backup`. In `Intent.options`: `verb`, and of the command's own options those that were given."""


OPTIONS: Mapping[str, str] = {
    "to": "version",
    "until": "time",
    "severity": "1-4",
    "kind": "logical|base",
    "backup": "id",
    "at": "time",
    "from": "env",
}
"""What the further options take, in words."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. optional: how many of the last arguments may be left out. reading: changes nothing, open to every full member.

    options: further `--name <value>` that it takes. reading_verbs: of a command with verbs those that change nothing, open to every full member.

    decision: made by a person's click or command in Slack only; the command line answers with exit code 3.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    optional: int = 0
    reading: bool = False
    decision: bool = False
    takes_reason: bool = False
    takes_service: bool = False
    options: tuple[str, ...] = ()
    example: str = ""
    reading_verbs: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        required = len(self.arguments) - self.optional
        words = [f"<{a}>" if i < required else f"[{a}]" for i, a in enumerate(self.arguments)]
        flags = [f"[--{name} <{OPTIONS.get(name, 'value')}>]" for name in self.options]
        flags += ["[--service <name>]"] if self.takes_service else []
        flags += ["[--reason <text>]"] if self.takes_reason else []
        return " ".join([self.name, *words, *flags])


_E, _V, _R = Argument.ENVIRONMENT, Argument.VERSION, Argument.RUN

_COMMANDS: tuple[Command, ...] = (
    Command("deploy", "Deploy a candidate to staging, or a commit of the branch (the newest by default) to dev", (_E, _V), optional=1,
            takes_reason=True, takes_service=True, example="deploy staging v1.4.0-rc.2"),
    Command("migrate", "Run the contract migrations of the version that runs in an environment", (_E, _V),
            takes_reason=True, takes_service=True, example="migrate staging v1.4.0-rc.2"),
    Command("promote", "Release a version that got its go in staging to production", (_V, _E), takes_reason=True,
            takes_service=True, example="promote v1.4.0 prod"),
    Command("rollback", "Go back to the version before, in a run under way or after it", (_E,), takes_reason=True,
            takes_service=True, options=("to",), example='rollback prod --reason "orders fail"'),
    Command("plan", "Show what deploy would do, and change nothing; for staging without a version: the next candidate and its tag", (_E, _V),
            optional=1, reading=True, takes_service=True, example="plan staging v1.4.0-rc.2"),
    Command("status", "Show what runs where, what is newer, what waits, and for whom; or one run", (Argument.PLACE_OR_RUN,), optional=1,
            reading=True, takes_service=True, example="status prod"),
    Command("approve", "Approve what a run asks for", (_R,), decision=True),
    Command("reject", "Reject what a run asks for", (_R,), decision=True, takes_reason=True),
    Command("withdraw", "Take back your own approval before it is executed", (_R,), decision=True),
    Command("pause", "Start no new step; guards and deadlines go on", (_R,), takes_reason=True),
    Command("resume", "Go on after a pause", (_R,)),
    Command("abort", "Stop a run and return to the previous state", (_R,), takes_reason=True),
    Command("retry", "Repeat the step that is held", (_R,)),
    Command("cancel", "End a run that is queued or had no effect yet", (_R,), takes_reason=True),
    Command("lock", "Let no run start in an environment", (_E,), takes_reason=True, takes_service=True,
            example='lock staging --reason "load test until noon"'),
    Command("unlock", "Release a lock", (_E,), takes_reason=True, takes_service=True),
    Command("freeze", "Release nothing in an environment for a while; rollbacks go on", (_E,), takes_reason=True,
            takes_service=True, options=("until",), example='freeze prod --until 2026-12-27 --reason "end of year"'),
    Command("unfreeze", "Lift a freeze", (_E,), takes_reason=True, takes_service=True),
    Command("incident", "Open, update, resolve or list incidents", (Argument.VERB, Argument.INCIDENT), optional=1,
            takes_reason=True, takes_service=True, options=("severity",),
            example='incident open prod --severity 2 --reason "checkout is slow"'),
    Command("oncall", "Show who is on call and who can approve", reading=True),
    Command("checklist", "Show a run's checklists", (_R,), reading=True),
    Command("override", "Ask to go on in spite of a gate; a second person must agree", (_R, Argument.GATE),
            takes_reason=True, example='override prod-12 "change window" --reason "agreed with operations"'),
    Command("report", "Make the report of a run: one page with its timeline, gates and charts", (_R,), reading=True),
    Command("metrics", "Show a service's metrics, their limits, and the targets", (_E,), reading=True, takes_service=True,
            example="metrics staging"),
    Command("audit", "Show the audit log, or that of one run", (_R,), optional=1, reading=True),
    Command("help", "Show the commands that you may run", (Argument.COMMAND,), optional=1, reading=True),
)  # fmt: skip

DATABASE_COMMANDS: tuple[Command, ...] = (
    Command("backup", "Make, list, verify, drill, hold, release or adopt backups of a database", (Argument.BACKUP_VERB, _E), takes_reason=True,
            takes_service=True, options=("kind", "backup", "at"), reading_verbs=("list",), example="backup run prod"),
    Command("restore", "Restore a database beside the one that runs, check it, and lead the traffic there after the sign-off", (_E,),
            takes_reason=True, takes_service=True, options=("backup", "at", "from"),
            example='restore prod --at 2026-12-27T17:55 --reason "orders were deleted"'),
    Command("signoff", "Sign off what a restore or a drill brought back", (_R,), decision=True, takes_reason=True),
)  # fmt: skip
"""Of the runbook's PostgreSQL Backup and Restore Procedures.

What begins a run: `backup run` the procedure `backup` (`--kind base`: `base_backup`), `backup drill` and `backup verify` the procedure
`drill`, `restore` the procedure `restore`; `procedures.base.Request.options` takes `backup`, `at` (ISO time) and `from` (an environment).
`signoff` approves the step `Approval` with the purpose `signoff`.
"""

COMMANDS: tuple[Command, ...] = (*_COMMANDS[:-1], *DATABASE_COMMANDS, _COMMANDS[-1])
"""All of them, `help` last."""

BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}

_OPERATORS = (Role.RELEASE_ENGINEER, Role.SERVICE_OWNER, Role.ON_CALL)

DEFAULT_COMMAND_ROLES: Mapping[str, tuple[Role, ...]] = {
    **dict.fromkeys(
        (
            "deploy",
            "promote",
            "rollback",
            "pause",
            "resume",
            "abort",
            "retry",
            "cancel",
            "lock",
            "unlock",
            "freeze",
            "unfreeze",
            "override",
        ),
        _OPERATORS,
    ),
    "incident": (*_OPERATORS, Role.DATABASE_OWNER, Role.SECURITY_OWNER, Role.OPERATIONS),
    "migrate": (*_OPERATORS, Role.DATABASE_OWNER),
    "backup": (Role.DATABASE_OWNER,),
    "restore": (Role.DATABASE_OWNER,),
}
"""Who may run what changes something; reading is for every full member, decisions are for the roles that a step names."""
