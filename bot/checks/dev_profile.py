"""Whether dev is the smaller place that the runbook wants. Runbook: Environment Topology, "lower resource profiles". Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bot.checks.findings import Finding, fail, ok, warn
from bot.configuration.connections import Profile
from runbook.wording import size

if TYPE_CHECKING:
    from integrations.kubernetes.templates import PodTemplate

NAME = "dev.profile"


def judge_profile(dev: PodTemplate, profile: Profile) -> Iterator[Finding]:
    """One workload of dev against what it may use."""
    problems = list(_over(dev, profile))
    for text, remedy in problems:
        yield fail(NAME, f"{dev.workload}: {text}", remedy)
    if not problems:
        yield ok(NAME, f"{dev.workload} keeps to dev's profile: {_words(dev)}")


def _over(dev: PodTemplate, profile: Profile) -> Iterator[tuple[str, str]]:
    if dev.replicas > profile.max_replicas:
        yield f"{dev.replicas} replicas, at most {profile.max_replicas} in dev", "Scale the Deployment down in dev"
    for what, has, most in (("CPU", dev.cpu, profile.max_cpu), ("memory", dev.memory, profile.max_memory)):
        limit = f"{most:g} cores" if what == "CPU" else size(most)
        if has is None:
            yield (
                f"a container without a {what} limit may use all of its node",
                f"Set resources.limits, {limit} for one pod at most",
            )
        elif has > most:
            yield (
                f"its pods may use {f'{has:g} cores' if what == 'CPU' else size(has)}, at most {limit} in dev",
                "Lower resources.limits in dev's manifests, or raise environments.dev.profile",
            )


def judge_lower(dev: PodTemplate, prod: PodTemplate) -> Finding:
    """Against production's of the same name: nowhere more, and somewhere less."""
    pairs = (
        ("replicas", float(dev.replicas), float(prod.replicas)),
        ("CPU", dev.cpu, prod.cpu),
        ("memory", dev.memory, prod.memory),
    )
    known = [(what, mine, theirs) for what, mine, theirs in pairs if mine is not None and theirs is not None]
    more = [what for what, mine, theirs in known if mine > theirs]
    if more:
        text = (
            f"{dev.workload} has more {' and '.join(more)} in dev than in prod: {_words(dev)}, in prod {_words(prod)}"
        )
        return warn(NAME, text, "Lower it in dev's manifests")
    if not any(mine < theirs for _, mine, theirs in known):
        remedy = "Lower replicas or resources.limits in dev's manifests"
        return warn(NAME, f"{dev.workload} is no smaller in dev than in prod: {_words(dev)}", remedy)
    return ok(NAME, f"{dev.workload} is smaller in dev than in prod: {_words(dev)}, in prod {_words(prod)}")


def _words(found: PodTemplate) -> str:
    cpu = "unlimited CPU" if found.cpu is None else f"{found.cpu:g} CPU"
    memory = "unlimited memory" if found.memory is None else size(found.memory)
    return f"{found.replicas} × {cpu} and {memory}"
