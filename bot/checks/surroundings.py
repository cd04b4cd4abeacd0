"""What must be right around a service: clusters and rights, workloads and probes, repository, registry. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from bot.adapters import Adapters
from bot.checks.findings import Finding, fail, of_error, ok, warn
from runbook.errors import ForgeError
from runbook.policy import HealthPaths, Service, Setting
from runbook.ports import Cluster, ContainerSpec
from runbook.values import Environment

ROUTED = ("httproutes.gateway.networking.k8s.io", "services")
"""What only workloads need whose traffic moves by a route."""


async def check_cluster(env: Environment, cluster: Cluster, setting: Setting) -> AsyncIterator[Finding]:
    """Reachable, with the rights that forge needs, and every workload as the configuration says."""
    name = f"{env}.kubernetes"
    routed = any(w.traffic == "route" for service in setting.services.values() for w in service.workloads)
    missing = [right for right in await cluster.missing_rights() if routed or right.split()[1] not in ROUTED]
    if missing:
        files = "deploy/environment.yaml" + (" and deploy/production.yaml" if env is Environment.PROD else "")
        remedy = f"Apply {files} in the namespace of {env}"
        yield fail(name, f"forge may not {', '.join(missing)}", remedy)
    else:
        yield ok(name, "the cluster answers, and forge has the rights it needs")
    for service in setting.services.values():
        if env in service.urls:
            async for finding in _workloads(f"{env}.{service.name}", cluster, service):
                yield finding


async def _workloads(name: str, cluster: Cluster, service: Service) -> AsyncIterator[Finding]:
    for workload in service.workloads:
        try:
            found = await cluster.deployment(workload.name)
        except ForgeError as error:
            yield of_error(name, error)
            continue
        if found is None:
            yield fail(
                name, f"there is no Deployment {workload.name}", "Create it, or correct `workloads` and the namespace"
            )
            continue
        container = next((c for c in found.containers if c.name == workload.container), None)
        if container is None:
            there = ", ".join(c.name for c in found.containers)
            yield fail(name, f"{workload.name} has no container {workload.container}", f"It has: {there}")
            continue
        if found.owner:
            remedy = "Let forge set the image, or take the workload out of the configuration"
            yield fail(name, f"{found.owner} owns the image of {workload.name}", remedy)
        problems = list(wrong_probes(container, service.health))
        for text, remedy in problems:
            yield fail(name, f"{workload.name}: {text}", remedy)
        if not problems:
            yield ok(name, f"{workload.name} runs {container.image} with the configured probes")


def wrong_probes(container: ContainerSpec, paths: HealthPaths) -> Iterator[tuple[str, str]]:
    """What differs from the configured paths, with the remedy. Runbook: Required Endpoints."""
    wanted = (
        ("livenessProbe", container.live_path, paths.live),
        ("readinessProbe", container.ready_path, paths.ready),
    )
    for probe, found, path in wanted:
        if found != path:
            has = f"asks {found}" if found else "is missing or no httpGet"
            yield f"the {probe} {has}", f"Set its httpGet.path to {path}, or correct the service's `health`"


async def check_code(adapters: Adapters, setting: Setting) -> AsyncIterator[Finding]:
    """The repository can be read."""
    for service in setting.services.values():
        try:
            tags = await adapters.code.tag_names(service.repository, "v")
        except ForgeError as error:
            yield of_error("github", error)
            continue
        if tags:
            yield ok("github", f"{service.repository} can be read; it has {len(tags)} version tags")
        else:
            yield warn("github", f"{service.repository} has no tag that begins with v", "Push a signed tag vX.Y.Z-rc.N")


async def check_registry(adapters: Adapters, setting: Setting) -> AsyncIterator[Finding]:
    """The registry answers for every image; whether the tag exists doesn't matter."""
    images = dict.fromkeys(w.image for service in setting.services.values() for w in service.workloads)
    for image in images:
        try:
            await adapters.images.digest(image, "latest")
        except ForgeError as error:
            yield of_error("registry", error)
        else:
            yield ok("registry", f"the registry answers for {image}")
