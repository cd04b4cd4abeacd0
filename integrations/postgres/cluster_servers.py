"""A PostgreSQL server for each restore, made in the environment's cluster from a template. Its password lies in a Secret and nowhere else.

The password is made anew from a key whenever it is needed, so that forge has to read no Secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from integrations.kubernetes.restore_objects import RestoreObjects
from integrations.kubernetes.restore_template import RestoreNames, object_name, objects, parse, secret
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.provided import Mark, ProvidedServer
from runbook.errors import Permanent, Temporary

_LABEL: Final = "forge/restore"
_INSTALLATION: Final = "forge/installation"
_ANSWERS_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ServerTemplate:
    """path: of the manifests. host: with `$NAME`, as forge and the cluster's Jobs reach the Service. ready_s: until its pod is to be ready."""

    path: Path
    host: str
    port: int = 5432
    user: str = "postgres"
    database: str = "postgres"
    sslmode: str = "verify-full"
    sslrootcert: str = ""
    ready_s: float = 300.0


class ClusterServers:
    """Fulfils `Place`. password: of a text that no other restore has, always the same for the same text."""

    def __init__(self, cluster: RestoreObjects, template: ServerTemplate, password: Callable[[str], str]) -> None:
        self._cluster = cluster
        self._template = template
        self._password = password

    async def at(self, mark: Mark, major: int) -> ProvidedServer:
        """Raises Permanent("kubernetes.template"), Temporary("kubernetes.not_ready"), and as the calls do."""
        names = _names(mark)
        made = list(objects(await asyncio.to_thread(read_template, self._template.path), names, major))
        server = self.known(mark)
        await self._cluster.apply(names, [secret(names, self._password(mark.text)), *made])
        await self._cluster.ready(made, self._template.ready_s)
        await _answering(server)
        return server

    def known(self, mark: Mark) -> ProvidedServer:
        template = self._template
        connection = PostgresConnection(
            host=Template(template.host).safe_substitute(NAME=_names(mark).name),
            name=template.database,
            user=template.user,
            password=self._password(mark.text),
            port=template.port,
            sslmode=template.sslmode,
            sslrootcert=template.sslrootcert,
        )
        return ProvidedServer(connection)

    async def drop(self, mark: Mark) -> None:
        await self._cluster.remove(_names(mark))

    async def standing(self, installation: str) -> tuple[str, ...]:
        return await self._cluster.values(_LABEL, f"{_INSTALLATION}={_short(installation)}")


def read_template(path: Path) -> tuple[dict[str, Any], ...]:
    """Raises Permanent("kubernetes.template")."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        cause = f"the template {path} can't be read"
        raise Permanent("kubernetes", "template", cause, "Put it there, readable for forge") from None
    return parse(text)


def _names(mark: Mark) -> RestoreNames:
    """The Secret's name has what only this installation and run have, so that it is nobody else's."""
    name = object_name(mark.name)
    own = hashlib.sha256(mark.text.encode()).hexdigest()[:12]
    labels = {
        _LABEL: mark.name,
        _INSTALLATION: _short(mark.installation),
        "forge/run": mark.name.removeprefix("forge-"),
    }
    return RestoreNames(name, f"{name}-{own}", labels)


def _short(installation: str) -> str:
    return hashlib.sha256(installation.encode()).hexdigest()[:16]


async def _answering(server: ProvidedServer) -> None:
    """The Service leads to a ready pod a moment later."""
    deadline = time.monotonic() + _ANSWERS_S
    while True:
        try:
            await server.about()
        except Temporary:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return
