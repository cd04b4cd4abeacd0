"""Uploading files in Slack's three steps, and reading them back."""

from __future__ import annotations

import mimetypes
import secrets
from typing import Any

from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.methods_chat import content_of, new_message, thread_of, writable
from sandbox.slack.model import Channel, File
from sandbox.slack.webapi import Method
from sandbox.slack.workspace import Workspace, random_id

Json = dict[str, Any]
MAX_BYTES = 1 << 30
MAX_ALT = 1_000
MOST_KEPT = 300
_PNG = b"\x89PNG\r\n\x1a\n"


def get_upload_url(workspace: Workspace, arguments: Json) -> Json:
    """A one-time address. `workspace.uploads_refused`: the word by which a workspace forbids files or has no room for them."""
    name = str(arguments.get("filename") or "")
    alt_text = str(arguments.get("alt_txt") or "")
    try:
        length = int(arguments.get("length") or 0)
    except ValueError as error:
        raise SlackError("invalid_arguments") from error
    if not name or length <= 0 or len(alt_text) > MAX_ALT:
        raise SlackError("invalid_arguments")
    if workspace.uploads_refused:
        raise SlackError(workspace.uploads_refused)
    if length > MAX_BYTES:
        raise SlackError("file_upload_size_restricted")
    mimetype = mimetypes.guess_type(name)[0] or "text/plain"
    file = File(random_id("F"), name, mimetype, length, workspace.bot_user, upload_secret=secrets.token_urlsafe(18))
    file.alt_text = alt_text
    workspace.files[file.id] = file
    while len(workspace.files) > MOST_KEPT:  # a long-running sandbox must not grow for ever
        del workspace.files[next(iter(workspace.files))]
    return {"upload_url": f"{workspace.base_url}/upload/v1/{file.upload_secret}", "file_id": file.id}


def complete_upload(workspace: Workspace, arguments: Json) -> Json:
    wanted = arguments.get("files")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(item, dict) for item in wanted):
        raise SlackError("invalid_arguments")
    files = [_uploaded(workspace, item) for item in wanted]
    channels = _targets(workspace, arguments)
    threads = [thread_of(workspace, channel, arguments) for channel in channels]
    for file, item in zip(files, wanted, strict=True):
        file.title, file.is_shared = str(item.get("title") or file.name), True
    for channel, thread_ts in zip(channels, threads, strict=True):
        _share(workspace, channel, files, arguments, thread_ts)
    return {"files": [file.shown(workspace.base_url) for file in files]}


def _targets(workspace: Workspace, arguments: Json) -> list[Channel]:
    """`channel_id` names one channel, by its id alone; `channels` several, or users. A thread is in one channel."""
    if arguments.get("channel_id"):
        if str(arguments["channel_id"]) not in workspace.channels:
            raise SlackError("channel_not_found")
        return [writable(workspace, arguments["channel_id"])]
    names = [name for name in str(arguments.get("channels") or "").split(",") if name]
    if arguments.get("thread_ts") and len(names) != 1:
        raise SlackError("invalid_arguments")
    return [writable(workspace, name) for name in names]


def _uploaded(workspace: Workspace, item: Json) -> File:
    file = workspace.files.get(str(item.get("id")))
    if file is None or file.content is None:
        raise SlackError("file_not_found")
    if file.is_shared:
        raise SlackError("file_already_completed")
    return file


def _share(workspace: Workspace, channel: Channel, files: list[File], arguments: Json, thread_ts: str | None) -> None:
    comment = {"text": arguments.get("initial_comment"), "blocks": arguments.get("blocks")}
    message = new_message(workspace, channel, content_of(comment, longest=40_000), thread_ts=thread_ts)
    for file in files:
        share = {"ts": message.ts, "channel_name": channel.name, "team_id": workspace.team_id}
        if message.thread_ts:
            share["thread_ts"] = message.thread_ts
        file.shares.setdefault(channel.id, []).append(share)
    message.files = [file.shown(workspace.base_url) for file in files]
    workspace.add(message)


def files_info(workspace: Workspace, arguments: Json) -> Json:
    file = workspace.files.get(str(arguments.get("file")))
    if file is None:
        raise SlackError("file_not_found")
    return {"file": file.shown(workspace.base_url), "comments": []}


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
    "files.info": Method(files_info, ("files:read",)),
}


class FileStore:
    """The upload addresses and the private download addresses."""

    def __init__(self, workspace: Workspace, bot_token: str) -> None:
        self._workspace = workspace
        self._bot_token = bot_token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/upload/v1/{secret}", self._upload),
            web.get("/files-pri/{file}/{name}", self._private),
            web.get("/_control/files/{file}", self._shown_on_page),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        """Known by its address alone: no token is asked for, and none belongs here."""
        secret = request.match_info["secret"]
        file = next((file for file in self._workspace.files.values() if file.upload_secret == secret), None)
        if file is None or file.content is not None:
            return web.Response(status=404, text="not found")
        content = await _body(request)
        if len(content) != file.length:
            return web.Response(status=400, text="size mismatch")
        file.content = content
        if file.mimetype == "image/png":
            _look_into(file, content)
        return web.Response(text=f"OK - {len(content)}")

    async def _private(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._bot_token}":
            raise web.HTTPFound(f"{self._workspace.base_url}/?redir=signin")
        return await self._shown_on_page(request)

    async def _shown_on_page(self, request: web.Request) -> web.Response:
        file = self._workspace.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound
        # Only pictures are shown in place; anything else is downloaded, so that no uploaded page runs here.
        inline = file.mimetype.startswith("image/") and file.mimetype != "image/svg+xml"
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
        if not inline:
            headers["Content-Disposition"] = "attachment"
        return web.Response(body=file.content, content_type=file.mimetype, headers=headers)


def _look_into(file: File, content: bytes) -> None:
    """What is no picture isn't shown as one, whatever its name says; a picture's size in pixels stands in its head."""
    if not content.startswith(_PNG) or len(content) < 24:
        file.mimetype = "application/octet-stream"
        return
    file.width, file.height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


async def _body(request: web.Request) -> bytes:
    if request.content_type.startswith("multipart/"):
        form = await request.post()
        for part in form.values():
            if isinstance(part, web.FileField):
                return part.file.read()
        return b""
    return await request.read()
