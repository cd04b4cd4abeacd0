"""Release notes as GitHub has them: published ones alone, and every refusal."""

from __future__ import annotations

import pytest

from integrations.github import GitHub
from runbook.errors import Permanent, Temporary
from sandbox.faults import Fault
from sandbox.github import LocalGitHub

REPO, TAG = "acme/shop", "v1.4.0"


async def test_the_text_of_the_published_release_is_read(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, TAG, "Tongs can be sold.")
    assert await github.release_notes(REPO, TAG) == "Tongs can be sold."


async def test_a_release_without_text_is_empty(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, TAG)
    assert await github.release_notes(REPO, TAG) == ""


async def test_a_draft_and_another_tags_release_are_none(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, TAG, "Not yet", draft=True)
    host.release(REPO, "v1.4.0-rc.1", "A candidate")
    assert await github.release_notes(REPO, TAG) is None


async def test_a_name_that_is_no_tags_is_not_asked_for(host: LocalGitHub, github: GitHub) -> None:
    with pytest.raises(Permanent) as caught:
        await github.release_notes(REPO, "v1/../../user?y#z")
    assert caught.value.code == "github.bad_name"
    assert host.requests == []


async def test_a_repository_that_cant_be_seen_is_an_error_and_no_missing_release(github: GitHub) -> None:
    with pytest.raises(Permanent) as caught:
        await github.release_notes("acme/secret", TAG)
    assert caught.value.code == "github.not_found"


@pytest.mark.parametrize("body", ["[]", '{"tag_name": "v1.4.0"}', '{"tag_name": "v1.4.0", "draft": false, "body": 7}'])
async def test_an_answer_of_another_form_is_refused(host: LocalGitHub, github: GitHub, body: str) -> None:
    host.repository(REPO)
    host.faults.add(Fault(path="releases", status=200, body=body))
    with pytest.raises(Permanent) as caught:
        await github.release_notes(REPO, TAG)
    assert caught.value.code == "github.garbage"


async def test_an_outage_passes_by_retries_or_is_temporary(host: LocalGitHub, github: GitHub) -> None:
    host.release(REPO, TAG, "Notes")
    host.faults.add(Fault(path="releases", status=502, times=2))
    assert await github.release_notes(REPO, TAG) == "Notes"
    host.faults.add(Fault(path="releases", status=503, times=-1))
    with pytest.raises(Temporary):
        await github.release_notes(REPO, "v9.9.9")
