"""The command line, `forge`. Light on purpose: every command imports what it needs when it runs, so that `forge --help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from bot.cli_audit import audit
from bot.cli_output import fail_configuration, print_json
from bot.cli_rules import rules
from bot.cli_slash import slash_commands
from bot.exits import MEANING, Exit

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code.value}  {meaning}" for code, meaning in MEANING.items())
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="FORGE_CONFIG",
    help="The configuration. Default: FORGE_CONFIG, else forge.yaml here.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Ordered(click.Group):
    """Lists the commands in the order they were added: the program's own first, then the slash commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Ordered, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name="forge-chatops", prog_name="forge")
def cli() -> None:
    """Executes the deployment runbook from Slack: plan, approve, execute.

    The commands of `/forge` work here as well, against the running bot; decisions are made in Slack alone.
    """


@cli.command()
@_CONFIG
def serve(config: Path | None) -> None:
    """Run the bot."""
    sys.exit(import_module("bot.serve").main(config))


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: Sequence[str]) -> None:
    """Start everything on this machine, with a page to type /forge in."""
    sys.exit(import_module("sandbox.world").main(list(arguments), _product()))


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: Sequence[str]) -> None:
    """Play one story in the sandbox and print what the release channel shows."""
    sys.exit(import_module("sandbox.demo").main(list(arguments), _product()))


def _product() -> Any:
    """What the sandbox may know of us: how the bot is started, the rules that are shipped, what can be typed."""
    from integrations.prometheus.rules import rules_text
    from runbook.commands import COMMANDS

    hints = [{"name": c.name, "usage": c.usage.partition(" ")[2], "help": c.summary} for c in COMMANDS]
    return import_module("sandbox.world").Product([sys.executable, "-m", "bot.cli", "serve"], rules_text, hints)


@cli.command()
@_CONFIG
@_JSON
def doctor(config: Path | None, as_json: bool) -> None:
    """Check tokens, rights, addresses and series, each with its remedy."""
    import asyncio

    from bot.doctor import as_text, examine
    from bot.logs import silence

    silence()
    report = asyncio.run(examine(config, os.environ))
    if as_json:
        print_json(report.as_json())
    else:
        click.echo(as_text(report, color=sys.stdout.isatty()))
    sys.exit(Exit.CHECK_FAILED if report.failed else Exit.OK)


@cli.group()
def config() -> None:
    """Check or describe the configuration."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@_CONFIG
@_JSON
def validate(file: Path | None, config: Path | None, as_json: bool) -> None:
    """Check a configuration without touching anything."""
    from bot.configuration.loading import load
    from runbook.documents.problems import ConfigurationError

    try:
        found = load(file or config)
    except ConfigurationError as error:
        fail_configuration(error, as_json=as_json)
    if as_json:
        warnings = [warning.as_json() for warning in found.warnings]
        print_json(
            {"ok": True, "file": str(found.path), "hash": found.setting.hash, "warnings": warnings, "problems": []}
        )
        return
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{found.path} is valid (hash {found.setting.hash[:12]}).")


@config.command()
def schema() -> None:
    """Print the configuration's JSON schema, for editors."""
    from bot.configuration.schema import File

    print_json(File.model_json_schema())


@cli.command()
@_CONFIG
@_JSON
def runbook(config: Path | None, as_json: bool) -> None:
    """Print the runbook in force, rendered from the plans that are executed."""
    from bot.configuration.loading import load
    from runbook.documents.problems import ConfigurationError

    try:
        found = load(config)
    except ConfigurationError as error:
        fail_configuration(error, as_json=as_json)
    text = import_module("bot.runbook_text").render_runbook(found.setting)
    if as_json:
        print_json({"hash": found.setting.hash, "markdown": text})
    else:
        click.echo(text)


def _assemble() -> None:
    cli.add_command(rules)
    cli.add_command(audit)
    for command in slash_commands():
        cli.add_command(command)


_assemble()


def main(argv: Sequence[str] | None = None) -> Any:
    """The console script. A broken pipe (`forge audit | head`) is no error."""
    try:
        return cli.main(args=None if argv is None else list(argv), prog_name="forge")
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - lives until the interpreter flushes it at exit
        return Exit.OK


if __name__ == "__main__":
    main()
