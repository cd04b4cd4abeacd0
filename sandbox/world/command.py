"""`forge sandbox`: the whole world on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sandbox.prometheus import ProgramMissing
from sandbox.prometheus.process import ProcessFailed
from sandbox.world.bot_process import BotEnded
from sandbox.world.controls import Controls
from sandbox.world.database import DatabaseFailed
from sandbox.world.product import Product
from sandbox.world.tempo import RUNBOOK, short
from sandbox.world.world import World

DEFAULT_PORT = 8065
WAL_SWITCH = "20s"
"""So young may a moment be to which a database is restored; each switch is a MiB in the archive."""
TROUBLES = (ProgramMissing, ProcessFailed, DatabaseFailed, BotEnded, TimeoutError, OSError)


def main(argv: Sequence[str], product: Product) -> int:
    """Runs until it is told to stop. Returns an exit code; why it failed is on standard error."""
    return int(_command(product).main(list(argv), prog_name="forge sandbox", standalone_mode=False) or 0)


def _command(product: Product) -> click.Command:
    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--port", default=DEFAULT_PORT, show_default=True, help="Of the page; 0 takes a free one.")
    @click.option("--runbook-durations", is_flag=True, help="Observe, wait and judge as long as the runbook wants.")
    @click.option(
        "--data-dir", type=click.Path(path_type=Path), help="Keep everything there; else it goes away at the end."
    )
    @click.option("--no-bot", is_flag=True, help="Leave the bot to you, or to the button on the page.")
    def sandbox(port: int, runbook_durations: bool, data_dir: Path | None, no_bot: bool) -> int:
        """Start a Slack, a cluster, GitHub, a registry, Prometheus, a PostgreSQL and a shop on this machine, and the bot among them."""
        tempo = RUNBOOK if runbook_durations else short(wal_switch=WAL_SWITCH, dev="recommended")
        try:
            return asyncio.run(_run(World(product, tempo=tempo, folder=data_dir, port=port, with_bot=not no_bot)))
        except TROUBLES as trouble:
            click.echo(f"The sandbox can't start: {_told(trouble, port)}", err=True)
            return 1

    return sandbox


def _told(trouble: BaseException, port: int) -> str:
    taken = isinstance(trouble, OSError) and "address already in use" in str(trouble)
    return f"port {port} is taken; try --port 0" if taken else str(trouble) or type(trouble).__name__


async def _run(world: World) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    _say("Starting Slack, Kubernetes, GitHub, a registry, Prometheus, PostgreSQL, a shop and the bot …")
    controls = Controls(world)
    starting = asyncio.create_task(world.start())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return 130
    stop_early = starting.exception()
    if stop_early is not None:
        stop.cancel()
        raise stop_early
    try:
        controls.install()
        _say(welcome(world))
        await stop
        _say("\nStopping …")
    finally:
        await controls.close()
        await world.stop()
    return 0


def welcome(world: World) -> str:
    """Where the page is, and what to try first."""
    return f"""
  {world.slack.url}

Try in #releases:
  1. Merge a pull request at the right: it goes to dev by itself. Then /forge status, /forge plan staging, sign, /forge deploy staging.
  2. As Ada (release engineer): /forge deploy staging v1.4.0-rc.2 – then click Approve as Sam, and the go as Pia and as Sam.
  3. Spoil v1.4.0-rc.3 at the right (its answers, a Job, a metric, its scan), deploy it, and watch staging go back by itself.
  4. Deploy v1.4.0-rc.7, which nobody signed, or v1.4.0-rc.10, whose SQL isn't what it says. Or kill the bot in the middle of it all.
  5. As Dora (database owner): /forge backup run staging --kind base. Drop the orders at the right, /forge restore staging, sign off as Dan.

In a terminal:  FORGE_DATA_DIR={world.folder} FORGE_CONFIG={world.config_path} forge status
The cluster:    kubectl --kubeconfig {world.folder / "kubeconfig"} -n staging get pods,jobs
                kubectl --kubeconfig {world.folder / "kubeconfig"} -n prod get deployments,httproutes
The bot's log:  {world.bot.log}
Ctrl-C stops everything."""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
