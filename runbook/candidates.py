"""Which candidate comes next: from the tags that there are, what was validated in dev, and how the two lie to each other. Pure.

It proposes and tags nothing: a tag is signed by a person. Patch and major releases are that person's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from runbook.values import Version

AHEAD, BEHIND, DIVERGED = "ahead", "behind", "diverged"


@dataclass(frozen=True, slots=True)
class Proposal:
    """version: of the tag to make, on `commit` (a full SHA). why: in a sentence. note: what the person should know beside it, or empty."""

    version: str
    commit: str
    why: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NoProposal:
    """code: `candidate.exists`, `candidate.newer`, `candidate.nothing`, `candidate.no_number`. deploy: a candidate to deploy instead, or empty."""

    code: str
    reason: str
    deploy: str = ""


def candidates_of(names: Iterable[str]) -> tuple[Version, ...]:
    """The candidates among tags, the newest first, each once."""
    return tuple(
        sorted({v for v in map(Version.parse, names) if v is not None and v.candidate is not None}, reverse=True)
    )


def finals_of(names: Iterable[str]) -> tuple[Version, ...]:
    """The releases among tags, the newest first, each once."""
    return tuple(sorted({v for v in map(Version.parse, names) if v is not None and v.candidate is None}, reverse=True))


def next_version(names: Iterable[str]) -> tuple[Version | None, str]:
    """(the next candidate's version, why it is this one). The newest tag leads: a candidate without its release counts on, after a release
    the next minor begins. None where a number would be too long for a version.
    """
    found = [v for v in map(Version.parse, names) if v is not None]
    if not found:
        return Version.parse("v0.1.0-rc.1"), "there is no version yet"
    newest = max(found)
    if newest.candidate is not None:
        wanted = f"{_base(newest)}-rc.{newest.candidate + 1}"
        return Version.parse(wanted), f"{newest} is the newest tag, and {_base(newest)} is not released"
    wanted = f"v{newest.major}.{newest.minor + 1}.0-rc.1"
    return Version.parse(wanted), f"{newest} is released, and the next minor follows it"


def propose(names: Iterable[str], commit: str, tagged: Mapping[str, str], relation: str) -> Proposal | NoProposal:
    """names: of tags. commit: what is to be released, a full SHA, such as the newest that was validated in dev. tagged: candidate -> its
    commit, as far as that is known. relation: how `commit` lies to the newest candidate's: `ahead`, `behind`, `diverged`, or empty where that
    isn't known or there is no candidate.
    """
    known = tuple(names)
    candidates = candidates_of(known)
    mine = [str(v) for v in candidates if tagged.get(str(v)) == commit]
    if mine:
        return NoProposal("candidate.exists", f"{commit[:12]} already is {mine[0]}", mine[0])
    if candidates and relation == BEHIND:
        reason = f"{candidates[0]} is newer than {commit[:12]}: there is nothing newer to make a candidate of"
        return NoProposal("candidate.newer", reason, str(candidates[0]))
    version, why = next_version(known)
    if version is None:
        return NoProposal("candidate.no_number", f"{why}, and no number is left: choose the next version by hand")
    return replace(Proposal(str(version), commit, why), note=_note(candidates, version, relation))


def _note(candidates: tuple[Version, ...], version: Version, relation: str) -> str:
    notes = []
    if version.candidate == 1:
        notes.append("For a patch or a major release choose the number yourself")
    if candidates and relation == DIVERGED:
        notes.append(f"It is no successor of {candidates[0]}: what that brought may be missing in it")
    elif not relation and candidates:
        notes.append(f"Whether it is newer than {candidates[0]} is not known")
    return "; ".join(notes)


def _base(version: Version) -> str:
    return f"v{version.major}.{version.minor}.{version.patch}"


def tag_commands(service: str, proposal: Proposal) -> tuple[str, str]:
    """What the person types in a clone of the repository, to make the signed tag and to push it."""
    return (
        f'git fetch origin && git tag -s {proposal.version} {proposal.commit} -m "{service} {proposal.version}"',
        f"git push origin {proposal.version}",
    )
