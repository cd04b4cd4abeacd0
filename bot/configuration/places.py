"""Where files are when nobody says otherwise. Cheap to import: the command line needs it before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def config_path(environ: Mapping[str, str]) -> Path:
    """`FORGE_CONFIG`, else `forge.yaml` in the current folder."""
    return Path(environ.get("FORGE_CONFIG") or "forge.yaml")


def data_dir(environ: Mapping[str, str]) -> Path:
    """`FORGE_DATA_DIR`, else the user's data folder by the platform's convention."""
    if named := environ.get("FORGE_DATA_DIR"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("forge", appauthor=False)


def database_url(environ: Mapping[str, str], folder: Path) -> str:
    """`FORGE_DATABASE_URL`, else SQLite in the data folder. May carry a password: never print it."""
    return environ.get("FORGE_DATABASE_URL") or f"sqlite:///{folder / 'forge.db'}"


def socket_path(environ: Mapping[str, str]) -> Path:
    """Where the command line reaches the running bot."""
    return data_dir(environ) / "forge.sock"
