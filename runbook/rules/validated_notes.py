"""The draft release notes in which dev-validated commits stand. Runbook: Development Deployment 6. Pure.

Between two marker comments lies the service's section, which is forge's; what people write around it stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from runbook.source import CommitInfo, Draft
from runbook.values import Version
from runbook.wording import shortened

MOST_COMMITS = 50
LONGEST_BODY = 120_000
"""GitHub takes 125,000 characters."""

_LONGEST_TITLE = 100
_ENTRY = re.compile(r"^- `([0-9a-f]{12})` ")


def next_draft(drafts: Sequence[Draft], floor: Version | None) -> Draft:
    """The newest draft for a final version above the floor; else one that isn't there yet, for the next minor version.

    drafts: the newest first. floor: the highest version that is released or tagged; None: there is none.
    """
    for draft in drafts:
        version = Version.parse(draft.tag)
        if version is not None and version.candidate is None and (floor is None or version > floor):
            return draft
    tag = "v0.1.0" if floor is None else f"v{floor.major}.{floor.minor + 1}.0"
    return Draft(0, tag, tag, "")


def floor_of(tags: Sequence[str], released: str) -> Version | None:
    """The highest final version among tags and what runs in production. released: its version, or empty."""
    versions = (Version.parse(text) for text in (*tags, released))
    return max((v for v in versions if v is not None and v.candidate is None), default=None)


def with_validated(draft: Draft, service: str, commit: CommitInfo, run: str, at: datetime) -> Draft:
    """The draft with the commit's line first in the service's section. The same commit by the same run again changes nothing; by another
    run it moves to the front."""
    line = _line(commit, run, at)
    start, end = markers(service)
    place = _section(draft.body, start, end)
    if place is None:
        section = f"{start}\n### Validated in dev: {service}\n\n{line}\n{end}\n"
        gap = "" if not draft.body else "\n" if draft.body.endswith("\n") else "\n\n"
        return replace(draft, body=f"{draft.body}{gap}{section}")
    first, last = place
    inside = _with_line(draft.body[first:last], line)
    return replace(draft, body=draft.body[:first] + inside + draft.body[last:])


def markers(service: str) -> tuple[str, str]:
    """The comments between which a service's section stands; nobody sees them on the page."""
    return f"<!-- forge:dev-validated:{service} -->", f"<!-- /forge:dev-validated:{service} -->"


def _section(body: str, start: str, end: str) -> tuple[int, int] | None:
    """From after the first comment to before the second. A comment without its partner is people's text by now."""
    at = body.find(start)
    while at >= 0:
        inside = at + len(start)
        last, following = body.find(end, inside), body.find(start, inside)
        if last >= 0 and (following < 0 or last < following):
            return inside, last
        at = following
    return None


def _with_line(inside: str, line: str) -> str:
    """The new line before all others, the oldest left out. What stands there beside such lines stays where it is."""
    lines = inside.splitlines(keepends=True)
    if any(each.rstrip("\r\n") == line for each in lines):
        return inside
    end = "\r\n" if "\r\n" in inside else "\n"
    sha = _sha(line)
    kept = [each for each in lines if _sha(each) != sha]
    places = [place for place, each in enumerate(kept) if _sha(each)]
    for place in reversed(places[MOST_COMMITS - 1 :]):
        del kept[place]
    if not places and (not kept or not kept[-1].endswith("\n")):
        kept.append(end)
    kept.insert(places[0] if places else len(kept), line + end)
    return "".join(kept)


def _sha(line: str) -> str:
    found = _ENTRY.match(line)
    return found[1] if found is not None else ""


def _line(commit: CommitInfo, run: str, at: datetime) -> str:
    return f"- `{commit.sha[:12]}` {_title(commit.title)} ({run}, {at:%Y-%m-%d %H:%M} UTC)"


def _title(text: str) -> str:
    """Nobody is notified by it, and nothing in it is markup: no mention, no comment, no image, no link."""
    plain = shortened(" ".join("".join(each if each.isprintable() else " " for each in text).split()), _LONGEST_TITLE)
    escaped = re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", plain)
    return escaped.replace("@", "@\u200b")
