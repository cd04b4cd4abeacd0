"""`docs/scans.md` is right: its line is the one that gates tell, works as it stands, and its body is taken."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from ruamel.yaml import YAML

from handlers.ci_scans import ScanBody, scan_taker
from handlers.ci_webhook import ci_routes
from runbook.ports import ScanReport
from runbook.rules.scans import send_line
from tests.runbook.scan_samples import (
    DIGEST,
    IMAGE,
    sarif,
    sarif_result,
    sarif_rule,
    sarif_run,
    text,
    trivy,
    trivy_vulnerability,
)

PAGE = (Path(__file__).parents[2] / "docs/scans.md").read_text(encoding="utf-8")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [each.strip() for each in found]


def in_workflow() -> str:
    """The step's script."""
    (step,) = YAML(typ="safe").load(blocks("yaml")[0])
    return str(step["run"])


@pytest.fixture
async def forge() -> AsyncIterator[tuple[str, list[ScanReport]]]:
    kept: list[ScanReport] = []

    async def keep(report: ScanReport, content: str) -> bool:
        kept.append(report)
        return True

    app = web.Application()
    app.add_routes(ci_routes(lambda: "t0ken", {"scan": scan_taker(keep, lambda: datetime.now(UTC))}))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", kept
    await runner.cleanup()


async def _typed(line: str, folder: Path, url: str, token: str) -> tuple[int, bytes]:
    """In a shell with a `trivy` and a `grype` that have their reports ready."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "trivy.json").write_bytes(text(trivy(trivy_vulnerability("CVE-2026-1", "CRITICAL"))))
    rules = [sarif_rule("CVE-2026-1", "9.8")]
    (folder / "grype.sarif").write_bytes(text(sarif(sarif_run(rules, sarif_result("CVE-2026-1"), properties=None))))
    _program(programs / "trivy", f'test "$*" = "image -f json {IMAGE}" && cat trivy.json')
    _program(programs / "grype", f'test "$*" = "{IMAGE} --output sarif --file report.sarif" && cp grype.sarif "$5"')
    path = f"{programs}:{os.environ['PATH']}"
    environment = {"PATH": path, "IMAGE": IMAGE, "FORGE_URL": url, "FORGE_CI_TOKEN": token, "NO_PROXY": "*"}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", line, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(shell.communicate(), 120)
    return shell.returncode or 0, output


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_pages_line_is_the_one_that_gates_tell() -> None:
    assert blocks("sh")[0] == send_line('"$IMAGE"')


@pytest.mark.parametrize("line", [*blocks("sh"), in_workflow()])
async def test_every_line_hands_a_report_in(forge: tuple[str, list[ScanReport]], tmp_path: Path, line: str) -> None:
    url, kept = forge
    code, output = await _typed(line, tmp_path, url, "t0ken")
    assert code == 0
    assert json.loads(output)["status"] == "stored"
    assert [(report.subject, report.critical) for report in kept] == [(DIGEST, ("CVE-2026-1",))]


async def test_the_line_fails_and_says_why_where_the_token_is_wrong(
    forge: tuple[str, list[ScanReport]], tmp_path: Path
) -> None:
    url, kept = forge
    code, output = await _typed(blocks("sh")[0], tmp_path, url, "wrong")
    assert code != 0
    assert "token" in json.loads(output)["error"]
    assert not kept


async def test_the_pages_body_is_taken() -> None:
    kept: list[ScanReport] = []

    async def keep(report: ScanReport, content: str) -> bool:
        kept.append(report)
        return True

    taken = await scan_taker(keep, lambda: NOON)(blocks("json")[0].encode())
    assert taken.new
    assert [(report.subject, report.critical) for report in kept] == [(DIGEST, ("CVE-2026-1234",))]


def test_every_field_of_the_body_is_explained() -> None:
    table = PAGE.partition("| field | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(ScanBody.model_fields)
