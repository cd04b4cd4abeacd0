"""Which candidate is proposed, whatever tags there are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.candidates import NoProposal, Proposal, candidates_of, next_version, propose, tag_commands
from runbook.values import Version

SHA, OTHER = "a" * 40, "b" * 40

numbers = st.integers(0, 30)
finals = st.builds("v{}.{}.{}".format, numbers, numbers, numbers)
candidates = st.builds("v{}.{}.{}-rc.{}".format, numbers, numbers, numbers, st.integers(1, 30))
noise = st.sampled_from(["latest", "v1", "v1.2", "v1.2.3-beta.1", "1.2.3", "v01.2.3", "v1.2.3-rc.0", ""])
tags = st.lists(st.one_of(finals, candidates, noise), max_size=30)


def parsed(names: list[str]) -> list[Version]:
    return [version for version in map(Version.parse, names) if version is not None]


@given(tags)
def test_the_next_candidate_is_a_new_candidate_above_every_tag(names: list[str]) -> None:
    version, why = next_version(names)
    assert version is not None
    assert why
    assert version.candidate is not None
    assert str(version) not in names
    assert all(version > other for other in parsed(names))


@given(tags)
def test_a_version_counts_on_until_it_is_released_and_then_the_next_minor_begins(names: list[str]) -> None:
    version, _ = next_version(names)
    assert version is not None
    base = f"v{version.major}.{version.minor}.{version.patch}"
    assert base not in names
    if version.candidate != 1:
        assert f"{base}-rc.{(version.candidate or 0) - 1}" in names
    elif parsed(names):
        newest = max(parsed(names))
        assert newest.candidate is None
        assert (version.major, version.minor, version.patch) == (newest.major, newest.minor + 1, 0)


@given(tags)
def test_the_order_of_the_tags_says_nothing(names: list[str]) -> None:
    assert next_version(names) == next_version(sorted(names, reverse=True))


@given(tags, st.sampled_from(["ahead", "diverged", ""]))
def test_what_is_proposed_can_be_typed_as_it_stands(names: list[str], relation: str) -> None:
    found = propose(names, SHA, {}, relation)
    assert isinstance(found, Proposal)
    make, push = tag_commands("shop", found)
    assert re.fullmatch(r'git fetch origin && git tag -s v[\d.]+-rc\.\d+ a{40} -m "shop v[\d.]+-rc\.\d+"', make)
    assert push == f"git push origin {found.version}"


@pytest.mark.parametrize(
    ("names", "wanted", "note"),
    [
        ([], "v0.1.0-rc.1", "choose the number yourself"),
        (["v1.3.0"], "v1.4.0-rc.1", "choose the number yourself"),
        (["v1.3.0", "v1.4.0-rc.2", "v1.4.0-rc.1"], "v1.4.0-rc.3", ""),
        (["v1.4.0", "v1.4.0-rc.2"], "v1.5.0-rc.1", "choose the number yourself"),
        (["v1.5.0", "v1.4.0-rc.2"], "v1.6.0-rc.1", "choose the number yourself"),
        (["v1.3.1", "v1.4.0-rc.9", "v1.4.0-rc.10"], "v1.4.0-rc.11", ""),
        (["v1.9.0"], "v1.10.0-rc.1", "choose the number yourself"),
    ],
)
def test_the_candidate_that_people_expect_is_proposed(names: list[str], wanted: str, note: str) -> None:
    found = propose(names, SHA, {}, "ahead" if candidates_of(names) else "")
    assert isinstance(found, Proposal)
    assert found.version == wanted
    assert (note in found.note) if note else found.note == ""


def test_a_commit_that_is_a_candidate_already_needs_no_other() -> None:
    found = propose(["v1.4.0-rc.1", "v1.4.0-rc.2"], SHA, {"v1.4.0-rc.1": SHA, "v1.4.0-rc.2": OTHER}, "ahead")
    assert found == NoProposal("candidate.exists", "aaaaaaaaaaaa already is v1.4.0-rc.1", "v1.4.0-rc.1")


def test_nothing_is_proposed_for_a_commit_older_than_the_newest_candidate() -> None:
    found = propose(["v1.4.0-rc.2"], SHA, {"v1.4.0-rc.2": OTHER}, "behind")
    assert isinstance(found, NoProposal)
    assert (found.code, found.deploy) == ("candidate.newer", "v1.4.0-rc.2")


def test_a_commit_on_another_line_is_told() -> None:
    found = propose(["v1.4.0-rc.2"], SHA, {"v1.4.0-rc.2": OTHER}, "diverged")
    assert isinstance(found, Proposal)
    assert "no successor of v1.4.0-rc.2" in found.note


def test_what_could_not_be_compared_is_told() -> None:
    found = propose(["v1.4.0-rc.2"], SHA, {}, "")
    assert isinstance(found, Proposal)
    assert "Whether it is newer than v1.4.0-rc.2 is not known" in found.note


def test_numbers_that_no_version_can_have_are_left_to_a_person() -> None:
    found = propose(["v1.999999.0"], SHA, {}, "")
    assert isinstance(found, NoProposal)
    assert found.code == "candidate.no_number"
