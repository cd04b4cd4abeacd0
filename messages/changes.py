"""What a release brings: commits, pull requests and who wrote them, in Slack, in the terminal and for the report. Pure.

Titles and names are somebody's: they are shown as text, and nobody is notified because a commit of theirs is released.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.views import ChangesView
from messages.blocks import Markup, bold, code, esc, join, link

MOST = 10
"""Commits and pull requests on a card and beneath a plan; the report has them all."""

_TITLE, _NAME = 120, 40


def summary(view: ChangesView) -> str:
    """One plain sentence."""
    if view.trouble:
        return f"What it changes could not be asked: {view.trouble}."
    # Neither "now" nor "before": the sentence stands on the card while it waits, and in the report years later.
    before = view.base_version + (", which it follows there" if view.runs_there else "")
    number = f"{view.total:,} commit{'' if view.total == 1 else 's'}"
    match view.relation:
        case "first":
            return "Nothing is on record as released there before: there is nothing to compare it with."
        case "identical":
            return f"Nothing new: {before}{',' if view.runs_there else ''} is the same commit."
        case "behind":
            return f"An OLDER version than {before}: it brings nothing new, and takes back what came since."
        case "diverged":
            return f"It is NOT a successor of {before}: it brings {number}, and lacks some of those."
    return f"{number} since {before}." + ("" if view.is_whole else " Not every pull request could be asked for.")


def change_lines(view: ChangesView, most: int = MOST) -> list[Markup]:
    """The sentence with a link, pull requests, then the newest commits; at most `most` of each, and how many more there are."""
    compare = link(view.url, "compare") if view.url else ""
    is_odd = view.trouble or view.relation in ("behind", "diverged")
    lines = [join(":warning:" if is_odd else "", bold(Markup("Changes:")), esc(summary(view)), compare)]
    for pull in view.pull_requests[:most]:
        number = link(pull.url, f"#{pull.number}")
        lines.append(join("•", number, esc(pull.title, _TITLE), _by(pull.author)))
    lines += _more(len(view.pull_requests) - most, "pull request")
    for commit in view.commits[:most]:
        lines.append(join("•", code(commit.sha[:7]), esc(commit.title, _TITLE), _by(commit.author)))
    lines += _more(view.total - min(len(view.commits), most) if view.commits else 0, "commit")
    return lines


def change_texts(view: ChangesView, most: int = MOST) -> list[str]:
    """The same as plain lines, which are cleaned where they are printed."""
    lines = [f"Changes: {summary(view)}"]
    lines += [f"  #{pull.number} {pull.title} ({pull.author})" for pull in view.pull_requests[:most]]
    lines += _more(len(view.pull_requests) - most, "pull request")
    lines += [f"  {commit.sha[:7]} {commit.title} ({commit.author})" for commit in view.commits[:most]]
    lines += _more(view.total - min(len(view.commits), most) if view.commits else 0, "commit")
    return [*lines, f"  {view.url}"] if view.url else lines


def _by(author: str) -> Markup:
    return Markup(f"– {esc(author, _NAME)}") if author else Markup("")


def _more(number: int, what: str) -> Sequence[Markup]:
    return [Markup(f"… and {number:,} more {what}{'' if number == 1 else 's'}")] if number > 0 else []
