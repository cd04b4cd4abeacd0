"""Pictures on their way out: once, in order, and never in the way of what people must read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.journal import Turn, show_picture_to
from engine.ports import Ledger
from engine.records import Outgoing
from runbook.charts import Chart, Line, Panel
from runbook.errors import Permanent, Temporary
from runbook.plan import Result
from runbook.verdicts import Verdict
from tests.engine.harness import Bench, KeepingChat, Outside, QuickPainter, bench, failing

CHART = Chart(
    "error rate",
    "error rate: 0.4 % at the end, at most 3 %",
    (Panel("errors", "ratio", (Line("stable", ((1.0, 0.004), (2.0, math.nan))),)),),
)
OTHER = Chart("latency", "latency p95: 240 ms", ())
LOST = Temporary("slack", "lost.doubtful", "the connection broke")


def looked() -> Result:
    return Result((Verdict.passed("look", "fine"),), charts=(CHART, OTHER))


def with_charts() -> Outside:
    return Outside(results={"look": looked})


def notes(b: Bench) -> list[str]:
    return [m.message.text for m in b.chat.messages]


async def wait_for(b: Bench, condition: Any) -> None:
    await b.clock.run_until(condition)


async def test_a_steps_charts_stand_in_the_runs_thread_behind_its_note(tmp_path: Path) -> None:
    async with bench(tmp_path, outside=with_charts()) as b:
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 2)
        first, second = b.chat.uploads
        [headline] = [m for m in b.chat.messages if not m.thread_ts]
        assert (first.title, second.title) == ("error rate", "latency")
        assert first.alt == CHART.alt
        assert first.data == b"PNG of error rate"
        assert {u.thread_ts for u in b.chat.uploads} == {headline.ts}
        assert first.name != second.name
        assert first.name.startswith("staging-1-")
        assert any("look" in text for text in notes(b)[: first.after])


async def test_a_chart_with_gaps_is_kept_whole_in_the_database(tmp_path: Path) -> None:
    async with bench(tmp_path, outside=with_charts()) as b:
        await b.deploy()
        [row, _] = b.rows(Outgoing, kind="picture")
        assert row.payload["chart"]["panels"][0]["lines"][0]["points"] == [[1.0, 0.004], [2.0, None]]


async def test_a_failed_and_a_held_step_show_their_charts_as_well(tmp_path: Path) -> None:
    for number, result in enumerate((failing("look"), Result((Verdict.no_data("look", "none", "nothing"),)))):
        outside = Outside(results={"look": lambda r=result: Result(r.verdicts, charts=(OTHER,))})  # type: ignore[misc]
        folder = tmp_path / str(number)
        folder.mkdir()
        async with bench(folder, outside=outside) as b:
            await b.deploy()
            await wait_for(b, lambda: len(b.chat.uploads) == 1)


async def test_a_picture_that_cant_be_drawn_is_said_in_words_in_its_place(tmp_path: Path) -> None:
    painter = QuickPainter()
    painter.faults = [Permanent("charts", "unfit", "the chart can't be drawn")]
    async with bench(tmp_path, outside=with_charts(), painter=painter) as b:
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 1)
        [words] = [m for m in b.chat.messages if CHART.title in m.message.text]
        assert CHART.alt in str(words.message.blocks)
        assert "can't be drawn" in str(words.message.blocks)
        assert words.thread_ts
        assert b.chat.uploads[0].after == b.chat.messages.index(words) + 1


async def test_what_slack_refuses_is_said_in_words_with_the_remedy(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [Permanent("slack", "missing_scope", "the app lacks files:write", "Add files:write.")] * 2
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        await b.deploy()
        await wait_for(b, lambda: sum("latency" in text for text in notes(b)) == 1)
        assert "Add files:write" in str(next(m for m in b.chat.messages if "latency" in m.message.text).message.blocks)
        assert b.chat.uploads == []
        assert {row.state for row in b.rows(Outgoing)} == {"sent"}


async def test_a_picture_has_few_tries_and_holds_up_nothing_for_long(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [Temporary("slack", "server_error", "Slack answered 500")] * 3
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        began = b.clock.now()
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 1)
        assert b.chat.uploads[0].title == "latency"
        assert sum("error rate" in text for text in notes(b)) == 1
        assert (b.clock.now() - began).total_seconds() < 30
        assert b.painter.drawn == ["error rate", "latency"]  # a repeat doesn't draw again


async def test_a_slack_that_cant_be_reached_turns_no_picture_into_words(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [Temporary("slack", "unreachable", "Slack can't be reached")] * 6
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 2)
        assert [u.title for u in b.chat.uploads] == ["error rate", "latency"]


async def test_a_doubtful_upload_that_arrived_is_not_repeated(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults, chat.is_upload_kept_before_its_fault = [LOST], True
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 2)
        assert [u.title for u in b.chat.uploads] == ["error rate", "latency"]


async def test_a_doubtful_upload_that_did_not_arrive_is_repeated(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [LOST]
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        await b.deploy()
        await wait_for(b, lambda: len(b.chat.uploads) == 2)


async def test_after_a_crash_in_the_middle_of_an_upload_the_picture_stands_there_once(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults, chat.is_upload_kept_before_its_fault = [LOST], True
    async with bench(tmp_path, outside=with_charts(), chat=chat) as b:
        await b.deploy()
        await b.clock.settle()
        assert len(chat.uploads) == 1
        [row] = b.rows(Outgoing, kind="picture", state="sending")
        clock = b.clock
    async with bench(tmp_path, chat=chat, clock=clock) as again:
        await wait_for(again, lambda: len(chat.uploads) == 2)
        assert chat.uploads[0].name != chat.uploads[1].name
        assert again.rows(Outgoing, id=row.id)[0].state == "sent"


async def test_what_is_stored_and_no_chart_is_said_and_not_tried_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = b.run(await b.deploy())

        def spoil(ledger: Ledger) -> None:
            Turn(ledger, b.clock.now(), b.engine.settings.current).picture(run, "x", OTHER)
            [row] = ledger.find(Outgoing, kind="picture")
            ledger.remove(Outgoing, id=row.id)
            ledger.add(Outgoing(subject=row.subject, kind="picture", run=run.id, payload={"chart": 7},
                                created_at=b.clock.now()))  # fmt: skip

        await b.store.write(spoil)
        b.engine.outbox.ring()
        await wait_for(b, lambda: any("A chart" in text for text in notes(b)))


async def show_to_ada(b: Bench, *subjects: str) -> None:
    def wish(ledger: Ledger) -> None:
        for subject in subjects:
            show_picture_to(Turn(ledger, b.clock.now(), b.engine.settings.current), "UADA", subject, OTHER)

    await b.store.write(wish)
    b.engine.outbox.ring()
    await b.clock.settle()


async def test_a_picture_for_one_person_goes_to_their_direct_messages_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await show_to_ada(b, "inbox-7")
        await show_to_ada(b, "inbox-7")
        await wait_for(b, lambda: bool(b.chat.uploads))
        assert [(u.channel, u.thread_ts, u.title) for u in b.chat.uploads] == [("DADA", "", "latency")]


async def test_a_private_picture_whose_arrival_is_doubtful_is_not_repeated(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [LOST]
    async with bench(tmp_path, chat=chat) as b:
        await show_to_ada(b, "inbox-7", "inbox-8")
        await wait_for(b, lambda: len(b.chat.uploads) == 1)
        assert [row.state for row in b.rows(Outgoing, kind="private_picture")] == ["dropped", "sent"]


async def test_a_refused_private_picture_is_said_to_that_person_alone(tmp_path: Path) -> None:
    chat = KeepingChat()
    chat.upload_faults = [Permanent("slack", "missing_scope", "the app lacks files:write")]
    async with bench(tmp_path, chat=chat) as b:
        await show_to_ada(b, "inbox-7")
        await wait_for(b, lambda: bool(b.chat.messages))
        [words] = b.chat.messages
        assert OTHER.alt in str(words.message.blocks)
        [row] = b.rows(Outgoing, kind="private_note")
        assert row.state == "sent"
        assert row.payload["user"] == "UADA"
