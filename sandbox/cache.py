"""Where the sandbox keeps what is slow to make: programs that it unpacked, PostgreSQL clusters to copy. Nothing there is needed again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """`FORGE_CACHE_DIR`, or the user's cache folder for forge."""
    return Path(os.environ.get("FORGE_CACHE_DIR") or platformdirs.user_cache_dir("forge"))
