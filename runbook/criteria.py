"""Runbook: Promotion Criteria Summary, as data: the gates, `/forge plan` and `forge runbook` read this one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from runbook.verdicts import Verdict


class Promotion(StrEnum):
    """The table's columns: to staging, and to production."""

    TO_STAGING = "to_staging"
    TO_PROD = "to_prod"


class Weight(StrEnum):
    """REQUIRED decides. RECOMMENDED is looked at and shown. OPTIONAL counts where it is configured."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row. name: `ci`, `smoke`, `suites`, `performance`, `scan`, `approvals`. words: what a column adds, such as who approves."""

    name: str
    title: str
    to_staging: Weight
    to_prod: Weight
    staging_words: str = ""
    prod_words: str = ""

    def weight(self, promotion: Promotion) -> Weight:
        return self.to_staging if promotion is Promotion.TO_STAGING else self.to_prod

    def words(self, promotion: Promotion) -> str:
        """`Required`, `Required: no critical findings`."""
        more = self.staging_words if promotion is Promotion.TO_STAGING else self.prod_words
        weight = self.weight(promotion).value.capitalize()
        return f"{weight}: {more}" if more else weight


_R, _M, _O = Weight.REQUIRED, Weight.RECOMMENDED, Weight.OPTIONAL

DEFAULT_CRITERIA = (
    Criterion("ci", "CI status", _R, _R, "green", "green"),
    Criterion("smoke", "Smoke tests", _R, _R),
    Criterion("suites", "Integration/E2E", _O, _R, "for early dev; the candidate's own suites are required to go on"),
    Criterion("performance", "Performance baseline", _M, _R),
    Criterion("scan", "Security scan", _M, _R, "", "no critical findings"),
    Criterion("approvals", "Manual approvals", _R, _R, "Service Owner", "Service Owner and Product/Operations"),
)
"""The runbook's table."""


def criterion(criteria: tuple[Criterion, ...], name: str) -> Criterion:
    """Raises KeyError for a name that no row has."""
    found = next((each for each in criteria if each.name == name), None)
    if found is None:
        raise KeyError(name)
    return found


def weighed(verdicts: tuple[Verdict, ...], weight: Weight) -> tuple[Verdict, ...]:
    """The verdicts as a criterion of this weight counts them: only what is required binds."""
    if weight is Weight.REQUIRED:
        return verdicts
    return tuple(replace(verdict, binding=False) for verdict in verdicts)
