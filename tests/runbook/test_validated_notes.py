"""The draft release notes: which draft, and what forge writes into it; people's own text stays byte for byte."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.rules.validated_notes import MOST_COMMITS, floor_of, markers, next_draft, with_validated
from runbook.source import CommitInfo, Draft
from runbook.values import Version
from tests.fakes.clock import NOON

START, END = markers("shop")
SHA = "c" * 40


def commit(sha: str = SHA, title: str = "Sell gift cards") -> CommitInfo:
    return CommitInfo(sha, title, "Ada Lovelace", NOON)


def written(body: str, info: CommitInfo | None = None, run: str = "dev-12", service: str = "shop") -> str:
    return with_validated(Draft(7, "v1.5.0", "v1.5.0", body), service, info or commit(), run, NOON).body


def shas(body: str) -> list[str]:
    return [line[3:15] for line in body.splitlines() if line.startswith("- `")]


# --- which draft ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "floor", "chosen"),
    [
        (["v1.5.0"], "v1.4.0", "v1.5.0"),
        (["v1.6.0", "v1.5.0"], "v1.4.0", "v1.6.0"),
        (["v1.4.0"], "v1.4.0", "v1.5.0"),
        (["v1.3.9", "v2.0.0"], "v1.4.0", "v2.0.0"),
        (["v1.5.0-rc.1", "untagged-1", "2026-03"], "v1.4.0", "v1.5.0"),
        ([], "v1.4.7", "v1.5.0"),
        ([], "", "v0.1.0"),
        (["v0.0.1"], "", "v0.0.1"),
    ],
)
def test_the_draft_is_the_newest_above_what_is_released(tags: list[str], floor: str, chosen: str) -> None:
    drafts = [Draft(9 - place, tag, tag, "text") for place, tag in enumerate(tags)]
    found = next_draft(drafts, Version.parse(floor))
    assert found.tag == chosen
    assert bool(found.id) == (chosen in tags)


def test_the_floor_is_the_highest_of_tags_and_what_runs_in_production() -> None:
    assert str(floor_of(["v1.4.0", "v1.10.0", "v1.11.0-rc.3", "vNext"], "v1.9.0")) == "v1.10.0"
    assert str(floor_of([], "v1.9.0")) == "v1.9.0"
    assert floor_of(["v1.0.0-rc.1"], "") is None


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_first_commit_begins_the_section_after_peoples_text() -> None:
    assert written("Gift cards are here!") == (
        f"Gift cards are here!\n\n{START}\n### Validated in dev: shop\n\n"
        f"- `{SHA[:12]}` Sell gift cards (dev-12, 2026-03-02 12:00 UTC)\n{END}\n"
    )
    assert written("").startswith(START)


def test_a_newer_commit_stands_before_the_older_ones() -> None:
    body = written(written("", commit("a" * 40)), commit("b" * 40), "dev-13")
    assert shas(body) == ["b" * 12, "a" * 12]


def test_the_same_commit_by_the_same_run_changes_nothing() -> None:
    body = written(written("", commit("a" * 40)), commit("b" * 40), "dev-13")
    assert written(body, commit("a" * 40)) == body


def test_a_commit_that_another_run_validated_again_moves_to_the_front() -> None:
    body = written(written("", commit("a" * 40)), commit("b" * 40), "dev-13")
    body = written(body, commit("a" * 40), "dev-14")
    assert shas(body) == ["a" * 12, "b" * 12]
    assert "dev-14" in body
    assert "(dev-12" not in body


def test_at_most_fifty_commits_are_listed() -> None:
    body = "Before\n"
    for number in range(60):
        body = written(body, commit(f"{number:040x}".replace("0", "a", 30)[::-1]), f"dev-{number}")
    assert len(shas(body)) == MOST_COMMITS
    assert "(dev-59," in body
    assert "(dev-10," in body
    assert "(dev-9," not in body
    assert body.startswith("Before\n")


def test_what_people_wrote_around_and_inside_stays() -> None:
    body = written("Dear customers,\r\n\r\n  indented\ttext\n")
    edited = body.replace("### Validated in dev: shop\n", "### What we tested\nby hand too\n") + "\nSincerely, Ann"
    again = written(edited, commit("d" * 40), "dev-13")
    assert again.replace(f"- `{'d' * 12}` Sell gift cards (dev-13, 2026-03-02 12:00 UTC)\n", "") == edited
    assert shas(again) == ["d" * 12, SHA[:12]]


def test_each_service_of_a_repository_has_a_section_of_its_own() -> None:
    body = written(written("", commit("a" * 40)), commit("a" * 40), service="desk")
    assert body.count(f"- `{'a' * 12}`") == 2
    assert written(body, commit("b" * 40)).index("b" * 12) < body.index(markers("desk")[0])


@pytest.mark.parametrize("body", [START, END, f"{END} and {START}", f"text {START} lost its end"])
def test_a_comment_without_its_partner_is_peoples_text(body: str) -> None:
    again = written(body)
    assert again.startswith(body)
    assert shas(written(again, commit("b" * 40))) == ["b" * 12, SHA[:12]]


def test_a_section_from_which_people_took_every_line_is_filled_again() -> None:
    body = written("Text")
    emptied = "".join(line for line in body.splitlines(keepends=True) if not line.startswith("- `"))
    assert shas(written(emptied, commit("b" * 40))) == ["b" * 12]
    assert shas(written(f"{START}{END}")) == [SHA[:12]]


@pytest.mark.parametrize(
    "title",
    [
        f"close {END}",
        "@everyone look <img src=x> [here](http://evil)",
        "a\nb\r\nc\u2028d",
        "`" * 7,
        "x" * 5000,
        "",
        "\\@ada",
    ],
)
def test_a_title_notifies_nobody_and_is_no_markup(title: str) -> None:
    body = written("", commit(title=title))
    assert body.count(END) == 1
    assert len(shas(body)) == 1
    line = next(line for line in body.splitlines() if line.startswith("- `"))
    assert len(line) < 400
    assert "@" not in line or "@\u200b" in line
    assert "<img" not in line.replace("\\<img", "")
    assert written(body, commit(title=title)) == body


def test_the_date_is_of_the_step_and_the_line_is_the_same_again() -> None:
    later = with_validated(Draft(7, "v1.5.0", "", ""), "shop", commit(), "dev-12", NOON + timedelta(days=1))
    assert "2026-03-03 12:00 UTC" in later.body


@given(
    before=st.text(max_size=200),
    after=st.text(max_size=200),
    titles=st.lists(st.text(max_size=50), min_size=1, max_size=5),
)
def test_whatever_people_write_is_kept_byte_for_byte(before: str, after: str, titles: list[str]) -> None:
    body = written(before)
    assert body.startswith(before)
    body += after
    for number, title in enumerate(titles):
        body = written(body, commit(f"{number:040x}", title), f"dev-{number}")
        assert body.startswith(before)
        assert body.endswith(after)
