"""What is known of a commit's CI: GitHub's checks and what other CI systems have told forge, together.

An answer that is missing from either side is an error and never a pass.
"""

from __future__ import annotations

from runbook.errors import StoreUnavailable, Temporary
from runbook.ports import CiCheck, Ports

OWN = "forge/"
"""Contexts of the commit statuses that forge itself sets: they follow CI and are no part of it."""


async def ci_checks(ports: Ports, repository: str, commit: str) -> tuple[CiCheck, ...]:
    """commit: full SHA. A name that both sides know stands there twice: it is green only where both say so.

    Raises Temporary and Permanent.
    """
    found = await ports.code.checks(repository, commit)
    told = () if ports.ci_results is None else await _told(ports, repository, commit)
    return (*(check for check in found if not check.name.startswith(OWN)), *told)


async def _told(ports: Ports, repository: str, commit: str) -> tuple[CiCheck, ...]:
    assert ports.ci_results is not None  # noqa: S101 - the caller has looked
    try:
        return tuple(await ports.ci_results.results(repository, commit))
    except StoreUnavailable as error:
        cause = f"what other CI systems have told can't be read: {error.cause}"
        raise Temporary("store", "ci_results", cause, error.remedy) from error
