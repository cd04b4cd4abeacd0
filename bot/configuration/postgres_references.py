"""What the form of `integrations.postgres` can't see: names, places and variables that must agree with each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic_core import PydanticCustomError

from bot.configuration.conversion import RECIPIENTS_VARIABLE, destination_of, recipients_of, scratch_of, slot_of
from bot.configuration.postgres_schema import BackupsSection, DatabaseSection, check_recipient
from bot.configuration.schema import File
from runbook.documents.problems import Problem, suggest
from runbook.documents.tree import Path as KeyPath
from runbook.documents.tree import Tree
from runbook.values import Environment

_PLACE = ("integrations", "postgres")


def postgres_contradictions(
    file: File, tree: Tree, environ: Mapping[str, str], folder: Path, data_dir: Path
) -> Iterator[Problem]:
    """folder: the file's."""
    section = file.integrations.postgres
    slots: dict[tuple[str, int, str], str] = {}
    for env, databases in section.databases.items():
        path: KeyPath = (*_PLACE, "databases", env.value)
        yield from _environment(file, tree, path, env)
        for service, database in databases.items():
            yield from _database(file, tree, (*path, service), service, database)
            if database.wal:
                slot = (database.host, database.port, slot_of(service, database))
                if slot in slots:
                    cause = f"{slots[slot]} receives its WAL by the slot {slot[2]} of the same server"
                    yield tree.problem((*path, service, "wal"), cause, "Give each a `slot` of its own")
                slots.setdefault(slot, f"{service} in {env}")
    for env in section.restores:
        path = (*_PLACE, "restores", env.value)
        yield from _environment(file, tree, path, env)
    if section.restores and section.backups is None:
        cause = "nothing is backed up that could be restored there"
        yield tree.problem((*_PLACE, "restores"), cause, "Add `integrations.postgres.backups`, or remove it", key=True)
    if section.backups is not None:
        yield from _backups(section.backups, tree, environ, folder, data_dir)


def _environment(file: File, tree: Tree, path: KeyPath, env: Environment) -> Iterator[Problem]:
    if env not in file.environments:
        known = [each.value for each in file.environments]
        cause = f"the environment {env} is not configured"
        yield tree.problem(path, cause, suggest(env.value, known), key=True)


def restore_contradictions(file: File, tree: Tree) -> Iterator[Problem]:
    """Jobs of a restore: no release freezes their image, so that it has to be named by digest."""
    for name, service in file.services.items():
        for key, job in (("restore_switch", service.restore_switch), ("restore_sanitise", service.restore_sanitise)):
            if job is not None and job.image is not None and "@sha256:" not in job.image:
                cause = "a restore has no release that would freeze this image"
                remedy = "Write it as repository@sha256:…, or name a `workload`, whose running image is taken"
                yield tree.problem(("services", name, key, "image"), cause, remedy)


def _database(file: File, tree: Tree, path: KeyPath, service: str, database: DatabaseSection) -> Iterator[Problem]:
    known = file.services.get(service)
    if known is None:
        yield tree.problem(path, f"there is no service {service}", suggest(service, file.services), key=True)
    elif not known.database:
        remedy = f"Remove it, or `database: false` beneath services.{service}"
        yield tree.problem(path, f"{service} has no database: its service says so", remedy, key=True)
    if database.wal and file.integrations.postgres.backups is None:
        cause = "WAL would be received and kept nowhere"
        yield tree.problem((*path, "wal"), cause, "Add `integrations.postgres.backups`, or remove `wal`")


def _backups(
    section: BackupsSection, tree: Tree, environ: Mapping[str, str], folder: Path, data_dir: Path
) -> Iterator[Problem]:
    path = (*_PLACE, "backups")
    recipients = recipients_of(section, environ)
    if not recipients:
        cause = "nobody could decrypt the backups: there is no recipient, and nothing is kept unencrypted"
        remedy = f"Write `recipients: [age1…]` (`age-keygen` makes a key), or set {RECIPIENTS_VARIABLE}"
        yield tree.problem(path, cause, remedy)
    if not section.recipients:
        for number, recipient in enumerate(recipients, 1):
            try:
                check_recipient(recipient)
            except PydanticCustomError as error:
                cause = f"{RECIPIENTS_VARIABLE}, key {number}: {error.message().replace('this file', 'a variable')}"
                yield tree.problem(path, cause, str((error.context or {}).get("remedy", "")))
    yield from _places(section, tree, folder, data_dir)


def _places(section: BackupsSection, tree: Tree, folder: Path, data_dir: Path) -> Iterator[Problem]:
    """Scratch space is wiped: nothing that matters may lie in it, and no backup's plain text where backups are kept."""
    scratch = _real(scratch_of(section, folder, data_dir))
    path = (*_PLACE, "backups", "scratch" if section.scratch else "destination")
    destination = None if "://" in section.destination else _real(Path(destination_of(section, folder)))
    if destination is not None and scratch.is_relative_to(destination):
        cause = (
            f"the scratch space {scratch} lies within the destination: decrypted data would stand beside the backups"
        )
        yield tree.problem(path, cause, "Name a folder outside of it beneath `scratch`")
    kept = {
        "the destination of backups": destination,
        "forge's data folder": _real(data_dir),
        "forge.yaml": _real(folder),
    }
    for what, place in kept.items():
        if place is not None and place != scratch and place.is_relative_to(scratch):
            cause = f"the scratch space {scratch} is wiped, and {what} lies within it"
            yield tree.problem(path, cause, "Name a folder of its own beneath `scratch`")
        elif place == scratch and what != "the destination of backups":
            cause = f"the scratch space {scratch} is wiped, and {what} is there"
            yield tree.problem(path, cause, "Name a folder of its own beneath `scratch`")


def _real(path: Path) -> Path:
    """Symbolic links followed as far as they exist."""
    return Path(os.path.realpath(path))


def postgres_doubts(file: File, tree: Tree) -> Iterator[Problem]:
    """What is allowed and leaves a database without a backup that could be trusted."""
    section = file.integrations.postgres
    if section.backups is None:
        if section.databases:
            cause = "databases are configured and no place for their backups: they are only measured"
            yield tree.problem((*_PLACE, "databases"), cause, "Add `integrations.postgres.backups`")
        return
    if not any(section.databases.values()):
        cause = "a place for backups is configured, and no database: none is backed up"
        yield tree.problem((*_PLACE, "backups"), cause, "Add it beneath `integrations.postgres.databases`")
        return
    for name, service in file.services.items():
        backed = [env for env in Environment if name in section.databases.get(env, {})]
        if backed and not any(
            (service.restore_checks.tables, service.restore_checks.minimum_rows, service.restore_checks.smoke)
        ):
            cause = "a restored database is looked at for its constraints and sequences alone"
            remedy = "Name critical tables and smoke statements beneath `restore_checks`"
            yield tree.problem(("services", name), cause, remedy, key=True)
        if service.database and Environment.PROD in service.urls and Environment.PROD not in backed:
            cause = f"production asks for a backup of {name}'s database, and none is made"
            remedy = f"Add it beneath `integrations.postgres.databases.prod.{name}`, or say `database: false`"
            yield tree.problem(("services", name), cause, remedy, key=True)
