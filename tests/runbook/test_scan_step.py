"""The security scan as a check of a gate: every source is asked, and a source that can't answer is no clean scan."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest

from runbook.criteria import Weight
from runbook.errors import ForgeError, Permanent, StoreUnavailable, Temporary
from runbook.plan import Plan, canonical, parse
from runbook.ports import ScanReport
from runbook.steps import CleanScan, Gate
from runbook.values import Environment, FrozenImage
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fakes import COMMIT, RELEASE, FakeCodeHost, World, seconds

WEEK_S = 7 * 86400.0
WEB, WORKER = RELEASE.images


def report(image: FrozenImage, *critical: str, age_s: float = 60.0) -> ScanReport:
    taken = NOON - seconds(age_s)
    return ScanReport(image.digest, "trivy", "trivy", taken, NOON, {"critical": len(critical)}, critical, "webhook")


@dataclass
class FakeScans:
    found: dict[str, ScanReport] = field(default_factory=dict)
    error: ForgeError | None = None
    asked: list[str] = field(default_factory=list)

    async def newest(self, digest: str) -> ScanReport | None:
        self.asked.append(digest)
        if self.error is not None:
            raise self.error
        return self.found.get(digest)


@dataclass
class ScanningCodeHost(FakeCodeHost):
    analysis: ScanReport | None = None

    async def code_scanning(self, repository: str, commit: str) -> ScanReport | None:
        self._fail()
        assert (repository, commit) == ("acme/shop", COMMIT)
        return self.analysis


def both(*critical: str) -> FakeScans:
    return FakeScans({image.digest: report(image, *critical) for image in (WEB, WORKER)})


def check(images: tuple[FrozenImage, ...] = (WEB, WORKER), **changes: object) -> CleanScan:
    return replace(CleanScan(images, "acme/shop", COMMIT, WEEK_S), **changes)  # type: ignore[arg-type]


async def asked(check: CleanScan, *sources: FakeScans, code: FakeCodeHost | None = None) -> tuple[list[Verdict], bool]:
    world = World()
    world.ports = replace(world.ports, scans=sources, code=code or world.code)
    verdicts, may_pass = await check.ask(world.scene())
    return list(verdicts), may_pass


def outcomes(verdicts: list[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


async def test_every_image_has_its_verdict() -> None:
    verdicts, _ = await asked(check(), FakeScans({WEB.digest: report(WEB, "CVE-1"), WORKER.digest: report(WORKER)}))
    assert [(each.gate, each.outcome) for each in verdicts] == [
        ("security scan: web", Outcome.FAIL),
        ("security scan: worker", Outcome.PASS),
    ]


async def test_an_image_of_two_workloads_is_asked_for_once() -> None:
    source = both()
    verdicts, _ = await asked(check((WEB, replace(WEB, workload="cron"))), source)
    assert [each.gate for each in verdicts] == ["security scan: web"]
    assert source.asked == [WEB.digest]


async def test_the_newest_report_of_all_sources_counts() -> None:
    old_and_bad = FakeScans({WEB.digest: report(WEB, "CVE-1", age_s=3600)})
    verdicts, _ = await asked(check((WEB,)), old_and_bad, both())
    assert outcomes(verdicts) == [Outcome.PASS]


async def test_without_any_source_nothing_is_clean() -> None:
    verdicts, _ = await asked(check())
    assert [each.code for each in verdicts] == ["scan.missing", "scan.missing"]


async def test_a_source_that_cant_answer_may_have_a_newer_report() -> None:
    silent = FakeScans(error=Permanent("scans", "folder", "the scan folder can't be read", "Mount it"))
    verdicts, may_pass = await asked(check((WEB,)), both(), silent)
    assert [(each.outcome, each.code) for each in verdicts] == [(Outcome.ERROR, "scans.folder")]
    assert not may_pass


async def test_an_error_that_may_pass_is_asked_again() -> None:
    verdicts, may_pass = await asked(check((WEB,)), FakeScans(error=Temporary("scans", "folder", "it doesn't answer")))
    assert outcomes(verdicts) == [Outcome.ERROR]
    assert may_pass


async def test_an_error_that_stays_is_told_before_one_that_may_pass() -> None:
    first = FakeScans(error=Temporary("scans", "slow", "it doesn't answer"))
    second = FakeScans(error=Permanent("scans", "folder", "it can't be read"))
    verdicts, may_pass = await asked(check((WEB,)), first, second)
    assert [each.code for each in verdicts] == ["scans.folder"]
    assert not may_pass


async def test_a_known_critical_finding_fails_whatever_the_others_can_say() -> None:
    silent = FakeScans(error=Permanent("scans", "folder", "it can't be read"))
    verdicts, _ = await asked(check((WEB,)), both("CVE-1"), silent)
    assert [each.code for each in verdicts] == ["scan.critical"]


async def test_unreadable_files_that_may_be_anyones_matter_only_where_no_report_is_found() -> None:
    unattributed = FakeScans(error=Permanent("scans", "unattributed", "x.json can't be read"))
    verdicts, _ = await asked(check((WEB,)), both(), unattributed)
    assert outcomes(verdicts) == [Outcome.PASS]
    verdicts, _ = await asked(check((WEB,)), FakeScans(), unattributed)
    assert [each.code for each in verdicts] == ["scans.unattributed"]


async def test_a_store_in_trouble_is_no_verdict() -> None:
    with pytest.raises(StoreUnavailable):
        await asked(check((WEB,)), FakeScans(error=StoreUnavailable("locked", "the database is locked")))


async def test_code_scanning_is_asked_where_the_policy_wants_it() -> None:
    code = ScanningCodeHost(analysis=replace(report(WEB, "py/sql-injection"), subject=COMMIT, tool="CodeQL"))
    verdicts, _ = await asked(check(), both(), code=code)
    assert outcomes(verdicts) == [Outcome.PASS, Outcome.PASS]
    verdicts, _ = await asked(check(code_scanning=True), both(), code=code)
    assert [(each.gate, each.outcome) for each in verdicts][2:] == [("code scanning", Outcome.FAIL)]


async def test_a_code_host_in_trouble_hides_no_images_verdict() -> None:
    code = ScanningCodeHost(error=Temporary("github", "unreachable", "GitHub doesn't answer"))
    verdicts, may_pass = await asked(check(code_scanning=True), both("CVE-1"), code=code)
    assert outcomes(verdicts) == [Outcome.FAIL, Outcome.FAIL, Outcome.ERROR]
    assert may_pass


async def test_what_is_only_recommended_doesnt_bind() -> None:
    verdicts, _ = await asked(check(weight=Weight.RECOMMENDED), both("CVE-1"))
    assert [each.binding for each in verdicts] == [False, False]
    assert outcomes(verdicts) == [Outcome.FAIL, Outcome.FAIL]


async def test_a_gate_waits_for_a_report_and_goes_on_when_it_comes() -> None:
    world, source = World(), FakeScans()
    world.ports = replace(world.ports, scans=(source,))

    async def arrive() -> None:
        await world.clock.sleep_until(NOON + seconds(40))
        source.found = both().found

    gate = Gate(title="Promotion gate", checks=(check(),), patience_s=600)
    result = await world.finish(_together(gate.perform(world.scene()), arrive()))
    assert result.outcome == Outcome.PASS
    assert world.clock.now() - NOON == seconds(45)


async def _together(first: object, second: object) -> object:
    found, _ = await asyncio.gather(first, second)  # type: ignore[call-overload]
    return found


def test_a_plan_keeps_the_check_as_it_is() -> None:
    gate = Gate(title="Promotion gate", checks=(check(weight=Weight.OPTIONAL, code_scanning=True),))
    plan = Plan(procedure="staging", service="shop", environment=Environment.STAGING, version="v1", nodes=(gate,))
    assert parse(canonical(plan)) == plan
    assert json.loads(canonical(plan))["nodes"][0]["checks"][0]["kind"] == "clean_scan"
