"""Candidates for staging: those that there are, and the next one to tag. Asked of GitHub and the ledger, bounded in time; nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from engine.answers import Answer, info, refused
from engine.changes import view_between
from engine.intents import Intent
from engine.lookups import Asking, Finish, saying
from engine.naming import service_named
from engine.places import RESULTS
from engine.ports import Ledger, Store
from engine.records import Decision, SeenTag
from engine.views import ChangesView
from runbook.candidates import NoProposal, Proposal, candidates_of, propose, tag_commands
from runbook.errors import ForgeError
from runbook.policy import Service, Setting
from runbook.ports import Ports
from runbook.source import Changes, CommitInfo
from runbook.values import Environment

LONGEST_S = 8.0
"""Somebody looks at a dialog that is being filled."""

MOST_OFFERED = 25
MOST_TAGS_ASKED = 10
"""Of how many of the newest candidates GitHub is asked for the commit, where forge has not seen the tag itself."""

_ON_BRANCH = 100
_MOST_DECISIONS = 1000
_NAMED = ("deploy", "plan")


@dataclass(frozen=True, kw_only=True)
class CandidateLine:
    """One candidate. commit: its full SHA, or empty where it isn't known. validated: in dev; None: not known, or there is no dev.

    decided: `go`, `no_go` or empty. runs_now: it is what staging runs by the ledger.
    """

    version: str
    commit: str = ""
    validated: bool | None = None
    validated_at: datetime | None = None
    decided: str = ""
    decided_at: datetime | None = None
    runs_now: bool = False


@dataclass(frozen=True, kw_only=True)
class CandidatesView:
    """lines: the newest first. total: how many there are. has_dev: whether anything is validated in dev."""

    service: str
    lines: tuple[CandidateLine, ...]
    total: int
    has_dev: bool
    now: datetime


@dataclass(frozen=True, kw_only=True)
class ProposalView:
    """The next candidate: what to type in a clone of the repository, and then to forge. commit: a full SHA. basis: why this commit.

    changes: since the newest candidate, where there is one and GitHub could say. candidates: the newest that there are.
    """

    service: str
    version: str
    commit: str
    title: str
    basis: str
    why: str
    note: str
    commands: tuple[str, ...]
    deploy: str
    candidates: tuple[CandidateLine, ...] = ()
    changes: ChangesView | None = None


@dataclass(frozen=True)
class _Known:
    """What the ledger knows. told: version -> its newest go or no-go. validated: commit -> when, the newest first. seen: tag -> commit."""

    told: Mapping[str, tuple[str, datetime]]
    validated: Mapping[str, datetime]
    seen: Mapping[str, str]


def wants_candidate(intent: Intent) -> bool:
    """Staging without a version: somebody has to choose one, or to make one."""
    return (
        not intent.button and intent.name in _NAMED and intent.environment is Environment.STAGING and not intent.version
    )


async def look_up_candidates(asking: Asking) -> Finish:
    """`deploy staging` and `plan staging` without a version, where no dialog asks for it."""
    service = service_named(asking.setting, asking.intent.service)
    if isinstance(service, Answer):
        return saying(service)
    if asking.intent.name == "plan":
        return saying(await _bounded(_proposed(service, asking.ports, asking.store)))
    answer = await candidate_choices(asking.intent, asking.setting, asking.ports, asking.store)
    if not isinstance(answer.view, CandidatesView):
        return saying(answer)
    named = answer.view.lines[0].version
    more = f" --service {service.name}" if asking.intent.service else ""
    text = "Name the candidate that goes to staging; these are the newest."
    which = refused("candidate.which", text, f"`/forge deploy staging {named}{more}`")
    return saying(replace(which, view=answer.view))


async def candidate_choices(intent: Intent, setting: Setting, ports: Ports, store: Store) -> Answer:
    """What the dialog of `/forge deploy staging` offers, as a `CandidatesView`; a refusal where there is nothing, or GitHub gave no answer."""
    service = service_named(setting, intent.service)
    if isinstance(service, Answer):
        return service
    if Environment.STAGING not in service.urls:
        return refused("deploy.not_configured", f"{service.name} has no staging in the configuration.",
                       f"Add services.{service.name}.urls.staging to forge.yaml.")  # fmt: skip
    return await _bounded(_offered(service, ports, store))


async def _bounded(work: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(LONGEST_S):
            return await work
    except ForgeError as error:
        return refused(error.code, f"{error.cause}. Nothing was started.", error.remedy or "Try again in a moment.")
    except TimeoutError:
        text = f"GitHub gave no answer within {LONGEST_S:g} s. Nothing was started."
        return refused("candidate.slow", text, "Try again, or name the candidate: `/forge deploy staging vX.Y.Z-rc.N`")


async def _offered(service: Service, ports: Ports, store: Store) -> Answer:
    names, known = await asyncio.gather(
        ports.code.tag_names(service.repository, "v"), store.read(lambda ledger: _known(ledger, service.name))
    )
    candidates = [str(version) for version in candidates_of(names)]
    if not candidates:
        return refused("candidate.none", f"{service.repository} has no candidate: no tag is called vX.Y.Z-rc.N.",
                       "`/forge plan staging` proposes the next one, with the commands that make its tag.")  # fmt: skip
    lines = await _lines(candidates[:MOST_OFFERED], known, service, ports)
    view = CandidatesView(
        service=service.name, lines=lines, total=len(candidates), has_dev=has_dev(service, ports), now=ports.clock.now()
    )
    return info("candidates", f"{len(candidates)} candidates of {service.name}.", view=view)


async def _proposed(service: Service, ports: Ports, store: Store) -> Answer:
    names, known = await asyncio.gather(
        ports.code.tag_names(service.repository, "v"), store.read(lambda ledger: _known(ledger, service.name))
    )
    commit, basis = await _to_release(service, known, ports)
    if commit is None:
        return refused("candidate.nothing_validated", f"Nothing to propose: {basis}.",
                       f"`/forge deploy dev` deploys the newest commit of {service.branch}.")  # fmt: skip
    candidates = [str(version) for version in candidates_of(names)][:MOST_OFFERED]
    lines = await _lines(candidates, known, service, ports)
    tagged = {line.version: line.commit for line in lines if line.commit}
    changes = await _between(service, tagged.get(candidates[0], "") if candidates else "", commit.sha, ports)
    found = propose(names, commit.sha, tagged, changes.relation if changes is not None else "")
    if isinstance(found, NoProposal):
        remedy = f"`/forge deploy staging {found.deploy}`" if found.deploy else ""
        return refused(found.code, f"Nothing to propose: {found.reason}.", remedy)
    return _shown(service, found, commit, basis, lines, changes)


def _shown(
    service: Service,
    found: Proposal,
    commit: CommitInfo,
    basis: str,
    lines: tuple[CandidateLine, ...],
    changes: Changes | None,
) -> Answer:
    view = ProposalView(
        service=service.name, version=found.version, commit=found.commit, title=commit.title, basis=basis,
        why=found.why, note=found.note, commands=tag_commands(service.name, found),
        deploy=f"/forge deploy staging {found.version}", candidates=lines[:5],
        changes=None if changes is None else view_between(changes, lines[0].version),
    )  # fmt: skip
    text = f"The next candidate of {service.name} is {found.version}, of {found.commit[:12]}. Nothing was changed: a person signs its tag."
    return info("plan.candidate", text, view=view)


def has_dev(service: Service, ports: Ports) -> bool:
    """Whether commits are validated in dev before they become candidates."""
    return Environment.DEV in service.urls and Environment.DEV in ports.clusters


async def _to_release(service: Service, known: _Known, ports: Ports) -> tuple[CommitInfo | None, str]:
    """(the commit that a candidate would be made of, why it is this one): the newest on the branch that was validated in dev; without dev
    the branch's newest.
    """
    if ports.source is None:
        return None, f"forge can't see what is on {service.branch} of {service.repository}"
    history = await ports.source.commits(service.repository, service.branch, _ON_BRANCH)
    if not has_dev(service, ports):
        newest = f"it is the newest on {service.branch}; nothing is validated in dev, which isn't configured"
        return (history[0], newest) if history else (None, f"nothing is on {service.branch}")
    for place, commit in enumerate(history):
        if (at := known.validated.get(commit.sha)) is not None:
            newer = (
                f"; {place} newer on {service.branch} {'is' if place == 1 else 'are'} not validated" if place else ""
            )
            return commit, f"it was validated in dev at {at:%Y-%m-%d %H:%M} UTC{newer}"
    return None, f"none of the newest {_ON_BRANCH} commits on {service.branch} was validated in dev"


async def _between(service: Service, newest: str, commit: str, ports: Ports) -> Changes | None:
    """How the commit lies to the newest candidate's; None where nobody can say."""
    if not newest or ports.source is None:
        return None
    try:
        return await ports.source.changes(service.repository, newest, commit)
    except ForgeError:
        return None


