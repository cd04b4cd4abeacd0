"""What must be right for security scans: a way for reports to come in where a promotion wants one, and a folder that can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from bot.adapters import Adapters
from bot.checks.findings import Finding, fail, ok, warn
from bot.configuration.connections import Connections
from runbook.criteria import Promotion, Weight, criterion
from runbook.policy import Policy
from runbook.wording import listing

NAME = "scans"
_SHORTEST_TOKEN = 16
_MOST_NAMED = 5


async def check_scans(adapters: Adapters, connections: Connections, policy: Policy) -> AsyncIterator[Finding]:
    """Posts nothing; reads the folder's files."""
    token = connections.ci_token
    if token is not None:
        if len(token.reveal()) < _SHORTEST_TOKEN:
            remedy = "Take a longer one, such as `openssl rand -hex 32` gives"
            yield warn(NAME, f"the CI token has fewer than {_SHORTEST_TOKEN} characters", remedy)
        else:
            yield ok(NAME, "CI systems can hand reports in at /webhooks/ci")
    if connections.scan_folder is not None:
        async for finding in _folder(adapters):
            yield finding
    if token is None and connections.scan_folder is None:
        yield _no_source(policy)


async def _folder(adapters: Adapters) -> AsyncIterator[Finding]:
    folder = adapters.scan_folder(lambda: datetime.now(UTC))
    broken = () if folder is None else await folder.broken()
    if broken:
        named = [f"{each.file.path.name} ({each.cause})" for each in broken[:_MOST_NAMED]]
        if len(broken) > _MOST_NAMED:
            named.append(f"{len(broken) - _MOST_NAMED} more")
        remedy = "Take them out of the folder, or write them again, whole"
        yield warn(NAME, f"files in the scan folder can't be used: {listing(named)}", remedy)
    else:
        yield ok(NAME, "the scan folder can be read")


def _no_source(policy: Policy) -> Finding:
    scan = criterion(policy.criteria, "scan")
    required = [promotion for promotion in Promotion if scan.weight(promotion) is Weight.REQUIRED]
    remedy = "Set FORGE_CI_TOKEN and let CI send reports (docs/scans.md), or set integrations.scans.folder; or weigh it in policy.criteria.scan"
    if required:
        return fail(NAME, "promotion requires a security scan, and no report can come in", remedy)
    return ok(NAME, "no report of a security scan can come in, and no promotion requires one")
