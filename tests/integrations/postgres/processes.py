"""Which processes run, told apart by what they were called with."""

from __future__ import annotations

from pathlib import Path


def children(program: str, mention: str) -> list[int]:
    """Processes of this program that have the text among their arguments."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if Path(words[0]).name == program and any(mention in word for word in words):
                found.append(int(folder.name))
    return found