async def _lines(names: Iterable[str], known: _Known, service: Service, ports: Ports) -> tuple[CandidateLine, ...]:
    versions = list(names)
    unseen = [version for version in versions if version not in known.seen][:MOST_TAGS_ASKED]
    asked, last = await asyncio.gather(
        asyncio.gather(*(_commit_of(version, service, ports) for version in unseen)),
        ports.memory.last_go(service.name, Environment.STAGING),
    )
    commits = {**known.seen, **{version: commit for version, commit in zip(unseen, asked, strict=True) if commit}}
    is_validated = has_dev(service, ports)
    made = []
    for version in versions:
        commit = commits.get(version, "")
        decided, decided_at = known.told.get(version, ("", None))
        at = known.validated.get(commit)
        made.append(
            CandidateLine(
                version=version,
                commit=commit,
                validated=(at is not None) if commit and is_validated else None,
                validated_at=at,
                decided=decided,
                decided_at=decided_at,
                runs_now=last is not None and last.version == version,
            )
        )
    return tuple(made)


async def _commit_of(version: str, service: Service, ports: Ports) -> str:
    """Empty where GitHub doesn't say: then the line says that it isn't known."""
    try:
        tag = await ports.code.tag(service.repository, version)
    except ForgeError:
        return ""
    return tag.commit if tag is not None else ""


def _known(ledger: Ledger, service: str) -> _Known:
    told: dict[str, tuple[str, datetime]] = {}
    for row in _decisions(ledger, service, Environment.STAGING):
        told.setdefault(row.version, (row.result, row.at))
    newest: dict[str, tuple[str, datetime]] = {}
    for row in _decisions(ledger, service, Environment.DEV):
        newest.setdefault(str((row.release or {}).get("commit", "")), (row.result, row.at))
    validated = {commit: at for commit, (result, at) in newest.items() if result == RESULTS[Environment.DEV][0]}
    seen = {row.tag: row.commit for row in ledger.find(SeenTag, service=service)}
    return _Known(told, validated, seen)


def _decisions(ledger: Ledger, service: str, environment: Environment) -> list[Decision]:
    return ledger.find(
        Decision, order="-at", limit=_MOST_DECISIONS, service=service, environment=environment.value,
        result=list(RESULTS[environment]),
    )  # fmt: skip
