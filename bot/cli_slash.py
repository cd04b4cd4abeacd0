"""The slash commands as subcommands: sent word by word to the running bot, which parses them with the grammar that Slack's have."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

import click

from bot.cli_output import fail, fail_error, finish
from bot.configuration.places import socket_path
from bot.exits import Exit
from runbook.commands import COMMANDS, Command

WITHOUT_BOT = frozenset({"status", "audit", "help", "lock", "unlock"})
"""What also works on the database alone, when no bot runs; and `incident list`."""


def slash_commands() -> Iterator[click.Command]:
    for command in COMMANDS:
        if command.name != "audit":  # a group of its own, in `bot.cli_audit`
            yield _slash(command)


def _slash(command: Command) -> click.Command:
    def run(words: Sequence[str], as_json: bool) -> None:
        send_words([command.name, *words], as_json=as_json)

    example = f"\b\nExample: forge {command.example}" if command.example else None
    where = " (in Slack only)" if command.decision else ""
    return click.Command(
        command.name,
        callback=run,
        params=[
            click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar=command.usage.partition(" ")[2] or ""),
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
        ],
        help=f"{command.summary}{where}.",
        epilog=example,
        context_settings={"ignore_unknown_options": True},
    )


def send_words(words: list[str], *, as_json: bool) -> NoReturn:
    """Asks the running bot; without one, the database where that suffices. Ends the program."""
    from runbook.commands import BY_NAME

    command = BY_NAME[words[0]]
    if command.decision:
        way = f"Use the button on the run's card, or write `/forge {' '.join(words)}` in Slack"
        cause = f"{command.name} is a decision: forge takes it from a person in Slack alone"
        fail(Exit.NEEDS_SLACK, "authority.slack_only", cause, way, as_json=as_json)
    from handlers.local_client import NotRunning, send

    width = shutil.get_terminal_size((100, 24)).columns
    color = sys.stdout.isatty()
    try:
        answer = send(socket_path(os.environ), words, width=width, color=color)
    except NotRunning as error:
        if command.name in WITHOUT_BOT or words[:2] == ["incident", "list"]:
            _on_the_database(words, width=width, color=color, as_json=as_json)
        fail(Exit.NOT_RUNNING, "local.not_running", str(error), as_json=as_json)
    except TimeoutError:
        cause, remedy = (
            "forge did not answer in time; the command may have been carried out",
            "Look with `forge status`",
        )
        fail(Exit.NOT_RUNNING, "local.timeout", cause, remedy, as_json=as_json)
    finish(answer, as_json=as_json)


def _on_the_database(words: list[str], *, width: int, color: bool, as_json: bool) -> NoReturn:
    from bot.offline import answer_offline
    from messages.plain import to_json, to_text
    from runbook.documents.problems import ConfigurationError
    from runbook.errors import ForgeError

    try:
        answer = answer_offline(words, os.environ)
    except ConfigurationError as error:
        from bot.cli_output import fail_configuration

        fail_configuration(error, as_json=as_json)
    except ForgeError as error:
        fail_error(error, Exit.NOT_RUNNING, as_json=as_json)
    finish({**to_json(answer), "rendered": to_text(answer, width=width, color=color)}, as_json=as_json)
