"""Databases, their backups and what measures them, built from the configuration. Nothing of it is imported before one is configured.

Passwords and keys are read when they are used, because they are rotated; what has none keeps the bot from nothing but that database.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot.audit_keys import known_keys
from bot.configuration.connections import (
    AuditConnection,
    BackupsConnection,
    DatabaseConnection,
    DatabaseReader,
    PostgresConnections,
    RestoreCluster,
    RestoreServer,
    Secret,
)
from bot.wal import WalReceivers, Wanted
from runbook.backups import BackupOrder, Made, ServerFacts
from runbook.database_ports import BackupRepository, Database, RepositoryMemory, RestoreHost, Tell
from runbook.values import Environment

if TYPE_CHECKING:
    from integrations.backups import Repository, Signer
    from integrations.kubernetes.restore_objects import RestoreObjects
    from integrations.postgres import PostgresConnection, PostgresDatabase, ProgramFinder
    from integrations.postgres.measuring import DatabaseMeasuring
    from integrations.postgres.provided import ProvidedServer
    from integrations.postgres.provided_restores import Place
    from integrations.postgres.restore_host import LocalRestores, Segments
    from integrations.postgres.wal_receiver import Archived, WalReceiver


class DatabaseAdapters:
    """audit: its key signs manifests, as it signs the audit log's checkpoints. Each part is made when it is first asked for. clusters: the
    environments' namespaces, where servers for restores are made."""

    def __init__(
        self,
        connections: PostgresConnections,
        audit: AuditConnection,
        clusters: Callable[[Environment], RestoreObjects] | None = None,
    ) -> None:
        self._clusters = clusters
        self._connections = connections
        self._audit = audit
        self._restore_host: RestoreHost | None = None
        self.memory: RepositoryMemory | None = None
        """Of which local folder is the repository; set before anything is asked of it. None: nothing is remembered."""

    @property
    def backups(self) -> BackupsConnection | None:
        return self._connections.backups

    @cached_property
    def programs(self) -> ProgramFinder:
        from integrations.postgres import ProgramFinder

        return ProgramFinder(self._connections.programs)

    @cached_property
    def databases(self) -> dict[tuple[str, Environment], Database]:
        """Those that are backed up: none without a destination."""
        if self.backups is None:
            return {}
        return {key: _ReadAnew(partial(self._database, found)) for key, found in self._connections.databases.items()}

    @property
    def archived(self) -> frozenset[tuple[str, Environment]]:
        """Whose WAL is received."""
        return frozenset(key for key in self.databases if self._connections.databases[key].wal)

    @property
    def repository(self) -> BackupRepository | None:
        """None where nothing is backed up."""
        return cast(BackupRepository, self._repository) if self.databases else None

    @cached_property
    def _repository(self) -> Repository:
        """Made anew when its keys are rotated."""
        assert self.backups is not None  # noqa: S101 - nothing is backed up without a destination
        return cast(
            "Repository", _Current(_Repositories(self.backups, partial(signer_of, self._audit), lambda: self.memory))
        )

    def sweep(self) -> None:
        """Removes what a process that died left half done in scratch: copies of databases, files with passwords. Blocks."""
        if self.backups is not None and self.backups.scratch.is_dir():
            from integrations.postgres.connection import sweep

            sweep(self.backups.scratch)

    def restore_host(self, segments: Segments) -> RestoreHost | None:
        """segments: the ledger's record of archived WAL. None where nothing is backed up, or no private key is; one and the same otherwise."""
        if (
            self._restore_host is None
            and self.backups is not None
            and self.backups.identity is not None
            and self.databases
        ):
            from integrations.postgres.restore_host import LocalRestores

            local = LocalRestores(self.backups.scratch, self.programs, self._repository, segments)
            self._restore_host = self._provided(local) if self._connections.restores else local
        return self._restore_host

    def _provided(self, local: LocalRestores) -> RestoreHost:
        from integrations.postgres.provided_restores import ProvidedRestores

        places = {env: self._place(found) for env, found in self._connections.restores.items()}
        return ProvidedRestores(local, self.programs, places, lambda: signer_of(self._audit).key)

    def _place(self, found: RestoreServer | RestoreCluster) -> Callable[[], Place]:
        if isinstance(found, RestoreServer):
            return partial(provided_server, found)
        from integrations.postgres.cluster_servers import ClusterServers, ServerTemplate

        assert self._clusters is not None  # noqa: S101 - every environment has a cluster
        template = ServerTemplate(
            found.template, found.host, found.port, found.user, found.database, found.sslmode, str(found.sslrootcert or ""),
            found.ready_s,
        )  # fmt: skip
        servers = ClusterServers(self._clusters(found.environment), template, self._password_of)
        return lambda: servers

    def _password_of(self, text: str) -> str:
        """Made of the audit key, by a signature that never leaves this process: the same for the same text, and nobody else's."""
        signed = signer_of(self._audit).sign(f"the password of a server for restores: {text}".encode())
        return base64.urlsafe_b64encode(hashlib.sha256(signed).digest()).decode().rstrip("=")

    def receivers(self, archived: Archived, switch_s: Callable[[], float]) -> WalReceivers | None:
        """archived: puts a segment on record. switch_s: the policy's, as it is now. None where no WAL is to be received."""
        databases = self._connections.databases if self.backups is not None else {}
        found = WalReceivers(databases, partial(self._receiver, archived), connection_of, switch_s)
        return found if found.any else None

    def _receiver(self, archived: Archived, found: DatabaseConnection, wanted: Wanted) -> WalReceiver:
        from integrations.postgres.wal_receiver import WalReceiver

        assert self.backups is not None  # noqa: S101 - nothing is received without a destination
        return WalReceiver(
            wanted.connection,
            self.programs,
            self._repository,
            self.backups.scratch,
            service=found.service,
            environment=found.environment.value,
            slot=found.slot,
            archived=archived,
            switch_s=wanted.switch_s,
        )

    @cached_property
    def measuring(self) -> DatabaseMeasuring | None:
        """None where no database is configured."""
        if not self._connections.databases:
            return None
        from integrations.postgres.measuring import DatabaseMeasuring

        return DatabaseMeasuring(
            {key: partial(connection_of, found, found.reader) for key, found in self._connections.databases.items()}
        )

    def _database(self, found: DatabaseConnection) -> PostgresDatabase:
        from integrations.postgres import PostgresDatabase

        assert self.backups is not None  # noqa: S101 - `databases` is empty without
        return PostgresDatabase(connection_of(found), self.programs, self._repository, self.backups.scratch)


