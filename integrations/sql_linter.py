"""squawk, the linter for PostgreSQL migrations, as a bounded process. It reads temporary copies alone and never the network.

What the linted files say about the linter (`squawk-ignore`) doesn't count: whoever writes a migration can't silence it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from integrations.programs import Finished, run_program
from runbook.errors import Permanent, Temporary
from runbook.ports import LintFinding

SYSTEM = "linter"
LARGEST_BYTES = 4 * 1024 * 1024
_KEPT_FILES = 500
_MOST_OF_A_RULE = 20  # in one file; never fewer rules
_REMEDY = "Install it into forge's environment: pip install squawk-cli==2.70.0"

# Off by default in squawk: what may change for the version that runs already.
INCLUDED = (
    "ban-alter-extension",
    "ban-alter-identity",
    "ban-alter-policy-condition",
    "ban-alter-policy-roles",
    "ban-alter-row-level-security",
    "ban-create-policy",
    "ban-detach-inheritance",
    "ban-drop-default",
    "ban-drop-domain",
    "ban-drop-extension",
    "ban-drop-generated-expression",
    "ban-drop-policy",
    "ban-drop-sequence",
    "ban-new-write-restriction",
    "ban-replace-view-function",
    "ban-revoke",
)
# Taste, and what depends on whether the migration tool opens a transaction.
EXCLUDED = (
    "ban-char-field",
    "ban-concurrent-index-creation-in-transaction",
    "ban-uncommitted-transaction",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-enum-value-ordering",
    "transaction-nesting",
)
_SILENCER = re.compile(r"squawk-(?=ignore)", re.IGNORECASE)

Finding = tuple[int, str, str, str]
"""Line from 1, rule, message, help."""


class SquawkLinter:
    """Fulfils `runbook.ports.SqlLinter`. Equal content is linted once."""

    def __init__(self, program: str = "", *, timeout_s: float = 20.0) -> None:
        """program: its path; empty: beside this Python, else on the PATH."""
        self._program = program
        self._timeout_s = timeout_s
        self._kept: OrderedDict[str, tuple[Finding, ...]] = OrderedDict()

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        """See the port. Raises Temporary("timeout"), and Temporary("killed") when the system ended the process."""
        keys = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
        unknown = {key: files[path] for path, key in keys.items() if key not in self._kept}
        known = {key: self._kept[key] for key in keys.values() if key in self._kept}
        if unknown:
            size = sum(len(text.encode()) for text in unknown.values())
            if size > LARGEST_BYTES:
                cause = f"the migrations' SQL has {size} bytes, more than {LARGEST_BYTES}"
                raise Permanent(SYSTEM, "too_large", cause, "Keep data out of migrations, or lint fewer files")
            fresh = await self._linted(unknown)
            self._keep(fresh)
            known |= fresh
        return tuple(LintFinding(path, *finding) for path, key in keys.items() for finding in known[key])

    async def _linted(self, texts: Mapping[str, str]) -> dict[str, tuple[Finding, ...]]:
        with tempfile.TemporaryDirectory(prefix="forge-sql-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            await asyncio.to_thread(_write, folder, texts)
            finished = await self._run(folder, [f"{key}.sql" for key in texts])
        return _parsed(finished, texts)

    async def _run(self, folder: Path, names: Sequence[str]) -> Finished:
        program = self._program or _found()
        finished = await run_program(
            SYSTEM,
            [
                program,
                "--reporter=json",
                f"--config={folder / 'squawk.toml'}",
                *(f"--include={rule}" for rule in INCLUDED),
                *(f"--exclude={rule}" for rule in EXCLUDED),
                *(str(folder / name) for name in names),
            ],
            remedy=_REMEDY,
            timeout_s=self._timeout_s,
            # In a workflow it would print annotations for GitHub among its output.
            environment={"SQUAWK_DISABLE_GITHUB_ANNOTATIONS": "1", "RUST_BACKTRACE": "0"},
        )
        if finished.code < 0:
            cause = f"squawk was ended by the signal {-finished.code}"
            raise Temporary(SYSTEM, "killed", cause, "Look at the memory that forge may use")
        return finished

    def _keep(self, fresh: Mapping[str, tuple[Finding, ...]]) -> None:
        self._kept.update(fresh)
        while len(self._kept) > _KEPT_FILES:
            self._kept.popitem(last=False)


def _found() -> str:
    beside = Path(sys.executable).parent / "squawk"
    return str(beside) if beside.exists() else "squawk"


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """folder: closed to others (mkdtemp: 0700). Names are hashes: nothing of a path in a repository reaches the disk."""
    (folder / "squawk.toml").write_text("", encoding="utf-8")  # else it looks for one in the current folder and above
    for key, text in texts.items():
        (folder / f"{key}.sql").write_text(_SILENCER.sub("squawk_", text), encoding="utf-8", newline="")


def _parsed(finished: Finished, asked: Iterable[str]) -> dict[str, tuple[Finding, ...]]:
    """Exit codes: 0 nothing found; 1 something found, or it could not do its work, and then there is no JSON."""
    found: dict[str, list[Finding]] = {key: [] for key in asked}
    seen: Counter[tuple[str, str]] = Counter()
    try:
        listed = json.loads(finished.output) if finished.code in (0, 1) else None
        for each in listed if isinstance(listed, list) else _no_list():
            key, finding = Path(each["file"]).stem, _finding(each)
            seen[key, finding[1]] += 1
            if seen[key, finding[1]] <= _MOST_OF_A_RULE:
                found[key].append(finding)
    except (ValueError, KeyError, TypeError) as error:
        words = finished.errors.decode(errors="replace").strip().splitlines()
        detail = f": {words[0][:200]}" if words else ""
        cause = f"squawk gave no findings but the exit code {finished.code}{detail}"
        raise Permanent(SYSTEM, "garbage", cause, _REMEDY) from error
    return {key: tuple(findings) for key, findings in found.items()}


def _no_list() -> NoReturn:
    raise TypeError("no list")


def _finding(each: Mapping[str, Any]) -> Finding:
    """squawk counts lines from 0."""
    return int(each["line"]) + 1, str(each["rule_name"]), str(each["message"]), str(each.get("help") or "")
