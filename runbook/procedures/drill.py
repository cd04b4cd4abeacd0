"""Runbook: Backup Policy, "Weekly restore drill in non-production environment": a restore from beginning to end, apart from everything else,
timed, on record, and destroyed afterwards.

It never touches the database that runs. What it restores may hold customers' data: the instance goes, whatever becomes of the drill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.plan import CONTINUE, STOP, Plan, procedure
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.restoring import Restorable, check_step, look_at_backup, restore_steps
from runbook.steps import Approval, DropInstance, RecordDrill, RecordSignOff
from runbook.steps.restores import SIGN_OFF
from runbook.values import Environment, Role

NAME = "drill"
END = "end_drill"
LABEL = "restore drill"


async def drill(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Of the newest restorable backup, or of what `backup` and `at` name. Without a plan the refusal says what is missing."""
    what, verdict = await look_at_backup(request, request.environment, ports)
    if what is None:
        return Prepared(None, (verdict,))
    return Prepared(drill_plan(request.service, request.environment, what, setting), (verdict,))


def drill_plan(service: str, environment: Environment, what: Restorable, setting: Setting) -> Plan:
    """Pure: equal arguments give equal plans. Nobody's missing sign-off makes a drill fail that has passed."""
    back = procedure(END)
    checks = setting.services[service].restore_checks
    return Plan(
        procedure=NAME,
        service=service,
        environment=environment,
        version=LABEL,
        nodes=(
            check_step(service, what, on_fail=STOP, drill=True),
            *restore_steps(service, what, checks, on_fail=back, serving=False),
            _record(service, environment, on_fail=back),
            _drop(service, on_fail=back),
            Approval(
                title="Sign off the drill",
                roles=(Role.DATABASE_OWNER,),
                expires_s=setting.policy.backups.sign_off_s,
                purpose=SIGN_OFF,
                on_fail=CONTINUE,
            ),
            RecordSignOff(title="Record the sign-off", service=service, source=environment, on_fail=CONTINUE),
        ),
        about=dict(what.about or {}),
    )


def end_drill(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """The way back from a drill that failed or was aborted: on record as failed, and its instance gone. One that passed stays passed."""
    return Plan(
        procedure=END,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=(_record(left.service, left.environment, on_fail=CONTINUE), _drop(left.service, on_fail=CONTINUE)),
        about=left.about,
    )


def _record(service: str, environment: Environment, *, on_fail: str) -> RecordDrill:
    return RecordDrill(
        title="Record the drill and its recovery time", service=service, source=environment, on_fail=on_fail
    )


def _drop(service: str, *, on_fail: str) -> DropInstance:
    return DropInstance(title="Drop the instance and wipe the scratch space", service=service, on_fail=on_fail)
