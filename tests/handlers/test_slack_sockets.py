"""Two Socket Mode connections against a local Slack: renewal, deafness, outages, and a shutdown that loses no acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers.slack_app import SlackListeners
from tests.handlers.slack_world import CHANNEL, PATIENCE_S, World, slack_world


async def test_two_connections_are_held_and_both_hear() -> None:
    async with slack_world() as world:
        assert len(world.slack.sockets.connections) == 2
        for _ in range(4):
            assert (await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)).outcome == "acknowledged"
        assert await world.sockets.problem() == ""


async def test_when_slack_asks_both_to_renew_no_command_is_lost() -> None:
    async with slack_world() as world:
        first = list(world.slack.sockets.connections)

        async def acknowledged() -> None:
            result = await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)
            assert result.outcome == "acknowledged"

        # As Slack does: a warning, some seconds for the successor, and then the end of the connection.
        await world.slack.disconnect_sockets("warning")
        while len(world.slack.sockets.connections) < 4:
            await acknowledged()
        for leaving in first:
            leaving.is_leaving = True
            await leaving.ws.close()
            await acknowledged()
        await world.slack.until(lambda: len(world.slack.sockets.connections) == 2)
        await acknowledged()
        assert await world.sockets.problem() == ""


async def test_one_connection_hears_while_the_other_is_renewed() -> None:
    async with slack_world() as world:
        leaving = world.slack.sockets.connections[0]
        leaving.is_leaving = True
        await leaving.ws.send_json({"type": "disconnect", "reason": "refresh_requested"})
        for _ in range(6):
            result = await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)
            assert result.outcome == "acknowledged"
        await world.sockets.wait_connected(PATIENCE_S)


async def test_a_socket_that_is_open_but_deaf_makes_forge_unready_and_is_replaced() -> None:
    async with slack_world(deaf_after_s=1.0) as world:
        world.slack.deafen("silent")

        assert "heard nothing" in await _problem(world)
        world.slack.undeafen()
        await _no_problem(world)
        await _eventually(lambda: _acknowledged(world))  # a machine that stalls for a second makes it look deaf again


async def test_after_an_outage_the_sockets_come_back_by_themselves() -> None:
    async with slack_world(ping_interval_s=0.2) as world:
        world.slack.go_down()
        await _problem(world)
        world.slack.come_back()
        await _no_problem(world)
        await world.sockets.wait_connected(PATIENCE_S)
        assert (await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)).outcome == "acknowledged"


async def test_a_shutdown_waits_for_the_acknowledgement_that_is_in_flight() -> None:
    async with slack_world() as world:
        world.operations.keeping = asyncio.Event()
        command = asyncio.ensure_future(world.slack.command("U0ALICE", "status", channel_id=CHANNEL))
        await _in_flight(world)
        stopping = asyncio.ensure_future(world.sockets.stop())
        await asyncio.sleep(0)
        world.operations.keeping.set()
        assert (await command).outcome == "acknowledged"
        await asyncio.wait_for(stopping, PATIENCE_S)
        assert world.operations.rows


async def test_a_shutdown_is_bounded_though_something_hangs() -> None:
    async with slack_world() as world:
        world.operations.keeping = asyncio.Event()
        command = asyncio.ensure_future(world.slack.command("U0ALICE", "status", channel_id=CHANNEL))
        await _in_flight(world)
        await asyncio.wait_for(world.sockets.stop(drain_s=0.1), PATIENCE_S)
        assert not command.done()
        command.cancel()
        world.operations.keeping.set()


async def test_starting_doesnt_wait_for_a_slack_that_is_down() -> None:
    async with slack_world() as world:
        world.slack.go_down()
        await world.sockets.stop(drain_s=0.1)
        await asyncio.wait_for(world.sockets.start(), PATIENCE_S)
        assert await world.sockets.problem() == "no Slack socket is connected"
        world.slack.come_back()
        await world.sockets.wait_connected(PATIENCE_S)


async def test_the_sockets_to_this_very_machine_take_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with slack_world() as world:
        assert (await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)).outcome == "acknowledged"


async def test_listeners_can_be_closed_with_nothing_to_do() -> None:
    async with slack_world() as world:
        assert isinstance(world.listeners, SlackListeners)
        await world.listeners.close(0.1)


async def _eventually(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Asks until the answer is true; the sockets tell nobody when they change."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await ask()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found


async def _acknowledged(world: World) -> bool:
    return (await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)).outcome == "acknowledged"


async def _problem(world: World) -> str:
    return str(await _eventually(world.sockets.problem))


async def _no_problem(world: World) -> None:
    async def fine() -> bool:
        return not await world.sockets.problem()

    await _eventually(fine)


async def _in_flight(world: World) -> None:
    async def busy() -> bool:
        return any(one.in_flight for one in await world.sockets.health())

    await _eventually(busy)
