"""The rows that the engine keeps: a run's position is data, and there is no second truth beside it.

Each record is a frozen dataclass whose fields are its table's columns (`state.schema` has the tables); change one by `dataclasses.replace`
and save it in the same transaction as its audit entry. JSON fields hold only JSON values. All times are aware UTC.
"""

from engine.records.asking import Button, Click, Override, Prompt, Tick
from engine.records.audit import Entry, Sealed
from engine.records.databases import BackupRow, DrillRow, WalRow
from engine.records.json_values import Json
from engine.records.letters import CiResult, Delivery, Outgoing, Posted, Received, ScanRow
from engine.records.runs import Decision, Ending, Run, RunChanges, RunState, Segment, StepRow, StepState
from engine.records.standing import FreezeRow, IncidentRow, Lock, Mark, SeenTag

__all__ = [
    "BackupRow",
    "Button",
    "CiResult",
    "Click",
    "Decision",
    "Delivery",
    "DrillRow",
    "Ending",
    "Entry",
    "FreezeRow",
    "IncidentRow",
    "Json",
    "Lock",
    "Mark",
    "Outgoing",
    "Override",
    "Posted",
    "Prompt",
    "Received",
    "Record",
    "Run",
    "RunChanges",
    "RunState",
    "ScanRow",
    "Sealed",
    "SeenTag",
    "Segment",
    "StepRow",
    "StepState",
    "Tick",
    "WalRow",
]

Record = (
    Run
    | Segment
    | StepRow
    | Click
    | Button
    | Received
    | Outgoing
    | Posted
    | Lock
    | SeenTag
    | Mark
    | Decision
    | ScanRow
    | IncidentRow
    | FreezeRow
    | Prompt
    | Tick
    | Override
    | BackupRow
    | DrillRow
    | WalRow
    | Delivery
    | CiResult
    | RunChanges
)
"""What `Ledger.add`, `save`, `get` and `find` take; `Sealed` is written through `Ledger.audit` alone."""
