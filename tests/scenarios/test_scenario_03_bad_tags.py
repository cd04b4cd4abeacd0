"""Scenario 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.records import Run, SeenTag
from runbook.ports import SignatureCheck, Tag
from tests.runbook.fakes import COMMIT, VERSION, World, signed_tag
from tests.scenarios.stage import stage


def lightweight(world: World) -> None:
    world.code.tags[VERSION] = Tag(VERSION, COMMIT, None)


def unsigned(world: World) -> None:
    world.code.tags[VERSION] = replace(signed_tag(), signature=None)


def unknown_key(world: World) -> None:
    reason = "no configured signer has the key SHA256:abc"
    world.signatures.check = SignatureCheck(False, code="unknown_key", reason=reason)


def bad_signature(world: World) -> None:
    world.signatures.check = SignatureCheck(False, code="bad_signature", reason="the signature is not of these words")


def signature_of_another_tag(world: World) -> None:
    world.code.tags[VERSION] = replace(signed_tag(), payload=signed_tag("v1.3.0-rc.1").payload)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lightweight, "is a lightweight tag"),
        (unsigned, "is annotated but not signed"),
        (unknown_key, "no configured signer has the key"),
        (bad_signature, "the signature is not of these words"),
        (signature_of_another_tag, "the signed words are not about v1.4.0-rc.2"),
    ],
)
async def test_a_tag_that_is_lightweight_or_unsigned_or_signed_by_an_unknown_key_is_refused(
    tmp_path: Path, spoil: Callable[[World], None], reason: str
) -> None:
    world = World()
    spoil(world)
    async with stage(tmp_path, world=world) as s:
        answer = await s.says("ada", f"deploy staging {VERSION}")
        assert reason in answer
        assert "nothing was started" in answer
        assert (s.rows(Run), s.rows(SeenTag), world.cluster.writes, s.chat.messages) == ([], [], [], [])


MOVES = {
    "to another commit": signed_tag(commit="d" * 40, tag_object="b" * 40),
    "to another tag object on the same commit": signed_tag(tag_object="b" * 40),
    "to a lightweight tag": Tag(VERSION, COMMIT, None),
}


@pytest.mark.parametrize("where", MOVES)
@pytest.mark.parametrize("first", ["plan", "deploy"])
async def test_a_tag_that_moved_since_it_was_first_seen_is_refused(tmp_path: Path, where: str, first: str) -> None:
    """The first sight may be a mere plan, or a release that is long over; the memory outlives the process."""
    world = World()
    async with stage(tmp_path, world=world) as s:
        await s.says("ada", f"{first} staging {VERSION}")
        if first == "deploy":
            await s.says("ada", "cancel staging-1")
            await s.until_state("ended")
    world.code.tags[VERSION] = MOVES[where]
    async with stage(tmp_path, world=world) as s:
        known = len(s.rows(Run))
        answer = await s.says("ada", f"deploy staging {VERSION}")
        assert "v1.4.0-rc.2 has moved: it was the tag object aaaa" in answer
        assert "tag the next one (rc.N+1)" in answer
        assert len(s.rows(Run)) == known
        assert world.cluster.writes == []


async def test_a_tag_that_was_put_back_to_where_it_was_first_seen_is_taken(tmp_path: Path) -> None:
    world = World()
    async with stage(tmp_path, world=world) as s:
        await s.says("ada", f"plan staging {VERSION}")
        world.code.tags[VERSION] = MOVES["to another commit"]
        assert "has moved" in await s.says("ada", f"deploy staging {VERSION}")
        world.code.tags[VERSION] = signed_tag()
        assert "staging-1 has started" in await s.says("ada", f"deploy staging {VERSION}")
