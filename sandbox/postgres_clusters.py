"""New PostgreSQL clusters for tests and the sandbox. `initdb` is asked once for each build of PostgreSQL; what it made is kept in the user's
cache and copied.

Two clusters never pass for each other: each gets a system identifier of its own, as one of `initdb` has.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from sandbox.cache import cache_dir

USER: Final = "forge"
CLUSTER, PASSWORD = "data", "password"


def new_cluster(binaries: Path, data: Path, segment_mib: int) -> str:
    """Makes a cluster in `data`, which isn't there yet, and returns the password of its superuser `USER`.

    Everybody needs a password by scram, and text has the plain C order. segment_mib: the size of its WAL segments. Belongs to `nobody` where
    we are root. Raises RuntimeError.
    """
    with contextlib.ExitStack() as until_copied:
        try:
            kept = _kept(binaries)
        except OSError:  # no cache that we may write to
            kept = Path(until_copied.enter_context(tempfile.TemporaryDirectory(prefix="forge-pg-")))
            _make(binaries, kept)
        _run("cp", "-Rp", kept / CLUSTER, data)
        password = (kept / PASSWORD).read_text()
    _give_identity(data / "global" / "pg_control")
    # It takes over the identifier, and begins the log anew under it, in segments of this size.
    _run(binaries / "pg_resetwal", "-f", f"--wal-segsize={segment_mib}", data, **as_nobody())
    return password


def _kept(binaries: Path) -> Path:
    """Two processes may make it at once: each apart, and whoever is first gives the folder its name."""
    program = (binaries / "postgres").resolve()
    facts = program.stat()
    build = hashlib.sha256(f"{program} {facts.st_size} {facts.st_mtime_ns} {is_root()}".encode()).hexdigest()[:16]
    kept = cache_dir() / "postgres" / build
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="forge-pg-") as scratch:
        _make(binaries, Path(scratch))
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".making-") as beside:
            _run("cp", "-Rp", scratch, Path(beside) / build)
            try:
                (Path(beside) / build).rename(kept)
            except OSError:
                if not kept.is_dir():
                    raise
    return kept


def _make(binaries: Path, folder: Path) -> None:
    """folder: where `nobody` gets, as the user's cache is not."""
    secret = folder / PASSWORD
    secret.touch(0o600)
    secret.write_text(secrets.token_urlsafe(16))
    if is_root():
        for path in (folder, secret):
            os.chown(path, *nobody())
    options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
    data = folder / CLUSTER
    _run(binaries / "initdb", f"--pgdata={data}", f"--username={USER}", f"--pwfile={secret}", *options, **as_nobody())
    _run(binaries / "pg_resetwal", "--wal-segsize=1", data, **as_nobody())  # little to copy


def _give_identity(control: Path) -> None:
    """The identifier is its first field, made as `initdb` makes it: of seconds and something below.

    Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_control.h
    """
    made = (int(time.time()) << 32) | secrets.randbits(32)
    with control.open("r+b") as file:
        file.write(made.to_bytes(8, sys.byteorder))


def _run(*command: Any, **more: Any) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd="/", **more)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def is_root() -> bool:
    return os.geteuid() == 0


def nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if not is_root():
        return {}
    user, group = nobody()
    return {"user": user, "group": group, "extra_groups": []}