def connection_of(found: DatabaseConnection, reader: DatabaseReader | None = None) -> PostgresConnection:
    """reader: in place of who makes backups. Raises Permanent where the password has no value now."""
    from integrations.postgres import PostgresConnection

    secret = reader.password if reader is not None else found.password
    return PostgresConnection(
        host=found.host,
        name=found.name,
        user=reader.user if reader is not None else found.user,
        password=secret.reveal() if secret is not None else "",
        port=found.port,
        sslmode=found.sslmode,
        sslrootcert=str(found.sslrootcert or ""),
    )


def provided_server(found: RestoreServer) -> ProvidedServer:
    """Raises Permanent where its password has no value now."""
    from integrations.postgres import PostgresConnection
    from integrations.postgres.provided import ProvidedServer

    connection = PostgresConnection(
        host=found.host,
        name=found.database,
        user=found.user,
        password=found.password.reveal() if found.password is not None else "",
        port=found.port,
        sslmode=found.sslmode,
        sslrootcert=str(found.sslrootcert or ""),
    )
    return ProvidedServer(connection, found.create_roles)


def signer_of(audit: AuditConnection) -> Signer:
    """Signs what is published of backups, and believes earlier keys. Raises ValueError and Permanent for a key that can't be used."""
    from cryptography.exceptions import InvalidSignature

    from integrations.backups import Signer
    from state.checkpoints import key_id, load_private_key

    known = known_keys(audit)

    def verify(text: bytes, signature: bytes) -> bool:
        for public in known:
            with contextlib.suppress(InvalidSignature):
                public.verify(signature, text)
                return True
        return False

    sign = load_private_key(audit.key.reveal()).sign
    return Signer(key=key_id(known[0]), sign=sign, verify=verify, known=frozenset(key_id(each) for each in known))


@dataclass(frozen=True, slots=True)
class _ReadAnew:
    """Fulfils `Database`: made for each call, with the password as it is then."""

    make: Callable[[], PostgresDatabase]

    async def look(self) -> ServerFacts:
        return await self.make().look()

    async def dump(self, order: BackupOrder, tell: Tell) -> Made:
        return await self.make().dump(order, tell)

    async def base_backup(self, order: BackupOrder, tell: Tell) -> Made:
        return await self.make().base_backup(order, tell)


class _Repositories:
    """The repository with the keys that are valid now."""

    def __init__(
        self, backups: BackupsConnection, signer: Callable[[], Signer], memory: Callable[[], RepositoryMemory | None]
    ) -> None:
        self._backups, self._signer, self._memory = backups, signer, memory
        self._options: dict[str, str] | None = None
        self._repository: Repository | None = None

    def current(self) -> Repository:
        """Raises Permanent where a key has no value."""
        from integrations.backups import Repository, RepositoryAddress

        options = _options(self._backups)
        if self._repository is None or options != self._options:
            address = RepositoryAddress(
                destination=self._backups.destination,
                recipients=self._backups.recipients,
                scratch=self._backups.scratch,
                identity_file=self._identity_file,
                options=options,
            )
            self._repository, self._options = Repository(address, self._signer(), self._memory()), options
        return self._repository

    @cached_property
    def _identity_file(self) -> Path | None:
        return identity_file(self._backups.identity)


def _options(backups: BackupsConnection) -> dict[str, str]:
    """obstore's, of S3; what is left out it takes from the surroundings."""
    s3 = backups.s3
    found = {
        "endpoint": s3.endpoint,
        "region": s3.region,
        "access_key_id": s3.access_key_id.reveal() if s3.access_key_id is not None else "",
        "secret_access_key": s3.secret_access_key.reveal() if s3.secret_access_key is not None else "",
    }
    return {name: value for name, value in found.items() if value}


def identity_file(identity: Secret | None) -> Path | None:
    """Where the private key can be read: its own file, else one in memory, which never reaches a disk where the system has such."""
    if identity is None or identity.file is not None:
        return None if identity is None else identity.file
    text = identity.reveal().encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("forge-identity")
        os.write(descriptor, text)
        return Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    descriptor, name = tempfile.mkstemp(prefix="forge-identity-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return Path(name)


class _Current:
    """Stands for the repository; each call goes to the one with the keys that are valid now."""

    def __init__(self, repositories: _Repositories) -> None:
        self._repositories = repositories

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repositories.current(), name)
