"""The procedures, one file each. Their names stand in stored plans: a name is never reused or removed."""

from __future__ import annotations

from collections.abc import Mapping

from runbook.procedures.base import Continuation, Prepared, Procedure, Request
from runbook.procedures.return_to_previous import return_to_previous
from runbook.procedures.staging import staging
from runbook.values import Environment

PROCEDURES: Mapping[str, Procedure] = {"staging": staging}
"""Entered by a request, by name."""

CONTINUATIONS: Mapping[str, Continuation] = {"return_to_previous": return_to_previous}
"""Entered from a running plan, by name."""

_BY_ENVIRONMENT: Mapping[Environment, str] = {Environment.STAGING: "staging"}


def for_environment(environment: Environment | str) -> Procedure | None:
    """The procedure that `deploy` runs there; None where none is offered."""
    name = _BY_ENVIRONMENT.get(Environment(environment))
    return None if name is None else PROCEDURES[name]


__all__ = ["CONTINUATIONS", "PROCEDURES", "Continuation", "Prepared", "Procedure", "Request", "for_environment"]
