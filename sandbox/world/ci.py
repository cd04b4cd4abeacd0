"""CI's last stage: it scans the images that were built, and tells the bot's webhook of each report until it is taken."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from sandbox.world.tags import Scan

RETRY_S = 0.3
TIMEOUT_S = 5.0
OLD = timedelta(days=30)
CRITICAL = "CVE-2026-31337"
Json = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """image: `repository@sha256:…`."""

    image: str
    body: Json


class Ci:
    """address: of the bot now, None while it can't be told. token: opens its webhook.

    taken: images whose newest report the bot has. refused: what the bot said to a report that it will never take.
    """

    def __init__(self, address: Callable[[], str | None], token: str) -> None:
        self._address = address
        self._token = token
        self._waiting: list[Report] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.taken: list[str] = []
        self.refused: list[str] = []

    def scan(self, images: Iterable[str], found: Scan, at: datetime | None = None) -> None:
        """Scan them and send the reports, after all that wait already. `none` scans nothing; at: when, by default now."""
        if found == "none":
            return
        moment = (at or datetime.now(UTC)) - (OLD if found == "old" else timedelta())
        for image in images:
            self._waiting.append(Report(image, trivy_report(image, moment, is_critical=found == "critical")))
            if image in self.taken:
                self.taken.remove(image)
        self._news.set()

    @property
    def idle(self) -> bool:
        """Every report was taken or refused."""
        return not self._waiting

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="CI sends its reports")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    if await self._send(session, self._waiting[0]):
                        del self._waiting[0]
                    else:
                        await asyncio.sleep(RETRY_S)

    async def _send(self, session: aiohttp.ClientSession, report: Report) -> bool:
        """False: not now."""
        address = self._address()
        if address is None:
            return False
        body = {"kind": "scan", "image": report.image, "format": "trivy", "report": report.body}
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with session.post(f"{address}/webhooks/ci", json=body, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return False
        if answer.status in (200, 201):
            self.taken.append(report.image)
            return True
        if answer.status == 429 or answer.status >= 500:
            return False
        self.refused.append(f"{report.image}: {answer.status} {text[:300]}")
        return True


def trivy_report(image: str, at: datetime, *, is_critical: bool) -> Json:
    """As `trivy image --format json` writes it: a few findings that wait for a fix, and a critical one where there is one."""
    name, _, digest = image.partition("@")
    found = [_finding("CVE-2026-1001", "LOW", "affected"), _finding("CVE-2026-1002", "MEDIUM", "fix_deferred")]
    if is_critical:
        found.append(_finding(CRITICAL, "CRITICAL", "fixed", "3.5.6-1"))
    moment = at.isoformat().replace("+00:00", "Z")
    return {
        "SchemaVersion": 2,
        "CreatedAt": moment,
        "ArtifactName": image,
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "13.1"},
            "ImageID": "sha256:" + hashlib.sha256(digest.encode()).hexdigest(),
            "RepoDigests": [image],
            "RepoTags": [],
        },
        "Results": [
            {"Target": f"{name} (debian 13.1)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}
        ],
    }  # fmt: skip


def _finding(name: str, severity: str, status: str, fixed: str = "") -> Json:
    return {
        "VulnerabilityID": name,
        "PkgName": "libssl3t64",
        "InstalledVersion": "3.5.1-1",
        "FixedVersion": fixed,
        "Status": status,
        "Severity": severity,
        "Title": "openssl: a made-up finding",
        "PrimaryURL": f"https://avd.aquasec.test/nvd/{name.lower()}",
    }
