"""How a PostgreSQL server is reached: by libpq's own words, with the password in files that only forge's user can read.

A password never gets into an argument, the environment of a child, an error or a representation.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runbook.errors import Permanent

SYSTEM: Final = "postgres"
ENCRYPTED_MODES: Final = ("require", "verify-ca", "verify-full")
MODES: Final = ("disable", "allow", "prefer", *ENCRYPTED_MODES)
CONNECT_TIMEOUT_S: Final = 10
_SERVICE: Final = "forge"

_PREFIX: Final = "connection-"
_LOCK: Final = "lock"
BASE_PREFIX: Final = "base-"
PREFIXES: Final = (_PREFIX, BASE_PREFIX)
"""Of the folders that `folder_of_ours` makes."""

_MAKING_S: Final = 1.0
"""A folder has its lock within microseconds."""

_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where distributions keep the authorities that a machine trusts."""

_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "TZDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of forge's own environment, what its children get: none of its tokens, and none of libpq's variables."""


@dataclass(frozen=True, slots=True)
class PostgresConnection:
    """One database of one server, as one user. host: a name, an address, or the folder of a Unix socket (begins with `/`).

    sslrootcert: file with the certificates that may have signed the server's; empty or `system`: those that this machine trusts. Raises
    Permanent("postgres.insecure") for a connection below `sslmode=require`, other than to this very machine, and
    Permanent("postgres.settings") for what can't be written into libpq's files.
    """

    host: str
    name: str
    user: str
    password: str = field(default="", repr=False)
    port: int = 5432
    sslmode: str = "verify-full"
    sslrootcert: str = ""

    def __post_init__(self) -> None:
        texts = (self.host, self.name, self.user, self.password, self.sslrootcert)
        if any(mark in text for text in texts for mark in "\r\n\0") or self.sslmode not in MODES or not self.name:
            cause = f"the settings of the database {self.name!r} can't be used"
            raise Permanent(
                SYSTEM, "settings", cause, f"No value may have a line break; sslmode is one of {', '.join(MODES)}"
            )
        if self.sslmode not in ENCRYPTED_MODES and not self.local:
            cause = f"the connection to {self.where} would not have to be encrypted (sslmode={self.sslmode})"
            raise Permanent(SYSTEM, "insecure", cause, "Use sslmode: require or, better, verify-full")

    @property
    def local(self) -> bool:
        """The server is on this machine: a Unix socket or loopback, every host of a list."""
        return all(_is_local(host) for host in self.host.split(","))

    @property
    def encrypted(self) -> bool:
        """The client insists on TLS."""
        return self.sslmode in ENCRYPTED_MODES

    @property
    def where(self) -> str:
        """For people: without any secret."""
        return f"{self.name} at {self.host or 'the local socket'}:{self.port}"

    def parameters(self) -> dict[str, str]:
        """libpq's keywords, without the password."""
        words = {
            "host": self.host,
            "port": str(self.port),
            "dbname": self.name,
            "user": self.user,
            "sslmode": self.sslmode,
            "sslrootcert": self._authorities(),
            "connect_timeout": str(CONNECT_TIMEOUT_S),
            "application_name": "forge",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "60000",
        }
        return {word: value for word, value in words.items() if value}

    def _authorities(self) -> str:
        """libpq knows `system` since 16 only, and else looks into a home that children haven't got."""
        if self.sslmode not in ("verify-ca", "verify-full") or self.sslrootcert not in ("", "system"):
            return self.sslrootcert
        own = ssl.get_default_verify_paths().cafile
        return next((path for path in (own, *_BUNDLES) if path and Path(path).is_file()), self.sslrootcert)


@dataclass(frozen=True, slots=True)
class ConnectionFiles:
    """A connection as files for child processes. folder: theirs alone, 0700, for as long as the block lasts."""

    folder: Path
    service_file: Path
    password_file: Path

    @property
    def target(self) -> str:
        """What goes into `--dbname=`."""
        return f"service={_SERVICE}"

    def environment(self, options: str = "") -> dict[str, str]:
        """All of a child's environment. options: PGOPTIONS, such as `-c lock_timeout=60s`."""
        words = {
            "PGSERVICEFILE": str(self.service_file),
            "PGPASSFILE": str(self.password_file),
            "PGOPTIONS": options,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        return {**plain_environment(), **{word: value for word, value in words.items() if value}}


def plain_environment() -> dict[str, str]:
    """What any PostgreSQL program gets of our environment, with messages in English."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "LC_ALL": "C"}


@contextlib.contextmanager
def connection_files(
    connection: PostgresConnection, scratch: Path, extra: Mapping[str, str] | None = None
) -> Iterator[ConnectionFiles]:
    """The connection in a service file and a password file (0600) below scratch; wiped at the end, and after a crash by whoever is next.

    extra: more of libpq's keywords.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(folder_of_ours(scratch, _PREFIX))
        lines = [f"{word}={value}" for word, value in {**connection.parameters(), **(extra or {})}.items()]
        service = _written(folder / "service.conf", "\n".join((f"[{_SERVICE}]", *lines, "")))
        # A database's name isn't named in it: pg_basebackup asks for "replication".
        secret = connection.password.replace("\\", "\\\\").replace(":", "\\:")
        passwords = _written(folder / "passwords", f"*:*:*:*:{secret}\n" if secret else "")
        yield ConnectionFiles(folder, service, passwords)


@contextlib.contextmanager
def folder_of_ours(scratch: Path, prefix: str) -> Iterator[Path]:
    """A new folder below scratch (0700), wiped at the end, and after a crash by whoever makes the next one of this prefix."""
    sweep(made_private(scratch), prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=scratch))
    with contextlib.ExitStack() as stack:
        stack.callback(_wipe, folder)
        stack.enter_context(_held(folder))
        yield folder


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Locks the folder's lock file; the lock ends with this process, however that ends. The file gets its name when it is locked."""
    handle = os.open(folder / f"{_LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (folder / f"{_LOCK}.new").rename(folder / _LOCK)
        yield
    finally:
        os.close(handle)


def sweep(scratch: Path, prefix: str = "") -> None:
    """Removes folders of `folder_of_ours` whose process is gone. One that has no lock was being made, or removed, when its process was killed."""
    for folder in (found for known in PREFIXES if known.startswith(prefix) for found in scratch.glob(f"{known}*")):
        with contextlib.suppress(OSError):  # it was just removed
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime > _MAKING_S:
                _wipe(folder)
    for lock in scratch.glob(f"{prefix}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # it is held, or was just removed
            handle = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _wipe(lock.parent)
            finally:
                os.close(handle)


def _wipe(folder: Path) -> None:
    """The lock last: whoever is killed in between leaves a folder that the next sweep knows."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK:
            with contextlib.suppress(OSError):
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def made_private(folder: Path) -> Path:
    """The folder, made where it isn't there, for forge's user alone. Raises Permanent("postgres.scratch")."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        cause = f"the scratch folder {folder} can't be used: {error.strerror}"
        raise Permanent(SYSTEM, "scratch", cause, "Make it a folder of forge's own user") from None
    return folder


def _written(path: Path, text: str) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _is_local(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
