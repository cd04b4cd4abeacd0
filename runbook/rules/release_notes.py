"""Release notes: where they may stand, and whether they say anything. Runbook: Pre-Deployment, "release notes and rollback plan prepared".

Pure: texts in, notes or a verdict out. Texts come from whoever may write to the repository: they are shortened and never executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing, shortened

NOTES_GATE = "release notes"
CHANGELOG = "CHANGELOG.md"
_SHOWN = 120
_HEADING = re.compile(r"(#{1,6})\s+(\S.*)")
_UNDERLINED = re.compile(r"(=+|-+)\s*")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")
_EMPTY_WORDS = frozenset({"release", "version", "tag", "rc", "tbd", "changelog", "notes", "release notes"})


@dataclass(frozen=True)
class Notes:
    """source: where they stand, for people. text: as written, comments without."""

    source: str
    text: str


def found_notes(version: str, release: str | None, tag_payload: str, changelog: str | None) -> Notes | None:
    """The first place that says something: GitHub's release, the annotated tag's message, the changelog's section for the version."""
    places = (
        ("the GitHub release", release or ""),
        ("the tag's message", tag_message(tag_payload)),
        (f"{CHANGELOG} at the tag", changelog_section(changelog or "", version)),
    )
    for source, text in places:
        clean = _COMMENT.sub("", text).strip()
        if says_something(clean, version):
            return Notes(source, clean)
    return None


def judge_notes(notes: Notes | None, version: str) -> Verdict:
    """Notes that say something, wherever they stand."""
    if notes is None:
        places = listing(
            (f"the GitHub release {version}", "the tag's message", f"{CHANGELOG}, section {version}"), "or"
        )
        remedy = f"Write them into a GitHub release of the tag {version} and publish it; the tag itself never moves"
        return Verdict.failed(NOTES_GATE, "notes.missing", f"{version} has no notes in {places}", remedy=remedy)
    first = next((line for line in notes.text.splitlines() if line.strip(" #*-_>`=\t")), "")
    shown = shortened(" ".join("".join(c if c.isprintable() else " " for c in first).split()), _SHOWN)
    length = Evidence(name="characters", value=len(notes.text), unit="count", source=notes.source)
    return Verdict.passed(NOTES_GATE, f"{version} has notes in {notes.source}: “{shown}”", length)


def says_something(text: str, version: str) -> bool:
    """More than the version's own name and words like "release": `Release v1.4.0` is a title, no note."""
    bare = text.replace(version, " ").replace(version.removeprefix("v"), " ")
    return any(word.lower() not in _EMPTY_WORDS for word in _WORD.findall(bare))


def tag_message(payload: str) -> str:
    """The message of an annotated tag: what stands behind the headers' empty line of what git signs (git's builtin/mktag.c)."""
    return payload.partition("\n\n")[2].strip()


def changelog_section(text: str, version: str) -> str:
    """What stands beneath the heading for this version, up to the next heading of its level or above; empty without one.

    Headings as people write them (keepachangelog.com): `## [1.4.0] - 2026-11-23`, `## v1.4.0`, or underlined. Code blocks have none.
    """
    found: list[str] = []
    inside = 0
    for level, line in _lines(text):
        if level and inside and level <= inside:
            break
        if level and not inside:
            inside = level if _names(line, version) else 0
        elif inside:
            found.append(line)
    return "\n".join(found).strip()


def _lines(text: str) -> list[tuple[int, str]]:
    """(level of a heading or 0, the heading's words or the line)."""
    lines: list[tuple[int, str]] = []
    is_code = False
    for line in text.splitlines():
        if _FENCE.match(line):
            is_code = not is_code
        heading = None if is_code else _HEADING.fullmatch(line)
        previous = lines[-1] if lines else (0, "")
        if heading is not None:
            lines.append((len(heading[1]), heading[2]))
        elif not is_code and _UNDERLINED.fullmatch(line) and previous[0] == 0 and _may_be_title(previous[1]):
            lines[-1] = (1 if line.startswith("=") else 2, previous[1])
        else:
            lines.append((0, line))
    return lines


def _may_be_title(line: str) -> bool:
    """A paragraph; beneath a list's item or a quotation `---` is a rule, and underlines nothing."""
    return bool(line.strip()) and not line.lstrip().startswith(("-", "*", "+", ">", "|"))


def _names(heading: str, version: str) -> bool:
    """`1.4.0` is not named by `1.4.0-rc.1`, nor by `11.4.0`."""
    bare = re.escape(version.removeprefix("v"))
    return re.search(rf"(?<![\w.])v?{bare}(?![\w.+-]*\w)", heading) is not None
