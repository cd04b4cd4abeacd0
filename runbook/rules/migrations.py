"""Whether a release's declaration of its migrations can be true. Runbook: Staging Deployment 3, Rollback Procedure 3 and 4.

The linter can contradict a declaration and never prove it: SQL that says nothing against it is no promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbook.jobs import Migration, Migrations, Stage
from runbook.ports import LintFinding
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing, shortened

GATE = "migrations"
_SHOWN = 5

SYNTAX_ERROR = "syntax-error"

# Names of squawk's rules (2.70). What each finds is in its own words, which the verdict quotes.
DESTRUCTIVE = frozenset(
    {"ban-drop-column", "ban-drop-database", "ban-drop-schema", "ban-drop-table", "ban-truncate-cascade"}
)
"""Data is lost: no `down` brings it back. An expand migration is non-destructive by its definition."""

INCOMPATIBLE = DESTRUCTIVE | {
    "adding-not-nullable-field",
    "adding-required-field",
    "ban-drop-domain",
    "ban-drop-extension",
    "ban-drop-function",
    "ban-drop-sequence",
    "ban-drop-type",
    "ban-drop-view",
    "ban-set-schema",
    "changing-column-type",
    "renaming-column",
    "renaming-object",
    "renaming-table",
}
"""The version that ran before reads or writes something that isn't there any more, or not in this form."""

DOUBTFUL = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-serial-primary-key-field",
        "ban-alter-domain-with-add-constraint",
        "ban-alter-extension",
        "ban-alter-generated-expression",
        "ban-alter-identity",
        "ban-alter-policy-condition",
        "ban-alter-policy-roles",
        "ban-alter-row-level-security",
        "ban-create-domain-with-constraint",
        "ban-create-policy",
        "ban-detach-inheritance",
        "ban-drop-constraint",
        "ban-drop-default",
        "ban-drop-generated-expression",
        "ban-drop-not-null",
        "ban-drop-policy",
        "ban-new-write-restriction",
        "ban-replace-view-function",
        "ban-revoke",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "require-lock-timeout",
        "require-statement-timeout",
        "require-timeout-settings",
    }
)
"""Locks that stop traffic, and changes that may or may not concern the version before: shown, and decide nothing."""

_DECLARE = (
    "Declare it `backward_compatible: false` with a `down` Job, or split it: add what is new now (expand), "
    "take away what is old in a later release (contract)"
)
_SPLIT = (
    "Move it into a migration with `stage: contract`, in a release after the last version that needs what it takes away"
)


def judge_migrations(
    migrations: Migrations, findings: Sequence[LintFinding] = (), unread: Mapping[str, str] | None = None
) -> tuple[Verdict, ...]:
    """At least one verdict on every migration; one that passes where nothing contradicts it.

    findings: the linter's, of all SQL files together. unread: declared SQL files without SQL, path -> why, in words.
    """
    if not migrations.migrations:
        return (Verdict.passed(GATE, "the release declares no migrations", code="migration.none"),)
    found = []
    for migration in migrations.migrations:
        own = [finding for finding in findings if finding.path in migration.sql]
        against = [*_unread(migration, unread or {}), *_invalid(migration, own), *_contradicted(migration, own)]
        found += against or [_uncontradicted(migration)]
        found += _doubts(migration, own)
    return tuple(found)


def _gate(migration: Migration) -> str:
    return f"migration {migration.name}"


def _unread(migration: Migration, unread: Mapping[str, str]) -> Iterator[Verdict]:
    for path in migration.sql:
        if path in unread:
            evidence = Evidence(name="file", value=None, source=path)
            reason = f"{migration.name} names {path} as its SQL, but {unread[path]}"
            remedy = "Correct the path (from the repository's root), or commit the file"
            yield Verdict.failed(_gate(migration), "migration.sql_missing", reason, evidence, remedy=remedy)


def _invalid(migration: Migration, findings: Sequence[LintFinding]) -> Iterator[Verdict]:
    wrong = [finding for finding in findings if finding.rule == SYNTAX_ERROR]
    remedy = "Correct it; where it is no plain PostgreSQL (a template, psql's own commands), take the file out of `sql`"
    for finding in wrong[:_SHOWN]:
        reason = f"{migration.name}: {_place(finding)} can't be read as SQL: {finding.message}"
        yield Verdict.failed(_gate(migration), "migration.sql_invalid", reason, _evidence(finding), remedy=remedy)


def _contradicted(migration: Migration, findings: Sequence[LintFinding]) -> Iterator[Verdict]:
    """Contract migrations take away by their definition, and no deployment runs them."""
    if migration.stage is not Stage.EXPAND:
        return
    against = [finding for finding in findings if _contradicts(migration, finding)]
    for finding in against[:_SHOWN]:
        destroys = finding.rule in DESTRUCTIVE
        claim = "an expand migration, which takes nothing away," if destroys else "backward compatible,"
        reason = f"{migration.name} is declared {claim} but {_place(finding)} breaks {finding.rule}: {finding.message}"
        remedy = _SPLIT if destroys else _DECLARE
        yield Verdict.failed(_gate(migration), "migration.contradicted", reason, _evidence(finding), remedy=remedy)
    if len(against) > _SHOWN:
        reason = f"{migration.name}: {len(against) - _SHOWN} more findings contradict what it is declared to be"
        yield Verdict.failed(_gate(migration), "migration.contradicted", reason, remedy=_DECLARE)


def _contradicts(migration: Migration, finding: LintFinding) -> bool:
    return finding.rule in (INCOMPATIBLE if migration.backward_compatible else DESTRUCTIVE)


def _uncontradicted(migration: Migration) -> Verdict:
    declared = "backward compatible" if migration.backward_compatible else "not backward compatible"
    reason = f"{migration.name} is declared {migration.stage.value}, {declared}"
    if migration.stage is Stage.CONTRACT:
        reason += "; no deployment runs it"
    if migration.sql:
        reason += f"; nothing in {listing(migration.sql)} contradicts that"
    else:
        reason += "; it names no SQL, so that its declaration alone was judged"
    way_back = "the schema stays" if migration.backward_compatible else "down Job" if migration.down else "none"
    evidence = Evidence(name="way back", value=way_back, source=migration.name)
    return Verdict.passed(_gate(migration), reason, evidence)


def _doubts(migration: Migration, findings: Sequence[LintFinding]) -> Iterator[Verdict]:
    """One verdict for all of them, the first place of each rule: it is read by people, and binds nobody."""
    first: dict[str, LintFinding] = {}
    for finding in findings:
        if finding.rule in DOUBTFUL:
            first.setdefault(finding.rule, finding)
    if not first:
        return
    shown = list(first.values())[:_SHOWN]
    words = [f"{_place(finding)} {finding.rule}: {shortened(finding.message, 160)}" for finding in shown]
    if more := len(first) - len(shown):
        words.append(f"{more} more")
    yield Verdict(
        gate=_gate(migration),
        outcome=Outcome.FAIL,
        code="migration.doubtful",
        reason=f"{migration.name} may lock tables or disturb the version that runs: {listing(words)}",
        evidence=tuple(_evidence(finding) for finding in first.values()),
        remedy="Consider the linter's advice; it decides nothing",
        binding=False,
    )


def _place(finding: LintFinding) -> str:
    return f"{finding.path}:{finding.line}"


def _evidence(finding: LintFinding) -> Evidence:
    return Evidence(name="rule", value=finding.rule, source=_place(finding))
