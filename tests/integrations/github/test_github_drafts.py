"""Draft releases: one for a tag, however often and by whomever it is written; what is published stays as it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from integrations.github import GitHub
from integrations.http_calls import Limits
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.source import Draft
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from tests.integrations.github.conftest import QUICK, SECRET

REPO = "acme/shop"
NEW = Draft(0, "v1.5.0", "v1.5.0", "## Changes\n\n- Sell tea")
IMPATIENT = Limits(timeout_s=0.2, attempts=2, deadline_s=2.0, first_wait_s=0.01)


@pytest.fixture(autouse=True)
def something(host: LocalGitHub) -> None:
    host.commit(REPO)


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


def writes(host: LocalGitHub) -> list[str]:
    return [request.method for request in host.requests if request.method != "GET"]


def kept(host: LocalGitHub) -> list[tuple[str, str, bool]]:
    return [(each.tag_name, each.body, each.draft) for each in host.repository(REPO).releases]


async def test_a_draft_is_created_and_then_listed(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    assert written.id
    assert replace(written, id=0) == NEW
    assert await github.drafts(REPO) == (written,)
    assert kept(host) == [(NEW.tag, NEW.body, True)]


async def test_only_drafts_are_listed_the_newest_first(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, "v1.0.0", "Published")
    first = host.release(REPO, "v1.1.0", "One", draft=True)
    second = host.release(REPO, "v1.2.0", "Two", draft=True)
    assert [draft.id for draft in await github.drafts(REPO)] == [second.id, first.id]


async def test_at_most_a_hundred_drafts_are_listed(host: LocalGitHub, github: GitHub) -> None:
    for number in range(130):
        host.release(REPO, f"v1.{number}.0", draft=True)
    found = await github.drafts(REPO)
    assert len(found) == 100
    assert (found[0].tag, found[-1].tag) == ("v1.129.0", "v1.30.0")


async def test_drafts_behind_a_page_of_releases_are_found(host: LocalGitHub, github: GitHub) -> None:
    draft = host.release(REPO, NEW.tag, "Old words", draft=True)
    for number in range(150):
        host.release(REPO, f"v1.{number}.1")
    assert (await github.write_draft(REPO, NEW)).id == draft.id
    assert writes(host) == ["PATCH"]


async def test_a_repository_without_releases_has_no_drafts(github: GitHub) -> None:
    assert await github.drafts(REPO) == ()


async def test_the_same_draft_again_writes_nothing(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    assert await github.write_draft(REPO, NEW) == written
    assert await github.write_draft(REPO, written) == written
    assert writes(host) == ["POST"]


async def test_a_draft_is_rewritten_in_place(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    changed = await github.write_draft(REPO, replace(written, body="More", title="Tea"))
    assert changed == replace(written, body="More", title="Tea")
    assert kept(host) == [(NEW.tag, "More", True)]
    assert writes(host) == ["POST", "PATCH"]


async def test_a_draft_that_a_person_began_is_taken_up(host: LocalGitHub, github: GitHub) -> None:
    theirs = host.release(REPO, NEW.tag, "By hand", draft=True)
    assert (await github.write_draft(REPO, NEW)).id == theirs.id
    assert kept(host) == [(NEW.tag, NEW.body, True)]


async def test_line_ends_of_githubs_own_page_are_no_other_text(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, NEW.tag, NEW.body.replace("\n", "\r\n"), draft=True)
    await github.write_draft(REPO, NEW)
    assert writes(host) == []


async def test_what_people_wrote_into_a_draft_stays_byte_for_byte(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, NEW.tag, "By Ada\r\n\r\nTea & <b>cake</b> 🍰\r\n", draft=True)
    (read,) = await github.drafts(REPO)
    await github.write_draft(REPO, replace(read, body=read.body + "By forge\n"), instead_of=read)
    assert kept(host)[0][1] == "By Ada\r\n\r\nTea & <b>cake</b> 🍰\r\nBy forge\n"


# --- answers lost, twice, two people --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["after", "reset"])
async def test_a_lost_answer_leads_to_one_draft(host: LocalGitHub, github: GitHub, kind: Any) -> None:
    host.faults.add(Fault(kind=kind, method="POST"))
    written = await github.write_draft(REPO, NEW)
    assert await github.drafts(REPO) == (written,)
    assert kept(host) == [(NEW.tag, NEW.body, True)]


async def test_a_draft_whose_answer_was_lost_is_found_by_the_next_who_writes_it(
    host: LocalGitHub, github: GitHub
) -> None:
    client = GitHub(host.url, lambda: SECRET, limits=replace(QUICK, attempts=1))
    host.faults.add(Fault(kind="after", method="POST"))
    assert isinstance(await refusal(client.write_draft(REPO, NEW)), Temporary)
    await client.aclose()
    written = await github.write_draft(REPO, NEW)
    assert kept(host) == [(NEW.tag, NEW.body, True)]
    assert written.id


async def test_a_lost_answer_to_a_rewrite_is_looked_up(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    host.faults.add(Fault(kind="after", method="PATCH"))
    assert (await github.write_draft(REPO, replace(written, body="More"))).body == "More"
    assert writes(host) == ["POST", "PATCH"]


async def test_many_who_write_one_tags_draft_at_once_make_one(host: LocalGitHub, github: GitHub) -> None:
    written = await asyncio.gather(*(github.write_draft(REPO, NEW) for _ in range(6)))
    assert len({draft.id for draft in written}) == 1
    assert len(kept(host)) == 1


async def test_of_two_drafts_for_one_tag_everybody_takes_the_older(host: LocalGitHub, github: GitHub) -> None:
    older = host.release(REPO, NEW.tag, "By Ada", draft=True)
    host.release(REPO, NEW.tag, "By Bob", draft=True)
    assert (await github.write_draft(REPO, NEW)).id == older.id
    assert [body for _, body, _ in kept(host)] == [NEW.body, "By Bob"]


# --- published meanwhile --------------------------------------------------------------------------------------------


async def test_a_draft_that_was_published_meanwhile_stays_as_it_is(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    host.publish_release(REPO, NEW.tag)
    for draft in (replace(written, body="More"), replace(NEW, body="More")):
        error = await refusal(github.write_draft(REPO, draft))
        assert isinstance(error, Conflict)
        assert "published" in error.cause
    assert kept(host) == [(NEW.tag, NEW.body, False)]


async def test_a_release_that_was_published_in_the_very_moment_is_a_conflict(host: LocalGitHub, github: GitHub) -> None:
    taken = {"resource": "Release", "field": "tag_name", "code": "already_exists"}
    body = {"message": "Validation Failed", "errors": [taken]}
    host.faults.add(Fault(status=422, method="POST", body=body))
    assert isinstance(await refusal(github.write_draft(REPO, NEW)), Conflict)
    assert writes(host) == ["POST"]


async def test_a_rewrite_that_met_a_published_release_is_told(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    shown = {"id": written.id, "tag_name": NEW.tag, "name": NEW.title, "body": "More", "draft": False}
    host.faults.add(Fault(status=200, method="PATCH", body=shown))
    assert isinstance(await refusal(github.write_draft(REPO, replace(written, body="More"))), Conflict)


async def test_a_draft_that_was_deleted_meanwhile_is_a_conflict(host: LocalGitHub, github: GitHub) -> None:
    written = await github.write_draft(REPO, NEW)
    host.repository(REPO).releases.clear()
    error = await refusal(github.write_draft(REPO, replace(written, body="More")))
    assert isinstance(error, Conflict)
    assert "gone" in error.cause
    assert kept(host) == []


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_a_token_that_may_only_read_sees_no_drafts_and_is_told_which_right_it_needs(host: LocalGitHub) -> None:
    host.release(REPO, NEW.tag, "By Ada", draft=True)
    reader = GitHub(host.url, lambda: host.read_only_token, limits=QUICK)
    assert await reader.drafts(REPO) == ()
    error = await refusal(reader.write_draft(REPO, NEW))
    await reader.aclose()
    assert (type(error), error.code) == (Permanent, "github.forbidden")
    assert "Contents: write" in error.remedy
    assert host.read_only_token not in f"{error!r} {error} {vars(error)}"
    assert len(kept(host)) == 1


async def test_notes_that_are_too_long_are_refused_with_githubs_words(host: LocalGitHub, github: GitHub) -> None:
    error = await refusal(github.write_draft(REPO, replace(NEW, body="x" * 130_000)))
    assert (type(error), error.code) == (Permanent, "github.invalid")
    assert "too long" in error.cause
    assert len(error.cause) < 1000


@pytest.mark.parametrize("tag", ["../../user", "v 1", ""])
async def test_a_tag_that_could_leave_its_path_is_never_sent(host: LocalGitHub, github: GitHub, tag: str) -> None:
    assert (await refusal(github.write_draft(REPO, replace(NEW, tag=tag)))).code == "github.bad_name"
    assert host.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "code", "asked"),
    [
        (401, Permanent, "github.unauthorized", 1),
        (404, Permanent, "github.not_found", 1),
        (422, Permanent, "github.invalid", 1),
        (500, Temporary, "github.server_error", 3),
        (502, Temporary, "github.unavailable", 3),
    ],
)
async def test_a_refused_draft_is_its_own_error(
    host: LocalGitHub, github: GitHub, status: int, kind: type[ForgeError], code: str, asked: int
) -> None:
    host.faults.add(Fault(status=status, method="POST", times=-1))
    error = await refusal(github.write_draft(REPO, NEW))
    assert (type(error), error.code) == (kind, code)
    assert writes(host) == ["POST"] * asked


async def test_a_409_to_a_write_is_a_conflict_and_no_empty_repository(host: LocalGitHub, github: GitHub) -> None:
    host.faults.add(Fault(status=409, method="POST", body={"message": "Conflict"}))
    assert isinstance(await refusal(github.write_draft(REPO, NEW)), Conflict)


async def test_the_limit_of_writes_is_passed_on_with_its_pause(host: LocalGitHub, github: GitHub) -> None:
    words = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation."
    host.faults.add(Fault(status=403, method="POST", body={"message": words}))
    error = await refusal(github.write_draft(REPO, NEW))
    assert isinstance(error, Temporary)
    assert (error.code, error.retry_after_s) == ("github.rate_limited", 60.0)
    assert kept(host) == []


@pytest.mark.parametrize("body", ["<html>", '{"id": 7, "tag_na', [], {"id": 7}, {"id": "x", "tag_name": "v1"}])
async def test_garbage_after_a_draft_was_written_is_told(host: LocalGitHub, github: GitHub, body: Any) -> None:
    host.faults.add(Fault(status=201, method="POST", body=body or [1]))
    error = await refusal(github.write_draft(REPO, NEW))
    assert (type(error), error.code) == (Permanent, "github.garbage")


async def test_a_hanging_write_is_temporary(host: LocalGitHub) -> None:
    client = GitHub(host.url, lambda: SECRET, limits=IMPATIENT)
    host.faults.add(Fault(kind="hang", method="POST", times=-1))
    error = await refusal(client.write_draft(REPO, NEW))
    await client.aclose()
    assert (type(error), error.code) == (Temporary, "github.timeout")
    assert SECRET not in f"{error!r} {error} {vars(error)}"
