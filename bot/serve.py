"""`forge serve`: opens the store, checks the audit log, runs the bot until it is told to stop; SIGHUP reads the configuration anew."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import structlog

from bot.assembly import Bot
from bot.audit_keys import known_keys
from bot.configuration.loading import Configuration, load
from bot.exits import Exit
from bot.logs import configure_logging
from handlers.local import SocketTaken
from runbook.documents.problems import ConfigurationError
from runbook.errors import ForgeError, Permanent
from state.places import DirectoryPlace
from state.store import SqlStore, open_store
from state.verify import verify_since_last_checkpoint

log = structlog.get_logger("forge")


def main(path: Path | None) -> int:
    """An exit code of `bot.exits`; why is on standard error."""
    try:
        configuration = load(path)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        return Exit.USAGE
    missing = configuration.missing()
    if missing:
        click.echo("\n".join(str(problem) for problem in missing), err=True)
        return Exit.USAGE
    configure_logging(lambda: _known_secrets(configuration))
    try:
        return asyncio.run(_serve(configuration, path))
    except (ForgeError, ValueError, SocketTaken, OSError) as error:
        click.echo(f"forge can't start: {error}", err=True)
        return Exit.CHECK_FAILED


def _known_secrets(configuration: Configuration) -> list[str]:
    found = []
    for secret in configuration.connections.secrets.values():
        with contextlib.suppress(Permanent):
            found.append(secret.reveal())
    return found


async def _serve(configuration: Configuration, path: Path | None) -> int:
    connections = configuration.connections
    store = await asyncio.to_thread(open_store, connections.database_url, data_dir=connections.data_dir)
    try:
        problem = await _audit_problem(store, configuration)
        if problem:
            click.echo(f"Not started: {problem}. `forge audit verify` tells more.", err=True)
            return Exit.CHECK_FAILED
        bot = Bot(configuration, store, version=_version())
        await _run(bot, path)
    finally:
        await asyncio.to_thread(store.close)
    return Exit.OK


async def _audit_problem(store: SqlStore, configuration: Configuration) -> str:
    audit = configuration.connections.audit
    places = [DirectoryPlace(path) for path in audit.checkpoints]
    verification = await verify_since_last_checkpoint(store, known_keys(audit), places)
    return "" if verification.ok else verification.sentence


async def _run(bot: Bot, path: Path | None) -> None:
    stopping, reloading = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.set)
    try:
        await bot.start()
        log.info("started", port=bot.server.port, setting=bot.settings.current.hash)
        while not stopping.is_set():
            await _either(stopping, reloading)
            if reloading.is_set():
                reloading.clear()
                await _reload(bot, path)
    finally:
        await bot.stop()
        log.info("stopped")


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _reload(bot: Bot, path: Path | None) -> None:
    """An invalid file leaves the old configuration in force."""
    try:
        configuration = load(path)
    except ConfigurationError as error:
        log.error("configuration.refused", problems=str(error))
        return
    try:
        await bot.reload(configuration)
    except ForgeError as error:
        log.error("configuration.not_taken", code=error.code)
        return
    log.info("configuration.loaded", hash=configuration.setting.hash)


def _version() -> str:
    try:
        return version("forge-chatops")
    except PackageNotFoundError:
        return "unknown"
