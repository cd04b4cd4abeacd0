"""The release file: a service's repository says at the tag which migrations the release brings. It is read at the commit, in bounds.

Whoever writes it can't name images: a Job runs what the service's workloads run.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from runbook.documents.forms import Section
from runbook.documents.job_sections import OWN_IMAGES, WORKLOADS, JobSection, MigrationSections
from runbook.documents.problems import ConfigurationError, Problem
from runbook.documents.translation import check
from runbook.documents.tree import read_tree
from runbook.jobs import Migrations
from runbook.policy import Service
from runbook.ports import Ports
from runbook.verdicts import Verdict

LARGEST_BYTES = 64 * 1024
MANUAL = "docs/release-file.md"


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

    The file at the commit counts; without one, what forge.yaml declares for the service. Raises `runbook.errors` when it could not ask.
    """
    text = await ports.code.file(service.repository, service.release_file, commit)
    if text is None:
        return Migrations(service.migrations, service.verification, "forge.yaml"), ()
    parsed = parse_release_file(text, service.release_file, [workload.name for workload in service.workloads])
    if not isinstance(parsed, Migrations):
        failed = [Verdict.failed("migrations", "migration.file", str(problem)) for problem in parsed]
        return None, tuple(failed)
    return parsed, ()
