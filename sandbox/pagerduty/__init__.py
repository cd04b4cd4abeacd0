"""PagerDuty's on-call schedules for tests and the sandbox."""

from sandbox.pagerduty.server import LocalPagerDuty

__all__ = ["LocalPagerDuty"]
