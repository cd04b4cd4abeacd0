"""Which candidate a commit's go belongs to, and what runs in production, from the recorded results."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from engine.memory import LedgerMemory
from engine.ports import Ledger
from engine.records import Decision
from runbook.plan import to_json
from runbook.values import Environment, Release
from state.store import SqlStore
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import COMMIT, RELEASE

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
RC1, RC2 = replace(RELEASE, version="v1.4.0-rc.1"), replace(RELEASE, version="v1.4.0-rc.2")
FINAL, NEXT = replace(RELEASE, version="v1.4.0"), replace(RELEASE, version="v1.5.0", commit="d" * 40)


async def told(store: SqlStore, *results: tuple[Release, str], environment: str = "staging") -> LedgerMemory:
    """results: in order of time, a minute apart."""

    def keep(ledger: Ledger) -> None:
        for place, (release, result) in enumerate(results, 1):
            row = Decision(
                run=f"{environment}-{place}", service="shop", environment=environment, version=release.version,
                result=result, release=to_json(release), approvers=[], at=START + timedelta(minutes=place),
            )  # fmt: skip
            ledger.add(row)

    await store.write(keep)
    return LedgerMemory(store, SimulatedClock())


async def test_the_go_of_a_commit_is_found(store: SqlStore) -> None:
    memory = await told(store, (RC2, "go"), (NEXT, "go"))
    assert await memory.go_for("shop", COMMIT) == RC2
    assert await memory.go_for("shop", "e" * 40) is None
    assert await memory.go_for("other", COMMIT) is None


async def test_the_newest_go_of_a_commit_wins(store: SqlStore) -> None:
    memory = await told(store, (RC1, "go"), (RC2, "go"))
    assert await memory.go_for("shop", COMMIT) == RC2


async def test_a_newer_no_go_of_the_same_candidate_takes_its_go_away(store: SqlStore) -> None:
    memory = await told(store, (RC2, "go"), (RC2, "no_go"))
    assert await memory.go_for("shop", COMMIT) is None


async def test_a_go_after_a_no_go_counts(store: SqlStore) -> None:
    memory = await told(store, (RC2, "no_go"), (RC2, "go"))
    assert await memory.go_for("shop", COMMIT) == RC2


async def test_another_candidates_no_go_on_the_same_commit_takes_nothing_away(store: SqlStore) -> None:
    memory = await told(store, (RC1, "go"), (RC2, "no_go"))
    assert await memory.go_for("shop", COMMIT) == RC1


async def test_contractions_say_nothing_of_a_go(store: SqlStore) -> None:
    memory = await told(store, (RC2, "go"), (RC2, "not_contracted"))
    assert await memory.go_for("shop", COMMIT) == RC2


async def test_a_go_in_another_environment_is_no_go_in_staging(store: SqlStore) -> None:
    memory = await told(store, (RC2, "go"), environment="dev")
    assert await memory.go_for("shop", COMMIT) is None


async def test_what_was_released_and_not_rolled_back_runs_in_production(store: SqlStore) -> None:
    memory = await told(store, (FINAL, "released"), (NEXT, "released"), environment="prod")
    assert await memory.last_go("shop", Environment.PROD) == NEXT
    assert await memory.last_go("shop", Environment.STAGING) is None


async def test_after_a_rollback_the_release_before_runs_again(store: SqlStore) -> None:
    memory = await told(store, (FINAL, "released"), (NEXT, "released"), (NEXT, "rolled_back"), environment="prod")
    assert await memory.last_go("shop", Environment.PROD) == FINAL
