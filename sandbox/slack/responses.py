"""`response_url`s, and what an app may say in its acknowledgement. Five uses within thirty minutes."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.methods_chat import MAX_POST_TEXT, change, content_of, new_message
from sandbox.slack.model import ApiCall, Message
from sandbox.slack.workspace import RESPONSE_URL_LIFE_S, RESPONSE_URL_USES, ResponseUrl, Workspace

Json = dict[str, Any]


class ResponseUrls:
    """Takes the POSTs. Every one is recorded among the calls as `response_url`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/commands/{team}/{number}/{secret}", self._handle),
            web.post("/actions/{team}/{number}/{secret}", self._handle),
        ]

    async def _handle(self, request: web.Request) -> web.Response:
        call = ApiCall("response_url", {}, self._workspace.clock())
        self._workspace.record(call)
        try:
            call.args = await _payload(request)
            self._answer(request.match_info["secret"], call.args)
            call.status, call.answer = 200, {"ok": True}
        except SlackError as refusal:
            call.status = refusal.status if refusal.status != 200 else 400
            call.answer = refusal.answer()
        return web.json_response(call.answer, status=call.status)

    def _answer(self, secret: str, body: Json) -> None:
        leave = self._workspace.response_urls.get(secret)
        if leave is None:
            raise SlackError("no_service", status=404)
        if self._workspace.clock() - leave.at > RESPONSE_URL_LIFE_S:
            raise SlackError("expired_url", status=404)
        if leave.uses >= RESPONSE_URL_USES:
            raise SlackError("used_url", status=404)
        respond(self._workspace, leave, body)
        leave.uses += 1


async def _payload(request: web.Request) -> Json:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise SlackError("invalid_payload", status=400) from error
    if not isinstance(body, dict):
        raise SlackError("invalid_payload", status=400)
    return body


def respond(workspace: Workspace, leave: ResponseUrl, body: Json) -> Message | None:
    """Does what a response asks: a new message (ephemeral unless `in_channel`), or the clicked one replaced or deleted."""
    original = _original(workspace, leave)
    if body.get("delete_original"):
        if original is not None:
            _delete(workspace, original)
        return None
    content = content_of(body, longest=MAX_POST_TEXT)
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise SlackError("no_text", status=400)
    if body.get("replace_original") and original is not None:
        change(workspace, original, content)
        workspace.changed(original)
        return original
    channel = workspace.channel(leave.channel)
    thread_ts = body.get("thread_ts") or None
    if body.get("response_type") == "in_channel":
        return workspace.add(new_message(workspace, channel, content, thread_ts=thread_ts))
    message = new_message(workspace, channel, content, ephemeral_for=leave.user, thread_ts=thread_ts or leave.thread_ts)
    return workspace.add_ephemeral(message)


def _original(workspace: Workspace, leave: ResponseUrl) -> Message | None:
    if leave.message_ts is None:
        return None
    shown_to_one = (item for item in workspace.ephemerals if item.ts == leave.message_ts)
    return workspace.message(leave.channel, leave.message_ts) or next(shown_to_one, None)


def _delete(workspace: Workspace, message: Message) -> None:
    if message.ephemeral_for:
        workspace.remove_ephemeral(message)
    else:
        workspace.remove(message)
