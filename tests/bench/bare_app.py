"""The least that Slack's own framework allows: a bolt app on two sockets that acknowledges a command and does nothing else.

What the bot's acknowledgement is compared with, on the same machine in the same minute.
"""

from __future__ import annotations

import asyncio
import os
import signal

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient


async def main() -> None:
    token, api_url = os.environ["SLACK_BOT_TOKEN"], os.environ["SLACK_API_URL"]

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=token)

    app = AsyncApp(client=AsyncWebClient(base_url=api_url), authorize=authorize, attaching_function_token_enabled=False)

    async def on_command(ack: AsyncAck) -> None:
        await ack()

    app.command("/forge")(on_command)
    web_client = AsyncWebClient(base_url=api_url)
    handlers = [AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"], web_client=web_client) for _ in range(2)]
    for handler in handlers:
        await handler.connect_async()  # type: ignore[no-untyped-call]
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    for handler in handlers:
        await handler.close_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main())
