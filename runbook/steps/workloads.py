"""Steps on a service's Deployments: remember what runs, deploy by digest, bring the previous images back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runbook.plan import Work
from runbook.policy import Workload
from runbook.values import FrozenImage


@dataclass(frozen=True, kw_only=True)
class RememberImages(Work):
    """Records the images that run now as the fact `previous`: {workload: {container: image}}. A repeat keeps the first record.

    Nothing outside changes; it stands before the first effect so that there is always a way back.
    """

    kind: ClassVar[str] = "remember_images"
    workloads: tuple[Workload, ...]


@dataclass(frozen=True, kw_only=True)
class DeployWorkload(Work):
    """Sets one Deployment's image by digest and waits until every replica is updated and Available."""

    kind: ClassVar[str] = "deploy_workload"
    effect: ClassVar[bool] = True
    image: FrozenImage
    timeout_s: float
    trouble_within_s: float


@dataclass(frozen=True, kw_only=True)
class ReturnWorkload(Work):
    """Sets one Deployment back to the image that was remembered, and waits until it is Available."""

    kind: ClassVar[str] = "return_workload"
    effect: ClassVar[bool] = True
    workload: str
    images: tuple[tuple[str, str], ...]
    timeout_s: float
