"""Text files of a repository as they are at one commit. What a full SHA names never changes, so an answer is kept.

Source: docs.github.com/rest/repos/contents: beyond 1 MB the answer comes without its content.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from integrations.github.calls import SYSTEM, GitHubCalls, Shape, checked_sha
from integrations.http_calls import garbage
from runbook.errors import Permanent

LARGEST_BYTES = 1024 * 1024
_KEPT_FILES = 200
_KEPT_BYTES = 8 * 1024 * 1024

_KINDS = {
    "dir": "a folder",
    "symlink": "a symbolic link that leads to no file of the repository",
    "submodule": "a submodule",
}

_TOO_LARGE = "too large"  # from 100 MB on GitHub answers 403: "The requested blob is too large to fetch via the API …"

Key = tuple[str, str, str]


class Contents:
    """Files by repository, path and commit."""

    def __init__(self, calls: GitHubCalls) -> None:
        self._calls = calls
        self._kept: OrderedDict[Key, str | None] = OrderedDict()

    async def file(self, repository: str, path: str, commit: str) -> str | None:
        """See `CodeHost.file`. Raises Permanent("no_commit") for a commit that the repository doesn't have: no file is another thing."""
        key = (repository, checked_path(path), checked_sha(commit))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = await self._asked(repository, path, commit)
        if found is None:
            await self._require_commit(repository, commit)
        text = None if found is None else self._text(found, path)
        self._keep(key, text)
        return text

    async def _asked(self, repository: str, path: str, commit: str) -> Any:
        try:
            return await self._calls.get_or_none(repository, f"contents/{quote(path)}?ref={commit}")
        except Permanent as error:
            if error.code == "github.forbidden" and _TOO_LARGE in error.cause:
                raise _large(path) from error
            raise

    async def _require_commit(self, repository: str, commit: str) -> None:
        if await self._calls.get_or_none(repository, f"git/commits/{commit}") is not None:
            return
        await self._calls.require_repository(repository)
        cause = f"{repository} has no commit {commit[:12]}"
        raise Permanent(SYSTEM, "no_commit", cause, "Check that the commit was pushed to this repository")

    def _text(self, found: Any, path: str) -> str:
        kind = "dir" if isinstance(found, list) else found.get("type") if isinstance(found, dict) else None
        if kind in _KINDS:
            raise Permanent(
                SYSTEM, "no_file", f"{path} is {_KINDS[kind]}, not a file", "Name a file of this repository"
            )
        with Shape(self._calls.where, "file"):
            size, encoding, content = found["size"], found["encoding"], found["content"]
            if size > LARGEST_BYTES or encoding == "none":
                raise _large(path)
        try:
            body = base64.b64decode(content)
        except (binascii.Error, TypeError) as error:
            raise garbage(SYSTEM, self._calls.where, "file in base64") from error
        if len(body) > LARGEST_BYTES:
            raise _large(path)
        return _decoded(body, path)

    def _keep(self, key: Key, text: str | None) -> None:
        self._kept[key] = text
        while len(self._kept) > _KEPT_FILES or sum(len(kept or "") for kept in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)


def _large(path: str) -> Permanent:
    cause = f"{path} is larger than {LARGEST_BYTES // 1024} KiB"
    return Permanent(SYSTEM, "large_file", cause, "Split it: forge reads small text files alone")


def checked_path(path: str) -> str:
    """Raises Permanent for what could leave the repository's tree or the address."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(ord(sign) < 32 or sign == "\\" for sign in path):
        remedy = "Write the path from the repository's root, such as `migrations/0042.sql`"
        raise Permanent(SYSTEM, "bad_path", f"{path[:200]!r} is no path in a repository", remedy)
    return path


def _decoded(content: bytes, path: str) -> str:
    """Without a byte order mark, which is no part of the text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Permanent(SYSTEM, "no_text", f"{path} is no text in UTF-8", "Save it as UTF-8 text, or name another file")
    return text
