"""Finds the real Prometheus and Alertmanager, or unpacks Debian's packages into a cache, without root.

It never installs anything on the system and never runs a package's scripts.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.cache import cache_dir

# package -> our name of a program -> what it is called on a PATH (upstream's name, Debian's name)
PROGRAMS: dict[str, dict[str, tuple[str, ...]]] = {
    "prometheus": {"prometheus": ("prometheus",), "promtool": ("promtool",)},
    "prometheus-alertmanager": {"alertmanager": ("prometheus-alertmanager", "alertmanager")},
}
# Debian's Alertmanager opens its templates there, whatever it is told. A path of the same length, relative to the
# folder it is unpacked in, lets our copy start where nobody may write to /usr/share.
SYSTEM_TEMPLATES = b"/usr/share/prometheus/alertmanager"
LOCAL_TEMPLATES = b"usr/share/prometheus/alertmanager/"
DOWNLOAD_TIMEOUT_S = 180


class ProgramMissing(RuntimeError):
    """It is not on the PATH and can't be unpacked; the message names the remedy in one line."""


def find_or_unpack(package: str) -> dict[str, Path]:
    """The programs of `prometheus` (prometheus, promtool) or `prometheus-alertmanager` (alertmanager) by name.

    The PATH first, then the cache, then Debian's package; blocks while it downloads. Two processes may do this at
    once: each unpacks apart, and whoever is first gives the folder its name. Raises ProgramMissing.
    """
    on_path = _on_path(package)
    if on_path is not None:
        return on_path
    root = cache_dir() / "packages" / package
    if not root.is_dir():
        _unpack(package, root)
    found = _inside(package, root)
    if found is None:
        raise ProgramMissing(f"{root} is incomplete; remedy: rm -r {root} and try again")
    return found


def _on_path(package: str) -> dict[str, Path] | None:
    found = {}
    for program, names in PROGRAMS[package].items():
        path = next((path for name in names if (path := shutil.which(name))), None)
        if path is None:
            return None
        found[program] = Path(path).resolve()
    return found


def _inside(package: str, root: Path) -> dict[str, Path] | None:
    found = {}
    for program, names in PROGRAMS[package].items():
        path = next((root / "usr/bin" / name for name in names if (root / "usr/bin" / name).is_file()), None)
        if path is None:
            return None
        found[program] = path
    return found


def _unpack(package: str, root: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ProgramMissing(f"{package} is not on the PATH; remedy: install it and put its programs there")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{package}-") as scratch:
        work = Path(scratch)
        archive = _download(package, work)
        _run(["dpkg", "-x", str(archive), str(work / "root")], package, work)
        if package == "prometheus-alertmanager":
            _relocate_templates(work / "root/usr/bin/prometheus-alertmanager")
        try:
            (work / "root").rename(root)
        except OSError:
            # somebody else was first; what they unpacked is the same
            if not root.is_dir():
                raise


def _download(package: str, work: Path) -> Path:
    """With the system's package lists; where there are none yet, with lists of our own, which needs no root."""
    try:
        _run(["apt-get", "-q", "download", package], package, work)
    except ProgramMissing:
        (work / "state/lists/partial").mkdir(parents=True)
        (work / "cache/archives/partial").mkdir(parents=True)
        own = ["-o", f"Dir::State::Lists={work}/state/lists", "-o", f"Dir::Cache={work}/cache"]
        own += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
        _run(["apt-get", "-q", *own, "update"], package, work)
        _run(["apt-get", "-q", *own, "download", package], package, work)
    return next(work.glob(f"{package}_*.deb"))


def _run(command: list[str], package: str, cwd: Path) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)  # noqa: S603 - fixed words and a package's name of ours
    except subprocess.TimeoutExpired as late:
        raise ProgramMissing(_remedy(package, f"{command[0]} took over {DOWNLOAD_TIMEOUT_S} s")) from late
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ProgramMissing(_remedy(package, last))


def _remedy(package: str, reason: str) -> str:
    return f"{package} is not on the PATH and could not be unpacked ({reason}); remedy: apt-get install {package}"


def _relocate_templates(program: Path) -> None:
    program.write_bytes(program.read_bytes().replace(SYSTEM_TEMPLATES, LOCAL_TEMPLATES))
