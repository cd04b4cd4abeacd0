"""Where release notes may stand, and what counts as saying something."""

from __future__ import annotations

import pytest

from runbook.rules.release_notes import changelog_section, found_notes, judge_notes, says_something, tag_message
from runbook.verdicts import Outcome

VERSION = "v1.4.0"
CHANGELOG = """# Changelog

## [Unreleased]
- something else

## [1.4.0] - 2026-11-23
### Added
- Tongs can be sold.

```
## 1.3.0 is only code here
```

## [1.4.0-rc.2]
- a candidate

## v1.3.0
- Older
"""


def payload(message: str) -> str:
    return f"object {'c' * 40}\ntype commit\ntag {VERSION}\ntagger Ann <ann@example.com> 1767000000 +0000\n\n{message}"


def test_a_changelogs_section_is_found_by_its_version_and_ends_at_the_next() -> None:
    section = changelog_section(CHANGELOG, VERSION)
    assert "Tongs can be sold." in section
    assert "only code" in section
    assert "a candidate" not in section
    assert "Older" not in section
    assert changelog_section(CHANGELOG, "v1.4.0-rc.2") == "- a candidate"
    assert changelog_section(CHANGELOG, "v1.3.0") == "- Older"


@pytest.mark.parametrize(
    "heading",
    [
        "## 1.4.0", "## v1.4.0", "# [v1.4.0]", "### Version 1.4.0 (2026-11-23)", "1.4.0\n-----", "v1.4.0 - today\n====",
        "## [1.4.0](https://example.com/compare/v1.3.0...v1.4.0)", "## 1.4.0: tongs",
    ],
)  # fmt: skip
def test_headings_are_read_as_people_write_them(heading: str) -> None:
    assert changelog_section(f"Intro\n\n{heading}\n\nTongs.\n", VERSION) == "Tongs."


@pytest.mark.parametrize("heading", ["## 11.4.0", "## 1.4.01", "## 1.4.0-rc.1", "## 1.4.0.1", "## 1.4", "1.4.0 tongs"])
def test_another_versions_heading_or_plain_text_is_no_section(heading: str) -> None:
    assert changelog_section(f"{heading}\n\nTongs.\n", VERSION) == ""


def test_a_rule_beneath_a_list_ends_no_section() -> None:
    text = "## 1.4.0\n- Tongs\n---\n- Hammers\n"
    assert "Hammers" in changelog_section(text, VERSION)


@pytest.mark.parametrize(
    "text", ["", "  \n", "v1.4.0", "Release v1.4.0", "Version 1.4.0 release notes", "1.4.0 - 2026", "TBD", "…!"]
)
def test_a_title_or_a_placeholder_says_nothing(text: str) -> None:
    assert not says_something(text, VERSION)


def test_the_first_place_that_says_something_counts() -> None:
    message = payload("Tongs can be sold.\n")
    assert tag_message(message) == "Tongs can be sold."
    notes = found_notes(VERSION, "Release v1.4.0", message, CHANGELOG)
    assert notes is not None
    assert notes.source == "the tag's message"
    notes = found_notes(VERSION, "<!-- write here -->", payload("Release v1.4.0"), CHANGELOG)
    assert notes is not None
    assert notes.source == "CHANGELOG.md at the tag"
    notes = found_notes(VERSION, "## Tongs", message, CHANGELOG)
    assert notes is not None
    assert notes.source == "the GitHub release"


def test_no_notes_fail_with_the_remedy() -> None:
    verdict = judge_notes(found_notes(VERSION, None, "", None), VERSION)
    assert (verdict.outcome, verdict.code, verdict.gate) == (Outcome.FAIL, "notes.missing", "release notes")
    assert "v1.4.0" in verdict.remedy


def test_notes_pass_and_show_their_first_words_on_one_clean_line() -> None:
    notes = found_notes(VERSION, "\n***\n# \x1b[31m<!channel> Tongs\u202e & *hammers*" + "x" * 500, "", None)
    verdict = judge_notes(notes, VERSION)
    assert verdict.outcome == Outcome.PASS
    assert "\x1b" not in verdict.reason
    assert "\u202e" not in verdict.reason
    assert len(verdict.reason) < 250


def test_a_hostile_changelog_is_read_quickly() -> None:
    hostile = "#" * 200_000 + "\n" + "<!--" * 50_000 + "\n" + "## 1.4.0" + "." * 200_000 + "\n" + "=" * 200_000
    found_notes(VERSION, hostile, hostile, hostile)
