"""CI as GitHub and other systems tell it together: neither alone opens the gate, and what can't be read is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runbook.errors import Permanent, StoreUnavailable, Temporary
from runbook.ports import CiCheck
from runbook.verdicts import Outcome
from tests.runbook.asking_ci import asked
from tests.runbook.fakes import COMMIT, SERVICE

GREEN, RED, PENDING = CiCheck("unit", "success"), CiCheck("build", "failure"), CiCheck("build", "pending")


@dataclass
class Told:
    """Fulfils `CiResults`."""

    checks: Sequence[CiCheck] = ()
    error: Exception | None = None

    async def results(self, repository: str, commit: str) -> Sequence[CiCheck]:
        assert (repository, commit) == (SERVICE.repository, COMMIT)
        if self.error is not None:
            raise self.error
        return self.checks


@pytest.mark.parametrize(
    ("github", "told", "required", "outcome", "code"),
    [
        ([GREEN], [], (), Outcome.PASS, "ok"),
        ([], [GREEN], (), Outcome.PASS, "ok"),
        ([], [], (), Outcome.NO_DATA, "ci.none"),
        ([GREEN], [RED], (), Outcome.FAIL, "ci.red"),
        ([RED], [GREEN], (), Outcome.FAIL, "ci.red"),
        ([GREEN], [PENDING], (), Outcome.NO_DATA, "ci.pending"),
        ([GREEN], [CiCheck("build", "success")], ("unit", "build"), Outcome.PASS, "ok"),
        ([GREEN], [], ("unit", "build"), Outcome.NO_DATA, "ci.required_missing"),
        ([CiCheck("build", "success")], [RED], ("build",), Outcome.FAIL, "ci.red"),
        ([RED], [CiCheck("build", "success")], ("build",), Outcome.FAIL, "ci.red"),
        ([GREEN], [RED], ("unit",), Outcome.PASS, "ok"),
    ],
)
async def test_both_sides_are_judged_together(
    github: list[CiCheck], told: list[CiCheck], required: tuple[str, ...], outcome: Outcome, code: str
) -> None:
    (verdict,) = await asked(github, Told(told), required)
    assert (verdict.outcome, verdict.code) == (outcome, code)


async def test_without_other_ci_systems_githubs_checks_decide() -> None:
    (verdict,) = await asked([GREEN], None)
    assert verdict.outcome is Outcome.PASS


async def test_results_that_cant_be_read_are_an_error_and_never_a_pass() -> None:
    (verdict,) = await asked([GREEN], Told(error=StoreUnavailable("io", "the disk is gone")))
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, "store.ci_results")
    assert "the disk is gone" in verdict.reason


@pytest.mark.parametrize("kind", [Temporary, Permanent])
async def test_a_github_that_cant_be_asked_is_an_error_whatever_others_say(kind: Any) -> None:
    (verdict,) = await asked([], Told([GREEN]), error=kind("github", "down", "GitHub doesn't answer"))
    assert verdict.outcome is Outcome.ERROR


async def test_the_statuses_that_forge_sets_itself_dont_count() -> None:
    own = CiCheck("forge/dev-validated", "failure")
    (verdict,) = await asked([GREEN, own], None)
    assert verdict.outcome is Outcome.PASS
    (verdict,) = await asked([replace(own, state="success")], None)
    assert verdict.code == "ci.none"
