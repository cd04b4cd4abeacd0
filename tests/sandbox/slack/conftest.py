"""A started workspace with a few people, a real SDK client, and a real Bolt app on Socket Mode."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import LocalSlack

Connect = Callable[..., Awaitable[AsyncApp]]


def furnish(slack: LocalSlack) -> None:
    slack.add_user("U0ADA", "ada", real_name="Ada Lovelace", title="Release Engineer")
    slack.add_user("U0GRACE", "grace", real_name="Grace Hopper", title="Service Owner")
    slack.add_user("U0EVE", "eve", team_id="T0OTHER", is_stranger=True)
    slack.add_user("U0GONE", "gone", deleted=True)
    slack.add_channel("C0REL", "releases", ["U0ADA", "U0GRACE"])
    slack.add_channel("C0OUT", "outside", ["U0ADA"], has_bot=False)
    slack.add_usergroup("S0OWNERS", "owners", ["U0GRACE"])


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    workspace = LocalSlack()
    furnish(workspace)
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
def client(slack: LocalSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])


@pytest.fixture
def app(client: AsyncWebClient) -> AsyncApp:
    return AsyncApp(client=client, process_before_response=False)


@pytest.fixture
async def connect(
    slack: LocalSlack, app: AsyncApp
) -> AsyncIterator[Callable[..., Awaitable[list[AsyncSocketModeHandler]]]]:
    """Connects the app by so many sockets and waits until the workspace has them all."""
    handlers: list[AsyncSocketModeHandler] = []

    async def connect(count: int = 1, ping_interval: float = 5) -> list[AsyncSocketModeHandler]:
        logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
        for _ in range(count):
            handler = AsyncSocketModeHandler(app, slack.app_token, ping_interval=ping_interval)
            handlers.append(handler)
            await handler.connect_async()
        await slack.until(lambda: len(slack.sockets.connections) == count)
        return handlers

    yield connect
    for handler in handlers:
        await handler.close_async()
