"""`/forge report`: one page with all that is on record, uploaded into the thread, however hostile the texts in it are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from runbook.charts import Chart, Line, Panel
from runbook.errors import Permanent, Temporary
from runbook.plan import Result
from runbook.verdicts import Evidence, Verdict
from tests.engine.harness import ADA, BOTH, PIA, SAM, Bench, bench

HOSTILE = "<script>alert(1)</script> <!channel> \"&'"
CHART = Chart(
    "Error ratio", "1 % of 300 requests failed", (Panel("errors", "ratio", (Line("canary", ((0.0, 0.01),)),)),)
)


class Reader(HTMLParser):
    """What stands on the page: its tags, its texts, and where it would load something from."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.sources: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


async def finished(b: Bench) -> str:
    b.outside.results["deploy one"] = lambda: Result(
        (
            Verdict.passed(
                "rollout", HOSTILE, Evidence(name="pods", value=3, limit=3, unit="count", source="deployment/web")
            ),
        ),
        charts=(CHART,),
    )
    run = await b.deploy(reason=HOSTILE)
    await b.until(run, "waiting")
    await b.act("approve", SAM, run=run)
    await b.until(run, "waiting")
    await b.clock.run_until(lambda: b.run(run).position > 4)
    await b.act("approve", PIA, run=run)
    await b.act("approve", BOTH, run=run)
    await b.ended(run)
    return run


def pages(b: Bench) -> list[str]:
    return [upload.data.decode() for upload in b.chat.uploads if upload.name.endswith(".html")]


async def test_the_report_has_the_plan_its_evidence_the_people_and_the_chart(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await finished(b)
        answer = await b.act("report", PIA, run=run)
        await b.clock.run_until(lambda: len(pages(b)) == 1)
        page = Reader(pages(b)[0])
        assert answer.ok, answer
        for words in (
            run,
            "deploy one",
            "deployment/web",
            "Sam",
            "Pia",
            "1 % of 300 requests failed",
            "run.created",
            "completed",
        ):
            assert words in page.text, words
        assert [source[:21] for source in page.sources] == ["data:image/png;base64"]
        [upload] = [each for each in b.chat.uploads if each.name.endswith(".html")]
        assert upload.thread_ts, "it stands in the run's thread"


async def test_what_people_wrote_stays_text_on_the_page(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await finished(b)
        await b.act("report", PIA, run=run)
        await b.clock.run_until(lambda: len(pages(b)) == 1)
        page = Reader(pages(b)[0])
        assert "script" not in page.tags
        assert "<script>alert(1)</script>" in page.text
        assert not [source for source in page.sources if not source.startswith("data:")], (
            "nothing is loaded from elsewhere"
        )


async def test_a_chart_that_cannot_be_drawn_is_told_in_words(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await finished(b)
        await b.clock.settle()
        b.painter.faults.append(Permanent("charts", "unfit", "no"))
        await b.act("report", PIA, run=run)
        await b.clock.run_until(lambda: len(pages(b)) == 1)
        page = Reader(pages(b)[0])
        assert "img" not in page.tags
        assert "1 % of 300 requests failed" in page.text


async def test_an_upload_that_fails_for_good_is_said_and_holds_up_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await finished(b)
        b.chat.upload_faults += [Temporary("slack", "server_error", "500")] * 10
        await b.act("report", PIA, run=run)
        await b.clock.run_until(lambda: any("can't be shown" in str(m.message.blocks) for m in b.chat.messages))
        assert not pages(b)


async def test_a_run_under_way_is_reported_as_far_as_it_is_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        assert (await b.act("report", ADA, run=run)).ok
        await b.clock.run_until(lambda: len(pages(b)) == 1)
        assert "waiting" in Reader(pages(b)[0]).text
        assert (await b.act("report", ADA, run="staging-99")).code == "run.unknown"


async def test_a_report_waits_for_the_message_beneath_which_it_belongs(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.chat.faults += [Temporary("slack", "unreachable", "Slack gives no answer")] * 5
        run = await b.deploy()
        await b.act("report", ADA, run=run)
        await b.clock.run_until(lambda: len(pages(b)) == 1)
        [upload] = [each for each in b.chat.uploads if each.name.endswith(".html")]
        assert not b.chat.faults
        assert upload.thread_ts == next(m.ts for m in b.chat.messages if not m.thread_ts)
