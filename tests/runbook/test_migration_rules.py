"""What the linter's findings mean for a declaration of migrations."""

from __future__ import annotations

import pytest

from runbook.jobs import JobTemplate, Migration, Migrations, Stage
from runbook.ports import LintFinding
from runbook.rules.migrations import DESTRUCTIVE, DOUBTFUL, INCOMPATIBLE, judge_migrations
from runbook.verdicts import Outcome, Verdict, decided

JOB = JobTemplate(workload="web")
SQL = "migrations/0042.sql"


def migration(
    name: str = "0042", stage: Stage = Stage.EXPAND, *, compatible: bool = True, sql: tuple[str, ...] = (SQL,)
) -> Migration:
    return Migration(name, stage, compatible, JOB, None if compatible else JOB, sql)


def finding(rule: str, line: int = 3, path: str = SQL) -> LintFinding:
    return LintFinding(path, line, rule, f"The words of {rule}.")


def judged(one: Migration, *rules: str) -> tuple[Verdict, ...]:
    return judge_migrations(Migrations((one,)), [finding(rule) for rule in rules])


def test_a_release_without_migrations_passes() -> None:
    (verdict,) = judge_migrations(Migrations())
    assert (verdict.outcome, verdict.code) == (Outcome.PASS, "migration.none")


def test_sql_without_findings_contradicts_nothing() -> None:
    (verdict,) = judged(migration())
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason == f"0042 is declared expand, backward compatible; nothing in {SQL} contradicts that"


def test_without_sql_the_declaration_alone_is_judged_and_that_is_said() -> None:
    (verdict,) = judged(migration(sql=()))
    assert verdict.outcome is Outcome.PASS
    assert "its declaration alone was judged" in verdict.reason


@pytest.mark.parametrize("rule", sorted(INCOMPATIBLE))
def test_what_takes_something_away_is_not_backward_compatible(rule: str) -> None:
    (verdict,) = judged(migration(), rule)
    assert (verdict.outcome, verdict.code, verdict.binding) == (Outcome.FAIL, "migration.contradicted", True)
    for words in ("0042", f"{SQL}:3", rule, f"The words of {rule}."):
        assert words in verdict.reason
    assert verdict.remedy
    assert verdict.evidence[0].value == rule


@pytest.mark.parametrize("rule", sorted(DESTRUCTIVE))
def test_what_loses_data_is_no_expand_migration_whatever_else_is_declared(rule: str) -> None:
    (verdict,) = judged(migration(compatible=False), rule)
    assert verdict.code == "migration.contradicted"
    assert "stage: contract" in verdict.remedy


@pytest.mark.parametrize("rule", sorted(INCOMPATIBLE - DESTRUCTIVE))
def test_an_incompatible_change_may_expand_when_it_is_declared(rule: str) -> None:
    (verdict,) = judged(migration(compatible=False), rule)
    assert verdict.outcome is Outcome.PASS
    assert verdict.evidence[0].value == "down Job"


def test_a_declaration_that_the_linter_sees_no_reason_for_is_believed() -> None:
    (verdict,) = judged(migration(compatible=False))
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("rule", sorted(INCOMPATIBLE))
def test_contract_migrations_take_away_by_their_definition(rule: str) -> None:
    (verdict,) = judged(migration(stage=Stage.CONTRACT, compatible=False), rule)
    assert verdict.outcome is Outcome.PASS
    assert "no deployment runs it" in verdict.reason


@pytest.mark.parametrize("rule", sorted(DOUBTFUL))
def test_what_only_may_disturb_is_shown_and_decides_nothing(rule: str) -> None:
    passed, shown = judged(migration(), rule)
    assert passed.outcome is Outcome.PASS
    assert (shown.outcome, shown.binding, shown.code) == (Outcome.FAIL, False, "migration.doubtful")
    assert rule in shown.reason
    assert decided((passed, shown)) is Outcome.PASS


def test_doubts_of_one_migration_are_one_verdict_with_each_rules_first_place() -> None:
    found = [finding(rule, line) for line in (1, 2) for rule in sorted(DOUBTFUL)]
    _, shown = judge_migrations(Migrations((migration(),)), found)
    assert len(shown.evidence) == len(DOUBTFUL)
    assert {evidence.source for evidence in shown.evidence} == {f"{SQL}:1"}
    assert f"{len(DOUBTFUL) - 5} more" in shown.reason


def test_a_rule_that_forge_does_not_know_decides_nothing() -> None:
    (verdict,) = judged(migration(), "prefer-something-new")
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("stage", list(Stage))
def test_what_is_no_sql_fails_in_either_stage(stage: Stage) -> None:
    (verdict,) = judged(migration(stage=stage, compatible=False), "syntax-error")
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "migration.sql_invalid")
    assert f"{SQL}:3" in verdict.reason


def test_a_missing_file_fails_with_its_path() -> None:
    (verdict,) = judge_migrations(Migrations((migration(),)), (), {SQL: "abc has no such file"})
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "migration.sql_missing")
    assert verdict.reason == f"0042 names {SQL} as its SQL, but abc has no such file"


def test_every_migration_speaks_for_itself() -> None:
    migrations = Migrations((migration("a", sql=("a.sql",)), migration("b", sql=("b.sql",)), migration("c", sql=())))
    verdicts = judge_migrations(migrations, [finding("ban-drop-table", path="b.sql")])
    assert [(v.gate, v.outcome) for v in verdicts] == [
        ("migration a", Outcome.PASS),
        ("migration b", Outcome.FAIL),
        ("migration c", Outcome.PASS),
    ]


def test_a_file_of_two_migrations_is_held_against_both() -> None:
    verdicts = judge_migrations(Migrations((migration("a"), migration("b"))), [finding("renaming-table")])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAIL, Outcome.FAIL]


def test_many_contradictions_are_counted_and_not_all_listed() -> None:
    found = [finding("ban-drop-column", line) for line in range(1, 30)]
    verdicts = judge_migrations(Migrations((migration(),)), found)
    assert len(verdicts) == 6
    assert "24 more" in verdicts[-1].reason


def test_the_classes_of_rules_do_not_overlap() -> None:
    assert DESTRUCTIVE < INCOMPATIBLE
    assert not INCOMPATIBLE & DOUBTFUL
