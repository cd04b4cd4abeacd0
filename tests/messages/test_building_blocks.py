"""The builder's promises: nothing untrusted formats, links or mentions; nothing is cut in two; quantities read as people say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages import words
from messages.blocks import (
    MAX_BLOCKS,
    MAX_CHARACTERS,
    Block,
    Markup,
    actions,
    bold,
    button,
    code,
    context,
    cut,
    esc,
    fit,
    join,
    link,
    mention,
    moment,
    paragraphs,
    section,
    size,
    with_code,
)
from runbook.verdicts import Evidence
from sandbox.slack.blocks import check_message_blocks

AT = datetime(2026, 3, 2, 14, 2, tzinfo=UTC)
_WHOLE = re.compile(r"&(amp|lt|gt);|<(@|!|https?:)[^<>]*>|[^&<>]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("a & b", "a &amp; b"),
        ("*bold* ~gone~", "∗bold∗ ∼gone∼"),
        ("error_ratio stays, _italic_ doesn't", "error_ratio stays, ˍitalicˍ doesn't"),
        (":x: at 12:30:15", "꞉x: at 12:30:15"),
        ("type `/forge unlock staging` now", "type `/forge unlock staging` now"),
        ("type `/forge $(x)` now", "type ˋ/forge $(x)ˋ now"),
        ("two\nlines\x00\u202e", "two lines"),
    ],
)
def test_untrusted_text_is_inert(text: str, shown: str) -> None:
    assert esc(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "type `kubectl -n prod patch x -p '{\"a\": 1}'`, then retry",
            "type `kubectl -n prod patch x -p '{\"a\": 1}'`, then retry",
        ),
        ("see `/forge backup list <env>`", "see `/forge backup list &lt;env&gt;`"),
        ("`<!channel>` and *bold*", "`&lt;!channel&gt;` and ∗bold∗"),
        ("an odd ` stays a look-alike", "an odd ˋ stays a look-alike"),
    ],
)
def test_what_a_remedy_quotes_is_code_and_nothing_else_formats(text: str, shown: str) -> None:
    assert with_code(text) == shown


def test_code_can_t_be_left_by_a_backtick() -> None:
    assert code("v1`<@U1>") == "`v1ˋ&lt;@U1&gt;`"
    assert code("") == ""


def test_only_ids_of_slacks_are_mentions() -> None:
    assert mention("T0FORGE:U0ALICE") == "<@U0ALICE>"
    assert mention("S0OWNERS") == "<!subteam^S0OWNERS>"
    assert mention("os:root") == "os:root"
    assert mention("U1> <!here") == "U1&gt; &lt;!here"


def test_a_link_goes_to_a_web_address_or_is_no_link() -> None:
    assert link("https://x.example/a?b=1&c=2", "there | here") == "<https://x.example/a?b=1&amp;c=2|there / here>"
    assert link("https://x.example/<!here>|y", "z") == "<https://x.example/%3C!here%3E%7Cy|z>"
    assert link("javascript:alert(1)", "z") == "z"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["word", "a & b", "<x>", "`code`", "<@U1>", "<https://x.example|y>", "&&&"]), max_size=40),
    st.integers(2, 300),
)
def test_cutting_leaves_no_half_of_anything(parts: list[str], limit: int) -> None:
    made = {"`code`": code("code"), "<@U1>": mention("U1"), "<https://x.example|y>": link("https://x.example", "y")}
    whole = join(*(made.get(part, esc(part)) for part in parts))
    short = cut(whole, limit)
    assert len(short) <= limit
    assert "".join(match[0] for match in _WHOLE.finditer(short)) == short
    assert short.count("`") % 2 == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 90), st.integers(1, 3000))
def test_whatever_must_fit_fits_and_the_buttons_stay(head: int, middle: int, tail: int, length: int) -> None:
    block = section(Markup("x" * length))
    buttons: list[Block] = [actions([button("Go", "approve", "b1")], block_id="run:staging-1")]
    made = fit([block] * head, [block] * middle, [*[block] * tail, *buttons], more="more")
    assert len(made) <= MAX_BLOCKS
    assert size(made) <= MAX_CHARACTERS
    assert buttons[0] in made
    check_message_blocks(made)


def test_what_is_left_out_is_said() -> None:
    made = fit([], paragraphs([Markup("x" * 2900)] * 20), [], more="More: /forge status staging-1")
    assert made[-1] == context(Markup("More: /forge status staging-1"))
    assert fit([], paragraphs([Markup("x")]), [], more="More") == [section(Markup("x"))]


def test_a_time_is_shown_in_the_readers_zone() -> None:
    assert moment(AT) == "<!date^1772460120^{date_short_pretty} at {time}|2026-03-02 14:02 UTC>"
    assert bold(Markup("")) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (0.212, "212 ms"), (1.5, "1.5 s"), (45, "45 s"), (90, "1 min 30 s"), (1800, "30 min"), (5400, "1 h 30 min"),
     (86_400, "1 d"), (90_000, "1 d 1 h"), (3_601, "1 h")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        (Evidence(name="error rate", value=0.034, limit=0.01, unit="ratio", samples=1204, window_s=1800.0),
         "error rate 3.4 % (limit 1 %, 1,204 samples, 30 min)"),
        (Evidence(name="p95", value=0.212, limit=0.25, unit="s"), "p95 212 ms (limit 250 ms)"),
        (Evidence(name="replicas", value=3, limit=3, unit="count"), "replicas 3 (limit 3)"),
        (Evidence(name="digest", value=None), "digest none"),
        (Evidence(name="signed", value=True), "signed yes"),
        (Evidence(name="size", value=1_234_567, unit="bytes"), "size 1.23 MB"),
        (Evidence(name="WAL growth", value=1.5e7, limit=1e7, unit="bytes_per_s"), "WAL growth 15 MB/s (limit 10 MB/s)"),
        (Evidence(name="rate", value=float("nan"), unit="ratio"), "rate not a number"),
        (Evidence(name="rate", value=float("inf"), unit="s", samples=1), "rate infinite (1 sample)"),
    ],
)  # fmt: skip
def test_evidence_reads_in_one_line(fact: Evidence, shown: str) -> None:
    assert words.evidence(fact) == shown


def test_words_are_listed_as_people_do() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
