"""The procedures, one file each. Their names stand in stored plans: a name is never reused or removed."""

from __future__ import annotations

from collections.abc import Mapping

from runbook.procedures.backup import BACKUP, BASE_BACKUP, DISCARD, backup, base_backup, discard_backup
from runbook.procedures.base import Continuation, Prepared, Procedure, Request
from runbook.procedures.contract import contract
from runbook.procedures.dev import dev
from runbook.procedures.drill import END, drill, end_drill
from runbook.procedures.production import production
from runbook.procedures.restore import ABANDON, abandon_restore
from runbook.procedures.restore import restore as restore_database
from runbook.procedures.return_to_previous import return_to_previous
from runbook.procedures.rollback import DOWN, KEEP, RESTORE, keep_schema, restore, rollback, undo_schema
from runbook.procedures.rollback_release import rollback_release
from runbook.procedures.staging import staging

PROCEDURES: Mapping[str, Procedure] = {
    "dev": dev,
    "staging": staging,
    "contract": contract,
    "prod": production,
    "rollback": rollback_release,
    BACKUP: backup,
    BASE_BACKUP: base_backup,
    "drill": drill,
    "restore": restore_database,
}
"""Entered by a request, by name. `deploy` runs the one that is named as the environment."""

CONTINUATIONS: Mapping[str, Continuation] = {
    "return_to_previous": return_to_previous,
    "rollback": rollback,
    KEEP: keep_schema,
    DOWN: undo_schema,
    RESTORE: restore,
    DISCARD: discard_backup,
    END: end_drill,
    ABANDON: abandon_restore,
}
"""Entered from a running plan, by name."""

WAYS_BACK: Mapping[str, str] = {
    "prod": "rollback",
    BACKUP: DISCARD,
    BASE_BACKUP: DISCARD,
    "drill": END,
    "restore": ABANDON,
}
"""Which continuation leads back from which procedure; by default `return_to_previous`."""

__all__ = ["CONTINUATIONS", "PROCEDURES", "WAYS_BACK", "Continuation", "Prepared", "Procedure", "Request"]
