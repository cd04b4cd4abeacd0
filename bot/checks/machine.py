"""What must be right on this machine: the data folder, the database, the audit key, the programs, the configuration's doubts."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bot.checks.findings import Finding, fail, of_error, ok, warn
from bot.configuration.connections import Connections
from bot.configuration.loading import Configuration
from runbook.errors import ForgeError
from runbook.wording import listing


async def check_configuration(configuration: Configuration) -> AsyncIterator[Finding]:
    for warning in configuration.warnings:
        yield warn("configuration", f"{warning.path} (line {warning.line}): {warning.cause}", warning.remedy)
    for missing in configuration.missing():
        yield fail("configuration", f"{missing.path}: {missing.cause}", missing.remedy)
    for path, secret in configuration.connections.secrets.items():
        if path not in configuration.connections.needed_secrets and not secret.is_set:
            yield fail("configuration", f"{path}: {secret} has no value", "Give it its value, or remove the reference")
        if secret.file is not None and secret.is_set and _mode(secret.file) & 0o077:
            yield warn("configuration", f"{path}: others may read {secret.file}", f"chmod 600 {secret.file}")
    yield ok("configuration", f"{configuration.path} is valid (hash {configuration.setting.hash[:12]})")


async def check_data_dir(folder: Path) -> AsyncIterator[Finding]:
    for finding in await asyncio.to_thread(lambda: list(_folder_findings(folder))):
        yield finding


def _folder_findings(folder: Path) -> Iterator[Finding]:
    name = "data folder"
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if os.access(parent, os.W_OK):
            yield ok(name, f"{folder} will be made at the first start")
        else:
            yield fail(name, f"{folder} doesn't exist and can't be made here", f"mkdir -m 700 {folder}, owned by forge")
        return
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield fail(name, f"{folder} can't be written", "Give it to the user that forge runs as, or set FORGE_DATA_DIR")
        return
    if _mode(folder) & 0o077:
        yield warn(name, f"others may look into {folder}", f"chmod 700 {folder}")
    free = shutil.disk_usage(folder).free
    if free < 200 * 1024 * 1024:
        yield warn(
            name,
            f"only {free // 1024**2} MiB are free at {folder}",
            "Make room: forge stops starting runs on a full disk",
        )
    yield ok(name, f"{folder} can be written")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def check_database(connections: Connections) -> AsyncIterator[Finding]:
    from engine.records import Run
    from state.store import open_store

    def look() -> Finding:
        try:
            with open_store(connections.database_url, data_dir=connections.data_dir, read_only=True) as store:
                runs = store.read_now(lambda ledger: ledger.count(Run))
                return ok("database", f"{store.name} answers; it holds {runs} runs")
        except ForgeError as error:
            if error.code == "store.missing":
                return ok("database", "the database will be made at the first start")
            return of_error("database", error)

    yield await asyncio.to_thread(look)


async def check_audit_key(connections: Connections) -> AsyncIterator[Finding]:
    from bot.audit_keys import earlier_keys
    from state.checkpoints import key_id, load_private_key

    name = "audit key"
    try:
        key = load_private_key(connections.audit.key.reveal())
    except ValueError as error:
        yield fail(name, str(error), "Make one with `forge audit keygen --out audit-key.pem`")
        return
    yield ok(name, f"the key {key_id(key.public_key())} signs checkpoints")
    try:
        earlier = [key_id(each) for each in earlier_keys(connections.audit)]
    except ValueError as error:
        remedy = (
            "Give it a file with the public key in PEM, or take it out: forge doesn't start with one that it can't read"
        )
        yield fail("earlier audit keys", str(error), remedy)
    else:
        if earlier:
            yield ok("earlier audit keys", f"{listing(earlier)} signed before, and are believed")
    for folder in connections.audit.checkpoints:
        if not folder.is_dir():
            yield fail("checkpoints", f"{folder} is no folder here", "Mount or make it; forge never makes it itself")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield fail("checkpoints", f"nothing can be put into {folder}", "Let forge create files there")
        else:
            yield ok("checkpoints", f"{folder} takes checkpoints")


async def check_signers(connections: Connections) -> AsyncIterator[Finding]:
    from bot.adapters import Adapters

    signers = connections.signers
    if not signers.ssh and not signers.gpg:
        yield fail(
            "signers", "no signer is configured: every tag is refused", "Add public keys to `integrations.signers`"
        )
        return
    for configured, program, package in ((signers.ssh, "ssh-keygen", "openssh-client"), (signers.gpg, "gpg", "gnupg")):
        if configured and shutil.which(program) is None:
            yield fail("signers", f"{program} is missing, which checks the signatures", f"apt-get install {package}")
        elif configured:
            yield ok("signers", f"{program} is there")
    _ = Adapters(connections).signatures  # raises for a key that is none
    yield ok("signers", f"{len(signers.ssh)} SSH and {len(signers.gpg)} GPG signers are configured")
