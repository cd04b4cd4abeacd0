"""What a run would bring that doesn't run there yet: commits and pull requests, asked of GitHub once, before the run is opened.

It is shown and decides nothing: where it can't be asked, words stand in its place, and no release waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.journal import Turn
from engine.notes import Note, Tone
from engine.records import RunChanges
from engine.views import ChangesView, CommitLine, PullLine
from runbook.errors import ForgeError
from runbook.plan import Plan
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.source import Changes
from runbook.values import Environment

LONGEST_S = 5.0
"""Somebody waits for the run to begin; the list is worth no more than this."""

MOST_TOLD = 10
"""Commits and pull requests in a thread."""

RELEASING = (Environment.DEV.value, Environment.STAGING.value, Environment.PROD.value)
"""Procedures that bring a release, each named as its environment."""


@dataclass(frozen=True)
class Base:
    """What runs there, by the ledger. version: as it was released."""

    version: str
    commit: str


async def look_up_changes(ports: Ports, setting: Setting, plan: Plan) -> dict[str, Any] | None:
    """What `plan` brings beyond what runs there. None where nothing can be told: a plan of something else, or no branch is known.

    JSON: `{base, base_version, head, head_version, relation, total, url, trouble, commits: [{sha, title, author, at}], pull_requests:
    [{number, title, author, url}], whole}`. relation: see `runbook.source.Changes`; `first` where nothing was released there before, empty
    where trouble says in words why it is not known. whole: whether every pull request could be asked for. Never raises ForgeError, and
    takes at most `LONGEST_S`.
    """
    service, head = setting.services.get(plan.service), _head(plan)
    if service is None or not head or ports.source is None:
        return None
    found = {"head": head, "head_version": plan.version}
    try:
        async with asyncio.timeout(LONGEST_S):
            base = await what_runs(ports, plan.service, plan.environment)
            if base is None:
                return _told(found, relation="first")
            found |= {"base": base.commit, "base_version": base.version}
            if base.commit == head:
                return _told(found, relation="identical")
            changes = await ports.source.changes(service.repository, base.commit, head)
    except ForgeError as error:
        return _told(found, trouble=error.cause)
    except TimeoutError:
        return _told(found, trouble=f"no answer within {LONGEST_S:g} s")
    if changes is None:
        return _told(
            found, trouble=f"GitHub doesn't know {base.version} ({base.commit[:12]}), which runs there now, any more"
        )
    return _told(found, **_listed(changes))


async def what_runs(ports: Ports, service: str, environment: Environment) -> Base | None:
    """The release that runs there by the ledger; None where none is on record. In production one that was rolled back runs no more."""
    release = await ports.memory.last_go(service, environment)
    return None if release is None else Base(release.version, release.commit)


def keep_changes(turn: Turn, run_id: str, found: Mapping[str, Any] | None) -> None:
    """With the run, in the transaction that opens it; nothing where nothing can be told. The first answer stays."""
    if found is None or turn.ledger.get(RunChanges, run_id) is not None:
        return
    turn.ledger.add(RunChanges(run=run_id, found=dict(found), at=turn.now))
    run, view = turn.run(run_id), changes_view(found)
    if run is not None and run.procedure == Environment.DEV and view is not None and view.commits:
        turn.note(run, "changes", _note(view))  # nobody approves it: there is no card that would tell


def _note(view: ChangesView) -> Note:
    lines = [f"• #{each.number} {each.title} – {each.author}" for each in view.pull_requests[:MOST_TOLD]]
    lines += [f"• {each.sha[:7]} {each.title} – {each.author}" for each in view.commits[:MOST_TOLD]]
    left = view.total - min(len(view.commits), MOST_TOLD)
    more = [f"… and {left:,} more commits"] if left > 0 else []
    title = f"{view.total:,} commit{'' if view.total == 1 else 's'} since {view.base_version}"
    return Note(tone=Tone.INFO, title=title, text="\n".join([*lines, *more]))


def changes_of(turn: Turn, run_id: str) -> ChangesView | None:
    """As they were found when the run was opened; None where nothing is on record."""
    row = turn.ledger.get(RunChanges, run_id)
    return None if row is None else changes_view(row.found)


def changes_view(found: Mapping[str, Any] | None) -> ChangesView | None:
    """found: as `look_up_changes` gave it."""
    if not found:
        return None
    return ChangesView(
        base_version=found["base_version"],
        relation=found["relation"],
        total=found["total"],
        url=found["url"],
        trouble=found["trouble"],
        is_whole=found["whole"],
        commits=tuple(CommitLine(sha=c["sha"], title=c["title"], author=c["author"]) for c in found["commits"]),
        pull_requests=tuple(
            PullLine(number=p["number"], title=p["title"], author=p["author"], url=p["url"])
            for p in found["pull_requests"]
        ),
    )


def view_between(changes: Changes, base_version: str) -> ChangesView | None:
    """Of two versions of which none needs to run anywhere."""
    found = changes_view(_told({"head": changes.head, "base_version": base_version}, **_listed(changes)))
    return None if found is None else replace(found, runs_there=False)


def _head(plan: Plan) -> str:
    release = plan.about.get("release")
    commit = release.get("commit") if isinstance(release, Mapping) and plan.procedure in RELEASING else ""
    return str(commit or "")


def _told(found: Mapping[str, str], **more: Any) -> dict[str, Any]:
    empty = {"relation": "", "total": 0, "url": "", "trouble": "", "commits": [], "pull_requests": [], "whole": True}
    return {"base": "", "base_version": "", **empty, **found, **more}


def _listed(changes: Changes) -> dict[str, Any]:
    return {
        "relation": changes.relation,
        "total": changes.total,
        "url": changes.url,
        "whole": changes.pull_requests_whole,
        "commits": [
            {"sha": each.sha, "title": each.title[:300], "author": each.author[:100], "at": each.at.isoformat()}
            for each in changes.commits
        ],
        "pull_requests": [
            {"number": each.number, "title": each.title[:300], "author": each.author[:100], "url": each.url[:500]}
            for each in changes.pull_requests
        ],
    }
