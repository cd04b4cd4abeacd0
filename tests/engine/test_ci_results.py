"""Results of other CI systems in the ledger, on SQLite and on a real PostgreSQL: the newest of each name counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engine import ci_results as module
from engine.ci_results import LedgerCiResults, TooMany
from engine.records import CiResult, Sealed
from runbook.ports import CiCheck
from runbook.verdicts import Outcome
from state.store import SqlStore
from tests.fakes.clock import NOON
from tests.runbook.asking_ci import asked
from tests.runbook.fakes import COMMIT, SERVICE

RESULT = CiResult(
    repository="acme/shop", commit=COMMIT, name="build", state="pending", url="https://ci.example/7", at=NOON, received_at=NOON
)  # fmt: skip


def later(seconds: float, **changes: str) -> CiResult:
    moment = NOON + timedelta(seconds=seconds)
    return replace(RESULT, at=moment, received_at=moment, **changes)


def audited(store: SqlStore) -> list[Sealed]:
    return store.read_now(lambda ledger: [each for each in ledger.find(Sealed) if each.action == "ci.received"])


async def test_what_was_told_is_found_by_repository_and_commit(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    await results.keep(RESULT, timed=False)
    await results.keep(replace(RESULT, name="lint", state="success"), timed=False)
    assert await results.results("acme/shop", COMMIT) == (
        CiCheck("build", "pending", "https://ci.example/7"),
        CiCheck("lint", "success", "https://ci.example/7"),
    )
    assert await results.results("acme/other", COMMIT) == ()
    assert await results.results("acme/shop", "d" * 40) == ()


async def test_each_one_that_changes_something_is_audited(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    await results.keep(RESULT, timed=False)
    await results.keep(later(5, state="success"), timed=False)
    first, second = audited(store)
    assert (first.actor, first.subject, first.what) == ("webhook:ci", f"acme/shop@{COMMIT}", "build: pending")
    assert second.evidence["state"] == "success"


async def test_a_repeated_one_changes_nothing(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    assert await results.keep(RESULT, timed=True) is not None
    assert await results.keep(replace(RESULT, received_at=NOON + timedelta(hours=1)), timed=True) is None
    assert await results.keep(later(60), timed=False) is None
    assert len(audited(store)) == 1


async def test_a_newer_one_takes_the_place_of_an_older_one(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    for seconds, state in ((0, "pending"), (5, "failure"), (9, "pending"), (12, "success")):
        assert await results.keep(later(seconds, state=state), timed=True) is not None
        (check,) = await results.results("acme/shop", COMMIT)
        assert check.state == state


async def test_what_overtook_another_stays(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    await results.keep(later(10, state="failure"), timed=True)
    assert await results.keep(later(5, state="success"), timed=True) is None
    (check,) = await results.results("acme/shop", COMMIT)
    assert check.state == "failure"


async def test_of_two_of_the_same_moment_the_one_that_came_last_counts(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    await results.keep(RESULT, timed=True)
    await results.keep(replace(RESULT, state="success"), timed=True)
    (check,) = await results.results("acme/shop", COMMIT)
    assert check.state == "success"


async def test_a_commit_has_no_endless_number_of_results(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    results = LedgerCiResults(store)
    await results.keep(RESULT, timed=False)
    await results.keep(replace(RESULT, name="lint"), timed=False)
    with pytest.raises(TooMany):
        await results.keep(replace(RESULT, name="e2e"), timed=False)
    assert await results.keep(later(9, state="success"), timed=False) is not None


async def test_the_gate_judges_them_beside_githubs_checks(store: SqlStore) -> None:
    results = LedgerCiResults(store)
    (verdict,) = await asked([CiCheck("unit", "success")], results)
    assert verdict.outcome is Outcome.PASS
    await results.keep(replace(RESULT, repository=SERVICE.repository), timed=False)
    (verdict,) = await asked([CiCheck("unit", "success")], results)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "ci.pending")
