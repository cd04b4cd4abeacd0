"""Slack over HTTP, where Socket Mode isn't used: `/slack/events`, signed.

Bolt checks the signature (HMAC-SHA256 over `v0:{timestamp}:{raw body}`, compared in constant time, at most 300 s old); without a
signing secret there is no door at all. Source: https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

PATH = "/slack/events"
MAX_BODY_BYTES = 256 * 1024


def slack_routes(app: AsyncApp, signing_secret: str) -> list[web.RouteDef]:
    """The route to add to a web server. Raises ValueError without a secret, with which anybody could sign."""
    if not signing_secret.strip():
        raise ValueError("HTTP mode needs SLACK_SIGNING_SECRET")

    async def handle(request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
        try:
            bolt_request = await to_bolt_request(request)
        except (UnicodeDecodeError, ValueError):
            return web.Response(status=400, text="not understood")
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    return [web.post(PATH, handle)]
