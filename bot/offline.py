"""What works without a running bot: reading the status and the audit log, and locks. Nothing here starts or moves a run.

The database's own lock keeps it from writing beside a bot that runs after all.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bot.configuration.loading import load
from bot.configuration.places import data_dir, database_url
from engine import controls, incidents, present
from engine.answers import Answer, info, refused
from engine.intents import Intent
from engine.journal import Turn
from engine.ports import Ledger
from engine.views import HelpView
from handlers.parser import parse_argv
from runbook.authority import may_run
from runbook.commands import COMMANDS
from runbook.policy import Policy, Setting
from runbook.values import Actor
from runbook.verdicts import Outcome
from state.store import SqlStore, open_store

_UNCONFIGURED = Setting(policy=Policy(), services={}, hash="")


def answer_offline(words: Sequence[str], environ: Mapping[str, str]) -> Answer:
    """Raises ConfigurationError (locks need the roles) and StoreUnavailable."""
    intent = parse_argv(list(words))
    if isinstance(intent, Answer):
        return intent
    if intent.name in ("lock", "unlock"):
        return _locked(intent, environ)
    if intent.name == "help":
        chosen = tuple(command for command in COMMANDS if intent.topic in ("", command.name))
        return info("help", "No bot is running: these are all commands; who may run them is its configuration's business.",
                    view=HelpView(commands=chosen))  # fmt: skip
    with _open(environ, read_only=True) as store:
        return store.read_now(lambda ledger: _looked(intent, Turn(ledger, datetime.now(UTC), _UNCONFIGURED)))


def _looked(intent: Intent, turn: Turn) -> Answer:
    if intent.name == "incident":
        return incidents.listing(turn, intent)
    if intent.name == "audit":
        return info("audit", "", view=present.audit_view(turn, intent.run))
    if not intent.run:
        return info(
            "status",
            "No bot is running: this is what the database says.",
            view=present.status(turn, intent.service, intent.environment or ""),
        )
    run = turn.run(intent.run)
    if run is None:
        return refused("run.unknown", f"There is no run {intent.run}.", "`forge status` lists the runs.")
    return info("status", "No bot is running.", view=replace(present.headline(turn, run), buttons={}))


def _locked(intent: Intent, environ: Mapping[str, str]) -> Answer:
    setting = load(None, environ).setting
    actor = _actor(setting)
    verdict = may_run(intent.name, actor, setting.policy)
    if verdict.outcome is not Outcome.PASS:
        return refused(verdict.code, verdict.reason, verdict.remedy)
    environment = intent.environment
    if environment is None:
        return refused("lock.environment", "Name the environment.")
    if intent.service and intent.service not in setting.services:
        return refused(
            "service.unknown", f"There is no service {intent.service}.", f"Known: {', '.join(setting.services)}"
        )
    change = controls.lock if intent.name == "lock" else controls.unlock

    def write(ledger: Ledger) -> Answer:
        return change(Turn(ledger, datetime.now(UTC), setting), environment, intent.service, actor, intent.reason)

    with _open(environ, read_only=False) as store:
        return store.write_now(write)


def _actor(setting: Setting) -> Actor:
    """The operating-system user, as the bot's socket would see them."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"#{uid}"
    held = frozenset(role for role, members in setting.roles.items() if f"os:{name}" in members)
    return Actor(f"os:{name}", name, roles=held, can_decide=False)


def _open(environ: Mapping[str, str], *, read_only: bool) -> SqlStore:
    folder = data_dir(environ)
    return open_store(database_url(environ, folder), data_dir=folder, read_only=read_only)
