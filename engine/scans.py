"""Security scans in the ledger: what was handed in is kept once, with its audit entry, and the newest of a digest is found again."""

from __future__ import annotations

from engine.ports import Exists, Ledger, Store
from engine.records import Entry, ScanRow
from runbook.ports import ScanReport
from runbook.rules.scans import newest_of, open_critical

SENDER = "webhook:ci"
"""Who hands scans in, in the audit log: whoever has the CI systems' token."""
_MOST_LOOKED_AT = 20


class LedgerScans:
    """Fulfils `runbook.ports.ScanReports`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self, digest: str) -> ScanReport | None:
        """Raises StoreUnavailable."""

        def look(ledger: Ledger) -> list[ScanRow]:
            return ledger.find(ScanRow, order="-taken_at", limit=_MOST_LOOKED_AT, subject=digest)

        return newest_of([_report(row) for row in await self._store.read(look)])

    async def keep(self, report: ScanReport, content: str) -> bool:
        """content: hex SHA-256 of what was received. False when it is known already: nothing changes then. Raises StoreUnavailable."""

        def keep(ledger: Ledger) -> bool:
            try:
                ledger.add(_row(report, content))
            except Exists:
                return False
            ledger.audit(_entry(report, content), report.received_at)
            return True

        return await self._store.write(keep)


def _row(report: ScanReport, content: str) -> ScanRow:
    return ScanRow(
        subject=report.subject,
        tool=report.tool,
        format=report.format,
        taken_at=report.taken_at,
        received_at=report.received_at,
        counts=dict(report.counts),
        critical=list(report.critical),
        source=report.source,
        url=report.url,
        content=content,
    )


def _report(row: ScanRow) -> ScanReport:
    counts = {str(name): int(count) for name, count in row.counts.items()}
    critical = tuple(str(each) for each in row.critical)
    return ScanReport(
        row.subject, row.tool, row.format, row.taken_at, row.received_at, counts, critical, row.source, row.url
    )


def _entry(report: ScanReport, content: str) -> Entry:
    evidence = {
        "tool": report.tool,
        "format": report.format,
        "taken_at": report.taken_at.isoformat(),
        "counts": dict(report.counts),
        "critical": list(report.critical),
        "source": report.source,
        "url": report.url,
        "sha256": content,
    }
    what = f"{report.tool} finds {open_critical(report)} critical"
    return Entry(actor=SENDER, action="scan.received", subject=report.subject, what=what, evidence=evidence)
