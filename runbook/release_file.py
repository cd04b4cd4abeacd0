"""The release file: a service's repository says at the tag which migrations the release brings. It is read at the commit, in bounds.

Whoever writes it can't name images: a Job runs what the service's workloads run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from pydantic import Field

from runbook.documents.forms import Section
from runbook.documents.job_sections import OWN_IMAGES, WORKLOADS, JobSection, MigrationSections
from runbook.documents.problems import ConfigurationError, Problem
from runbook.documents.translation import check
from runbook.documents.tree import read_tree
from runbook.errors import Permanent
from runbook.jobs import Migrations
from runbook.policy import Service
from runbook.ports import Ports
from runbook.rules.migrations import GATE, judge_migrations
from runbook.verdicts import Evidence, Verdict

LARGEST_BYTES = 64 * 1024
MANUAL = "docs/release-file.md"
CONFIGURATION = "forge.yaml"
_NO_TEXT = ("no_file", "no_text", "large_file")  # codes of `CodeHost.file`


class ReleaseFile(Section):
    """`.forge/release.yaml`."""

    migrations: MigrationSections = Field(default_factory=list, description="In the order they run.")
    verification: JobSection | None = Field(
        default=None, description="A Job that checks the data's integrity after the migrations."
    )


def parse_release_file(
    text: str, path: str, workloads: Collection[str] | None = None
) -> Migrations | tuple[Problem, ...]:
    """What the file declares, or every problem it has at once, each with line, key and remedy.

    path: for people, such as `.forge/release.yaml at 1a2b3c4d5e6f`. workloads: the service's, None: not checked.
    """
    context: dict[str, object] = {OWN_IMAGES: False}
    if workloads is not None:
        context[WORKLOADS] = frozenset(workloads)
    try:
        tree = read_tree(text, path, largest_bytes=LARGEST_BYTES)
        file, problems = check(tree, ReleaseFile, start=f"the example in {MANUAL}", manual=MANUAL, context=context)
        if file is None:
            raise ConfigurationError(problems)
    except ConfigurationError as error:
        return error.problems
    verification = None if file.verification is None else file.verification.template()
    return Migrations(tuple(section.migration() for section in file.migrations), verification, path)


async def look_at_migrations(
    ports: Ports, service: Service, commit: str
) -> tuple[Migrations | None, tuple[Verdict, ...]]:
    """What the release declares of its schema, with the verdicts on it; None when the declaration can't be used.

    The file at the commit counts; without one, what forge.yaml declares for the service. The file can't take a verification away that
    forge.yaml asks for. Raises `runbook.errors` when it could not ask.
    """
    declared, verdicts = await _declared(ports, service, commit)
    if declared is None:
        return None, verdicts
    paths = sorted({path for migration in declared.migrations for path in migration.sql})
    read = await asyncio.gather(*(_text(ports, service.repository, path, commit) for path in paths))
    files = {path: text for path, (text, _) in zip(paths, read, strict=True) if text is not None}
    absent = f"{commit[:12]} has no such file"
    unread = {path: why or absent for path, (_, why) in zip(paths, read, strict=True) if path not in files}
    findings = await ports.linter.lint(files) if files else ()
    return declared, (*verdicts, *judge_migrations(declared, findings, unread))


async def _text(ports: Ports, repository: str, path: str, commit: str) -> tuple[str | None, str]:
    """A file's text; None without words where there is no file, and with them where it is no text: a fact, and no failure to ask."""
    try:
        return await ports.code.file(repository, path, commit), ""
    except Permanent as error:
        if error.code.partition(".")[2] not in _NO_TEXT:
            raise
        return None, error.cause


async def _declared(ports: Ports, service: Service, commit: str) -> tuple[Migrations | None, tuple[Verdict, ...]]:
    path = service.release_file
    text, why = await _text(ports, service.repository, path, commit)
    if why:
        return None, (_unusable(Problem(path, 0, 0, "", why, f"{MANUAL} says what it may be"), commit),)
    if text is None:
        return Migrations(service.migrations, service.verification, CONFIGURATION), ()
    parsed = parse_release_file(text, path, [workload.name for workload in service.workloads])
    if not isinstance(parsed, Migrations):
        return None, tuple(_unusable(problem, commit) for problem in parsed)
    if parsed.verification is None and service.verification is not None:
        parsed = replace(parsed, verification=service.verification)
    if not service.migrations:
        return parsed, ()
    reason = f"{path} declares the migrations; the {len(service.migrations)} of {CONFIGURATION} don't count"
    return parsed, (Verdict.passed(GATE, reason, code="migration.file_counts"),)


def _unusable(problem: Problem, commit: str) -> Verdict:
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    what = f"{problem.path}: {problem.cause}" if problem.path else problem.cause
    remedy = f"{problem.remedy}. Then tag the next candidate" if problem.remedy else "Then tag the next candidate"
    evidence = Evidence(name="release file", value=problem.path or problem.file, source=f"{where} at {commit[:12]}")
    return Verdict.failed(GATE, "migration.file_invalid", f"{where}: {what}", evidence, remedy=remedy)
