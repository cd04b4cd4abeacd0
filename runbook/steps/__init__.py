"""The vocabulary of plans, one file per family. Importing it registers every kind."""

from runbook.steps.control import Announce, Approval, Choice, Option, RecordDecision, Replan
from runbook.steps.gates import CandidateTag, CiGreen, Deployable, Gate, SteadyState
from runbook.steps.jobs import JobWork, MeasurePerformance, Migrate, RunSuite, StopJobs, VerifyMigrations
from runbook.steps.observations import Observe, SmokeTest
from runbook.steps.scans import CleanScan
from runbook.steps.workloads import DeployWorkload, RememberImages, ReturnWorkload

__all__ = [
    "Announce",
    "Approval",
    "CandidateTag",
    "Choice",
    "CiGreen",
    "CleanScan",
    "DeployWorkload",
    "Deployable",
    "Gate",
    "JobWork",
    "MeasurePerformance",
    "Migrate",
    "Observe",
    "Option",
    "RecordDecision",
    "RememberImages",
    "Replan",
    "ReturnWorkload",
    "RunSuite",
    "SmokeTest",
    "SteadyState",
    "StopJobs",
    "VerifyMigrations",
]
