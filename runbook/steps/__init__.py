"""The vocabulary of plans, one file per family. Importing it registers every kind."""

from runbook.steps.backups import (
    ApplyRetention,
    CheckDestination,
    ConfirmBackup,
    DiscardBackup,
    MakeBackup,
    PublishBackup,
)
from runbook.steps.calm import ChangeWindowOpen, NoFreeze, NoOpenIncident
from runbook.steps.canary import CanaryRatio
from runbook.steps.completion import NoSustainedAlert, PhasesPassed
from runbook.steps.control import (
    Announce,
    Approval,
    Checklist,
    Choice,
    Item,
    Option,
    RecordDecision,
    Replan,
    UpdateIncident,
)
from runbook.steps.dev_validation import CalmAcross, DevValidated, ErrorRate, SmokePassed
from runbook.steps.dividing import Divided, TrafficDividable, divided
from runbook.steps.finals import FinalTag
from runbook.steps.gates import CandidateTag, CiGreen, Deployable, Gate, SteadyState
from runbook.steps.job_running import JobWork
from runbook.steps.jobs import MeasurePerformance, Migrate, RunSuite, StopJobs, VerifyMigrations
from runbook.steps.key_metrics import DependencyTimeouts, KeyMetrics
from runbook.steps.marking import MarkValidated
from runbook.steps.observations import Observe, SmokeTest
from runbook.steps.people import LeftToPeople
from runbook.steps.phase import (
    EndpointsReady,
    ErrorBudgetBurn,
    PhaseErrors,
    PhaseLatency,
    PhaseSample,
    Saturation,
)
from runbook.steps.pod_logs import CleanLogs
from runbook.steps.promotion import AutomatedTests, Migrated, PerformanceKept
from runbook.steps.readiness import ApproversReachable, OnCallAvailable, RecentBackup, ReleaseNotes, RollbackPlan
from runbook.steps.restore_jobs import RestoreJob, Sanitise, SwitchTraffic
from runbook.steps.restores import (
    CheckRecoverable,
    DropInstance,
    FetchBackup,
    PostRestoreChecks,
    ProvisionInstance,
    RecordDrill,
    RecordSignOff,
    ReleaseBackup,
    RestoreBackup,
)
from runbook.steps.running import RunsHere
from runbook.steps.scans import CleanScan
from runbook.steps.traffic import RememberSizes, RemoveCanary, ReturnTraffic, ShiftTraffic, StartCanary, TakeOver
from runbook.steps.workloads import DeployWorkload, RememberImages, ReturnWorkload

__all__ = [
    "Announce",
    "ApplyRetention",
    "Approval",
    "ApproversReachable",
    "AutomatedTests",
    "CalmAcross",
    "CanaryRatio",
    "CandidateTag",
    "ChangeWindowOpen",
    "CheckDestination",
    "CheckRecoverable",
    "Checklist",
    "Choice",
    "CiGreen",
    "CleanLogs",
    "CleanScan",
    "ConfirmBackup",
    "DependencyTimeouts",
    "DeployWorkload",
    "Deployable",
    "DevValidated",
    "DiscardBackup",
    "Divided",
    "DropInstance",
    "EndpointsReady",
    "ErrorBudgetBurn",
    "ErrorRate",
    "FetchBackup",
    "FinalTag",
    "Gate",
    "Item",
    "JobWork",
    "KeyMetrics",
    "LeftToPeople",
    "MakeBackup",
    "MarkValidated",
    "MeasurePerformance",
    "Migrate",
    "Migrated",
    "NoFreeze",
    "NoOpenIncident",
    "NoSustainedAlert",
    "Observe",
    "OnCallAvailable",
    "Option",
    "PerformanceKept",
    "PhaseErrors",
    "PhaseLatency",
    "PhaseSample",
    "PhasesPassed",
    "PostRestoreChecks",
    "ProvisionInstance",
    "PublishBackup",
    "RecentBackup",
    "RecordDecision",
    "RecordDrill",
    "RecordSignOff",
    "ReleaseBackup",
    "ReleaseNotes",
    "RememberImages",
    "RememberSizes",
    "RemoveCanary",
    "Replan",
    "RestoreBackup",
    "RestoreJob",
    "ReturnTraffic",
    "ReturnWorkload",
    "RollbackPlan",
    "RunSuite",
    "RunsHere",
    "Sanitise",
    "Saturation",
    "ShiftTraffic",
    "SmokePassed",
    "SmokeTest",
    "StartCanary",
    "SteadyState",
    "StopJobs",
    "SwitchTraffic",
    "TakeOver",
    "TrafficDividable",
    "UpdateIncident",
    "VerifyMigrations",
    "divided",
]
