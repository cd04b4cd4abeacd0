"""Scenario 27 as the engine sees it; the same over the wire is tested with the Kubernetes integration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.ports import Rollout
from tests.runbook.fakes import GOOD_ROLLOUT, World
from tests.scenarios.stage import Stage, shown, stage

ERRORS: dict[str, tuple[Callable[[], ForgeError], int]] = {
    "409": (lambda: Conflict("kubernetes", "conflict", "deployment/web was changed meanwhile"), 15),
    "410": (lambda: Permanent("kubernetes", "gone", "what was asked for is gone"), 3),
    "429": (lambda: Temporary("kubernetes", "throttled", "the API server asks to wait", retry_after_s=1.0), 3),
    "500": (lambda: Temporary("kubernetes", "server_error", "the API server answered 500"), 3),
    "hangs": (lambda: Temporary("kubernetes", "timeout", "the API server gave no answer within 10 s"), 3),
}
"""The error, and the most writes that may be tried for one step until it is held."""


class Failing:
    """Raises for so many calls of `set_images` (or for ever), hanging first where it hangs."""

    def __init__(self, world: World, what: str, times: int = 10**9) -> None:
        self.calls, self.left, self.what, self._world = 0, times, what, world
        self._set = world.cluster.set_images
        world.cluster.set_images = self.set_images  # type: ignore[method-assign]

    async def set_images(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        self.calls += 1
        if self.left > 0:
            self.left -= 1
            if self.what == "hangs":
                await self._world.clock.sleep_until(self._world.clock.now() + timedelta(seconds=10))
            raise ERRORS[self.what][0]()
        return await self._set(name, images, annotations)


async def approved(s: Stage) -> None:
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")


@pytest.mark.parametrize("what", ERRORS)
async def test_the_kubernetes_api_answers_409_or_410_or_429_or_500_or_hangs_bounded_retries_then_a_held_release_and_a_clear_message(
    tmp_path: Path, what: str
) -> None:
    make, most = ERRORS[what]
    world = World()
    failing = Failing(world, what)
    async with stage(tmp_path, world=world) as s:
        before = s.images()
        await approved(s)
        begun = s.clock.now()
        await s.until_state("held")
        assert failing.calls <= most
        assert s.clock.now() - begun < timedelta(minutes=3)
        await s.clock.advance(timedelta(hours=2))
        assert failing.calls <= most
        assert s.run().state == "held"
        assert s.images() == before
        await s.shown_all()
        row = s.steps()[5]
        assert (row.outcome, row.code) == ("error", make().code)
        assert any("staging-1 is held: Deploy web" in note and make().cause in note for note in s.notes)
        assert f"Held at “Deploy web”: {make().cause}" in s.headline
        failing.left = 0
        await s.says("ada", "retry staging-1")
        await s.until_at("Go or no-go")
        assert [w[0] for w in world.cluster.writes] == ["web", "worker"]


@pytest.mark.parametrize("what", ["409", "429", "500", "hangs"])
async def test_a_trouble_of_the_kubernetes_api_that_passes_is_ridden_out_and_nobody_is_bothered(
    tmp_path: Path, what: str
) -> None:
    world = World()
    Failing(world, what, times=2)
    async with stage(tmp_path, world=world) as s:
        await approved(s)
        await s.until_at("Go or no-go")
        await s.shown_all()
        assert [w[0] for w in world.cluster.writes] == ["web", "worker"]
        assert "step.held" not in s.actions
        assert not any("is held" in note for note in s.notes)


@pytest.mark.parametrize("what", ["429", "500", "hangs"])
async def test_a_rollout_that_can_not_be_read_for_long_is_held_and_never_rolled_back(tmp_path: Path, what: str) -> None:
    world = World()
    async with stage(tmp_path, world=world) as s:
        world.cluster.rollouts = lambda _: ERRORS[what][0]()
        await approved(s)
        await s.until_state("held")
        assert s.clock.now() - s.run().created_at < timedelta(minutes=6)
        row = s.steps()[5]
        assert (row.outcome, row.code) == ("error", ERRORS[what][0]().code)
        await s.clock.advance(timedelta(hours=1))
        assert s.run().state == "held"
        assert all(image.endswith("1" * 64) for name, image in s.images().items() if name == "web")


async def test_a_rollout_that_can_not_be_read_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    world = World()

    def rollouts(since_s: float) -> Rollout | ForgeError:
        return (
            ERRORS["500"][0]() if 2 < since_s < 40 else GOOD_ROLLOUT if since_s > 45 else Rollout(2, True, 2, 1, 1, 3)
        )

    async with stage(tmp_path, world=world) as s:
        world.cluster.rollouts = rollouts
        await approved(s)
        await s.until_at("Go or no-go")
        assert s.steps()[5].attempt == 1


async def test_a_way_back_that_kubernetes_refuses_is_incomplete_and_names_the_command_for_a_persons_hand(
    tmp_path: Path,
) -> None:
    world = World()
    async with stage(tmp_path, world=world) as s:
        await s.waits_for_go()
        Failing(world, "500")
        await s.says("ada", "abort staging-1")
        run = await s.until_state("ended")
        await s.shown_all()
        assert run.ending == "incomplete"
        assert any("INCOMPLETE, a person must finish it" in note for note in s.notes)
        command = "kubectl --context staging -n shop set image deployment/web app=registry.example/acme/old@sha256:0"
        assert any(command in shown(m.message) for m in s.chat.messages)
