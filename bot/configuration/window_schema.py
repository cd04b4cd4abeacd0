"""The form of `policy.prod.windows` in forge.yaml. What can't be used is refused here, at its key, and not when somebody wants to release."""

from __future__ import annotations

from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from runbook.documents.forms import Section
from runbook.documents.problems import suggest
from runbook.durations import Duration
from runbook.policy import DAY_S, ChangeWindow
from runbook.recurrence import BadRule, check_rule, exists, local_time
from runbook.rules.change_windows import ALWAYS

_DEFAULT = ChangeWindow("")
LONGEST_S = 31 * DAY_S

WindowName = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Local = Annotated[str, StringConstraints(max_length=40)]
Rule = Annotated[str, StringConstraints(max_length=500)]


def check_zone(name: str) -> str:
    """The name of an IANA time zone. Raises PydanticCustomError."""
    known = available_timezones()
    if name not in known:
        remedy = suggest(name, known) if "/" in name else "Write an IANA zone, such as Europe/Berlin or UTC"
        raise PydanticCustomError("zone", "{cause}", {"cause": f"{name} is no time zone", "remedy": remedy})
    return name


def _refusal(kind: str, error: BadRule) -> PydanticCustomError:
    return PydanticCustomError(kind, "{cause}", {"cause": error.cause, "remedy": error.remedy})


class ChangeWindowSection(Section):
    """One window: by `rrule` and `duration`, or dated by `starts` and `ends`."""

    name: WindowName = Field(description="What people read: `weekdays`.")
    zone: Annotated[str, AfterValidator(check_zone)] = Field(
        default=_DEFAULT.zone, description="The IANA time zone of its times, such as `Europe/Berlin`."
    )
    starts: Local = Field(
        default="",
        description="A dated window's beginning, local: `2026-12-12T09:00`. Beside `rrule`: from when the rule counts.",
    )
    ends: Local = Field(default="", description="A dated window's end, local.")
    rrule: Rule = Field(
        default="",
        description="When it opens, as a recurrence rule (RFC 5545), such as `FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9`; "
        "without BYHOUR at midnight.",
    )
    duration: Annotated[Duration, Field(le=LONGEST_S)] = Field(
        default=_DEFAULT.duration_s,
        description="How long it stays open each time. Whole days are days of the calendar, also when clocks change.",
    )

    @field_validator("starts", "ends")
    @classmethod
    def _a_local_time(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        try:
            local = local_time(value)
        except BadRule as error:
            raise _refusal("local_time", error) from None
        zone = info.data.get("zone")
        if zone and not exists(local, ZoneInfo(zone)):
            cause = f"{value} doesn't exist in {zone}: clocks are put forward over it"
            raise PydanticCustomError("local_time", "{cause}", {"cause": cause, "remedy": "Write a time that exists"})
        return value

    @field_validator("rrule")
    @classmethod
    def _a_rule(cls, value: str, info: ValidationInfo) -> str:
        try:
            if value:
                check_rule(value, info.data.get("starts") or "")
        except BadRule as error:
            raise _refusal("rrule", error) from None
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.rrule and self.ends:
            remedy = "Write UNTIL=… in the rule, or leave the rule out"
            raise PydanticCustomError("window", "a window with a rule has no `ends`", {"remedy": remedy})
        if not self.rrule and not (self.starts and self.ends):
            remedy = f"Write rrule and duration, or starts and ends. At any time: {ALWAYS}"
            raise PydanticCustomError("window", "the window doesn't say when it is open", {"remedy": remedy})
        if not self.rrule and local_time(self.starts) >= local_time(self.ends):
            raise PydanticCustomError("window", "the window ends before it starts", {"remedy": "Swap starts and ends"})
        if not self.rrule and "duration" in self.model_fields_set:
            remedy = "Leave `duration` out: a dated window lasts until `ends`"
            raise PydanticCustomError("window", "a dated window has no duration", {"remedy": remedy})
        return self

    def window(self) -> ChangeWindow:
        return ChangeWindow(self.name, self.zone, self.rrule, self.duration, self.starts, self.ends)


def check_names(windows: list[ChangeWindowSection]) -> list[ChangeWindowSection]:
    names = [window.name for window in windows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        cause = f"two windows are called {twice}"
        raise PydanticCustomError("windows", "{cause}", {"cause": cause, "remedy": "Give each a name of its own"})
    return windows


ChangeWindows = Annotated[list[ChangeWindowSection], Field(max_length=50), AfterValidator(check_names)]
