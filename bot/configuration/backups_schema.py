"""The form of `policy.backups` in forge.yaml. Runbook: Backup Policy; keeping less than it says is refused here."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.window_schema import check_zone
from runbook.documents.forms import Section
from runbook.durations import Duration, duration_text
from runbook.policy import RETENTION_S, BackupsPolicy
from runbook.recurrence import BadRule, check_rule
from runbook.values import Environment

_BOOK = BackupsPolicy()
_SHORTEST_SWITCH_S = 1.0


def _check_schedule(rule: str) -> str:
    try:
        if rule:
            check_rule(rule)
    except BadRule as error:
        raise PydanticCustomError("rrule", "{cause}", {"cause": error.cause, "remedy": error.remedy}) from None
    return rule


Schedule = Annotated[str, StringConstraints(max_length=500), AfterValidator(_check_schedule)]


class Retention(Section):
    """How long a backup is kept after it was finished; never less than the runbook says."""

    dev: Duration = Field(default=RETENTION_S[Environment.DEV], description="In dev; at least 7d.")
    staging: Duration = Field(default=RETENTION_S[Environment.STAGING], description="In staging; at least 14d.")
    prod: Duration = Field(default=RETENTION_S[Environment.PROD], description="In prod; at least 35d.")

    @model_validator(mode="after")
    def _as_the_runbook_says(self) -> Retention:
        for env, seconds in self.by_environment().items():
            least = RETENTION_S[env]
            if seconds < least:
                cause = f"{env} would keep backups for {duration_text(seconds)}, less than the runbook's {duration_text(least)}"
                remedy = f"Write {env}: {duration_text(least)} or more, or remove it"
                raise PydanticCustomError("retention", "{cause}", {"cause": cause, "remedy": remedy})
        return self

    def by_environment(self) -> dict[Environment, float]:
        """Seconds."""
        return {Environment.DEV: self.dev, Environment.STAGING: self.staging, Environment.PROD: self.prod}


class Backups(Section):
    full: Schedule = Field(
        default=_BOOK.full,
        description="When a full logical backup begins, a recurrence rule (RFC 5545); empty: never by itself.",
    )
    base: Schedule = Field(
        default=_BOOK.base,
        description="When a physical base backup begins, of databases whose WAL is received; empty: never.",
    )
    drill: Schedule = Field(default=_BOOK.drill, description="When a restore drill begins; empty: never by itself.")
    time_zone: Annotated[str, AfterValidator(check_zone)] = Field(
        default=_BOOK.time_zone, description="The IANA time zone of these rules, such as `Europe/Berlin`."
    )
    retention: Retention = Field(default=Retention(), description="How long backups are kept.")
    wal_switch: Annotated[Duration, Field(ge=_SHORTEST_SWITCH_S)] = Field(
        default=_BOOK.wal_switch_s,
        description="At most so much time between two WAL segments of a database that isn't idle.",
    )
    missed_after: Duration = Field(
        default=_BOOK.missed_after_s, description="What was due so long ago and has not begun counts as missed."
    )
    sign_off: Duration = Field(
        default=_BOOK.sign_off_s, description="How long the Database Owner has to sign a restore or drill off."
    )

    def policy(self) -> BackupsPolicy:
        return BackupsPolicy(
            full=self.full,
            base=self.base,
            drill=self.drill,
            time_zone=self.time_zone,
            retention_s=self.retention.by_environment(),
            wal_switch_s=self.wal_switch,
            missed_after_s=self.missed_after,
            sign_off_s=self.sign_off,
        )
