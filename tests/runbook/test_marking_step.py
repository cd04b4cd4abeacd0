"""The mark *dev-validated*: the commit status and the draft release notes, each once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.plan import Result
from runbook.source import CommitMark, Draft
from runbook.steps import MarkValidated
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.dev_stories import DevWorld
from tests.runbook.fake_source import REPOSITORY
from tests.runbook.fakes import COMMIT, RELEASE
from tests.runbook.test_job_steps_interrupted import Deaths, Died

STEP = MarkValidated(title="Mark as dev-validated", service="shop", repository=REPOSITORY, commit=COMMIT)
MARK = CommitMark("forge/dev-validated", "success", "validated in dev by dev-12 at 2026-03-02 12:00 UTC")
METHODS = ("mark", "commit", "drafts", "write_draft")


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


async def marked(world: DevWorld, step: MarkValidated = STEP) -> Result:
    return await world.finish(step.perform(world.scene(begun_at=NOON)))


def kept(world: DevWorld) -> list[Draft]:
    return world.source.drafts_kept.get(REPOSITORY, [])


async def test_the_status_is_set_and_the_commit_stands_in_a_draft_of_the_next_version(world: DevWorld) -> None:
    world.memory.last = replace(RELEASE, version="v1.4.0")
    result = await marked(world)
    assert result.outcome is Outcome.PASS
    assert world.source.marks == [(REPOSITORY, COMMIT, MARK)]
    (draft,) = kept(world)
    assert (draft.tag, draft.title) == ("v1.5.0", "v1.5.0")
    assert f"- `{COMMIT[:12]}` Sell gift cards (dev-12, 2026-03-02 12:00 UTC)" in draft.body
    assert result.facts == {"marked": {"status": True, "notes": "v1.5.0"}}


async def test_the_draft_that_people_have_begun_is_used(world: DevWorld) -> None:
    world.source.drafts_kept[REPOSITORY] = [
        Draft(3, "v1.6.0", "Gift cards", "They are here."),
        Draft(2, "v1.5.0", "", ""),
    ]
    await marked(world)
    first, second = kept(world)
    assert (first.id, first.title) == (3, "Gift cards")
    assert first.body.startswith("They are here.\n\n<!-- forge:dev-validated:shop -->")
    assert second.body == ""


async def test_a_draft_whose_version_is_tagged_already_is_left_alone(world: DevWorld) -> None:
    world.source.drafts_kept[REPOSITORY] = [Draft(3, "v1.5.0", "", "Ready to go")]
    world.code.tags["v1.5.0"] = replace(next(iter(world.code.tags.values())), name="v1.5.0")
    await marked(world)
    assert {draft.tag: draft.body for draft in kept(world)}["v1.5.0"] == "Ready to go"
    assert kept(world)[0].tag == "v1.6.0"


async def test_called_twice_it_marks_once(world: DevWorld) -> None:
    await marked(world)
    before = kept(world)[:]
    world.source.asked.clear()
    assert (await marked(world)).outcome is Outcome.PASS
    assert kept(world) == before
    assert len(world.source.marks) == 1
    assert "write_draft" not in world.source.asked


# --- killed at every await -----------------------------------------------------------------------------------------------


async def interrupted(deaths: Deaths, between: Callable[[DevWorld], None] = lambda world: None) -> DevWorld:
    """between: what a person does while forge is down."""
    world = DevWorld()
    world.source.drafts_kept[REPOSITORY] = [Draft(3, "v1.5.0", "", "People's words.")]
    for method in METHODS:
        setattr(world.source, method, deaths.wrap(getattr(world.source, method)))
    while True:
        try:
            assert (await marked(world)).outcome is Outcome.PASS
        except Died:
            between(world)
        else:
            return world


async def awaits() -> int:
    deaths = Deaths()
    await interrupted(deaths)
    return deaths.count


@pytest.mark.parametrize("before", [True, False])
async def test_killed_at_any_await_it_ends_the_same(before: bool) -> None:
    whole = await interrupted(Deaths())
    for number in range(1, await awaits() + 1):
        world = await interrupted(Deaths(((number, before),)))
        assert world.source.marks == whole.source.marks
        assert kept(world) == kept(whole)


@pytest.mark.parametrize("before", [True, False])
async def test_what_a_person_writes_while_forge_is_down_is_kept(before: bool) -> None:
    def write(world: DevWorld) -> None:
        draft = kept(world)[0]
        world.source.drafts_kept[REPOSITORY][0] = replace(draft, title="Gift cards", body=f"Hello.\n{draft.body}\nBye.")

    for number in range(1, await awaits() + 1):
        (draft,) = kept(await interrupted(Deaths(((number, before),)), write))
        assert draft.title == "Gift cards"
        assert draft.body.startswith("Hello.\nPeople's words.")
        assert "\nBye." in draft.body
        assert draft.body.count(f"- `{COMMIT[:12]}`") == 1


@pytest.mark.parametrize("before", [True, False])
async def test_a_draft_that_is_published_while_forge_is_down_is_never_rewritten(before: bool) -> None:
    published: list[Draft] = []

    def publish(world: DevWorld) -> None:
        published[:] = [draft for draft in kept(world) if draft.id == 3]
        world.source.published.add(3)
        world.code.tags["v1.5.0"] = replace(next(iter(world.code.tags.values())), name="v1.5.0")

    for number in range(1, await awaits() + 1):
        world = await interrupted(Deaths(((number, before),)), publish)
        old = [draft for draft in kept(world) if draft.id == 3]
        assert old == published
        new = [draft for draft in kept(world) if draft.id != 3]
        assert [draft.tag for draft in new] == ["v1.6.0"]


async def test_a_draft_that_is_published_in_this_very_moment_is_read_again(world: DevWorld) -> None:
    world.source.drafts_kept[REPOSITORY] = [Draft(3, "v1.5.0", "", "")]
    original = world.source.write_draft

    async def write_draft(repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        if 3 not in world.source.published:
            world.source.published.add(3)
            world.code.tags["v1.5.0"] = replace(next(iter(world.code.tags.values())), name="v1.5.0")
        return await original(repository, draft, instead_of)

    world.source.write_draft = write_draft  # type: ignore[method-assign]
    assert (await marked(world)).outcome is Outcome.PASS
    assert {draft.id: draft.body for draft in kept(world)}[3] == ""
    assert kept(world)[0].tag == "v1.6.0"


@pytest.mark.parametrize("there_before", [True, False])
async def test_what_a_person_writes_in_this_very_moment_is_kept(world: DevWorld, there_before: bool) -> None:
    theirs = Draft(3, "v0.1.0", "Gift cards", "Written just now.")
    if there_before:
        world.source.drafts_kept[REPOSITORY] = [replace(theirs, body="")]
    original = world.source.write_draft

    async def write_draft(repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        if world.source.asked.count("write_draft") == 0:
            world.source.drafts_kept[REPOSITORY] = [theirs]
        return await original(repository, draft, instead_of)

    world.source.write_draft = write_draft  # type: ignore[method-assign]
    assert (await marked(world)).outcome is Outcome.PASS
    (draft,) = kept(world)
    assert (draft.title, draft.body.partition("\n")[0]) == ("Gift cards", "Written just now.")
    assert draft.body.count(f"- `{COMMIT[:12]}`") == 1


# --- a GitHub that doesn't ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "gate"), [("mark", "commit status"), ("write_draft", "release notes")])
async def test_a_github_without_the_right_undoes_no_good_deployment(world: DevWorld, method: str, gate: str) -> None:
    world.source.errors[method] = Permanent("github", "forbidden", "GitHub answered 403", "Grant the token the right")
    result = await marked(world)
    assert result.outcome is Outcome.FAIL
    verdicts = {verdict.gate: verdict for verdict in result.verdicts}
    assert verdicts[gate].outcome is Outcome.FAIL
    assert verdicts[gate].reason == "cccccccccccc is validated, but not marked: GitHub answered 403"
    assert verdicts[gate].remedy == "Grant the token the right"
    assert [v.outcome for name, v in verdicts.items() if name != gate] == [Outcome.PASS]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "errors",
    [
        [Temporary("github", "unreachable", "GitHub can't be reached")] * 3,
        [Temporary("github", "rate_limited", "later", retry_after_s=90.0)],
        [Conflict("github", "conflict", "it was published meanwhile")],
    ],
)
async def test_what_may_pass_by_itself_is_waited_for(world: DevWorld, method: str, errors: list[ForgeError]) -> None:
    world.source.errors[method] = [*errors]
    assert (await marked(world)).outcome is Outcome.PASS
    wished = max((getattr(error, "retry_after_s", None) or 0.0) for error in errors)
    assert world.clock.now() - NOON >= timedelta(seconds=wished)
    assert len(world.source.marks) == 1
    assert len(kept(world)) == 1


async def test_a_github_that_stays_away_is_given_up_within_the_patience(world: DevWorld) -> None:
    for method in METHODS:
        world.source.errors[method] = Temporary("github", "unreachable", "GitHub can't be reached")
    result = await marked(world)
    assert [verdict.outcome for verdict in result.verdicts] == [Outcome.FAIL, Outcome.FAIL]
    assert world.clock.now() - NOON <= timedelta(seconds=STEP.patience_s)
    assert result.facts == {"marked": {"status": False, "notes": ""}}


async def test_a_wish_beyond_the_patience_is_not_waited_for(world: DevWorld) -> None:
    world.source.errors["mark"] = Temporary("github", "rate_limited", "later", retry_after_s=3600.0)
    result = await marked(world)
    assert result.outcome is Outcome.FAIL
    assert world.clock.now() == NOON


async def test_a_draft_without_room_says_so(world: DevWorld) -> None:
    world.source.drafts_kept[REPOSITORY] = [Draft(3, "v1.5.0", "", "x" * 120_000)]
    result = await marked(world)
    assert [verdict.code for verdict in result.verdicts] == ["ok", "mark.no_room"]
    assert kept(world)[0].body == "x" * 120_000


async def test_without_a_source_it_says_so(world: DevWorld) -> None:
    world.ports = replace(world.ports, source=None)
    result = await marked(world)
    assert [verdict.code for verdict in result.verdicts] == ["mark.no_source"]


async def test_a_commit_that_is_gone_is_told(world: DevWorld) -> None:
    world.source.branches.clear()
    found: Any = {verdict.gate: verdict.reason for verdict in (await marked(world)).verdicts}
    assert "has no commit cccccccccccc any more" in found["release notes"]
