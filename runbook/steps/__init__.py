"""The vocabulary of plans, one file per family. Importing it registers every kind."""

from runbook.steps.control import Announce, Approval, Choice, Option, RecordDecision, Replan
from runbook.steps.gates import CandidateTag, CiGreen, Deployable, Gate, SteadyState
from runbook.steps.job_running import JobWork
from runbook.steps.jobs import MeasurePerformance, Migrate, RunSuite, StopJobs, VerifyMigrations
from runbook.steps.key_metrics import DependencyTimeouts, KeyMetrics
from runbook.steps.observations import Observe, SmokeTest
from runbook.steps.people import LeftToPeople
from runbook.steps.promotion import AutomatedTests, Migrated, PerformanceKept
from runbook.steps.running import RunsHere
from runbook.steps.scans import CleanScan
from runbook.steps.workloads import DeployWorkload, RememberImages, ReturnWorkload

__all__ = [
    "Announce",
    "Approval",
    "AutomatedTests",
    "CandidateTag",
    "Choice",
    "CiGreen",
    "CleanScan",
    "DependencyTimeouts",
    "DeployWorkload",
    "Deployable",
    "Gate",
    "JobWork",
    "KeyMetrics",
    "LeftToPeople",
    "MeasurePerformance",
    "Migrate",
    "Migrated",
    "Observe",
    "Option",
    "PerformanceKept",
    "RecordDecision",
    "RememberImages",
    "Replan",
    "ReturnWorkload",
    "RunSuite",
    "RunsHere",
    "SmokeTest",
    "SteadyState",
    "StopJobs",
    "VerifyMigrations",
]
