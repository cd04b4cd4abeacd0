"""The things a workspace holds, as plain data, and how the Web API shows them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class User:
    id: str
    name: str
    real_name: str
    team_id: str
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    tz: str = "Europe/Berlin"
    title: str = ""
    email: str = ""

    def shown(self, home_team: str) -> Json:
        """As `users.info` has it. A deactivated account lacks the flags of a living one, as in real Slack."""
        user: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 1700000000,
            "profile": {
                "real_name": self.real_name,
                "display_name": self.name,
                "real_name_normalized": self.real_name,
                "display_name_normalized": self.name,
                "title": self.title,
                "team": self.team_id,
            },
        }
        if self.deleted:
            return user
        user |= {
            "real_name": self.real_name,
            "tz": self.tz,
            "tz_label": self.tz,
            "tz_offset": 0,
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
        }
        if self.team_id != home_team:
            user["is_stranger"] = self.is_stranger
        return user


@dataclass
class Channel:
    id: str
    name: str
    members: list[str]
    is_private: bool = False
    is_archived: bool = False
    is_im: bool = False
    is_ext_shared: bool = False
    topic: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def shown(self, bot_user: str) -> Json:
        if self.is_im:
            user = next((member for member in self.members if member != bot_user), bot_user)
            return {"id": self.id, "created": self.created, "is_im": True, "user": user, "is_archived": False}
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "created": self.created,
            "is_channel": True,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "is_member": bot_user in self.members,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "num_members": len(self.members),
        }


@dataclass
class Usergroup:
    id: str
    handle: str
    name: str
    users: list[str]
    date_delete: int = 0

    def shown(self, team_id: str, *, with_users: bool) -> Json:
        group: Json = {
            "id": self.id,
            "team_id": team_id,
            "is_usergroup": True,
            "name": self.name,
            "handle": self.handle,
            "description": "",
            "is_external": False,
            "date_create": 1700000000,
            "date_update": 1700000000,
            "date_delete": self.date_delete,
            "user_count": len(self.users),
        }
        if with_users:
            group["users"] = list(self.users)
        return group


@dataclass
class File:
    id: str
    name: str
    mimetype: str
    length: int
    user: str
    title: str = ""
    alt_text: str = ""
    content: bytes | None = None
    upload_secret: str = ""
    width: int = 0
    height: int = 0
    is_shared: bool = False
    shares: dict[str, list[Json]] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time()))

    def shown(self, base_url: str) -> Json:
        suffix = self.name.rsplit(".", 1)[-1].lower() if "." in self.name else "text"
        path = f"{base_url}/files-pri/{self.id}/{self.name}"
        pixels = {"original_w": self.width, "original_h": self.height} if self.width else {}
        return {
            **pixels,
            "id": self.id,
            "created": self.created,
            "timestamp": self.created,
            "name": self.name,
            "title": self.title or self.name,
            "alt_txt": self.alt_text,
            "mimetype": self.mimetype,
            "filetype": suffix,
            "pretty_type": suffix.upper(),
            "user": self.user,
            "mode": "hosted",
            "size": self.length,
            "is_public": True,
            "public_url_shared": False,
            "url_private": path,
            "url_private_download": path,
            "permalink": f"{base_url}/files/{self.user}/{self.id}/{self.name}",
            "channels": list(self.shares),
            "shares": {"public": self.shares},
        }


@dataclass
class Message:
    """One message. `ephemeral_for`: the only user who sees it, None for everybody."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    is_broadcast: bool = False
    bot_id: str | None = None
    app_id: str | None = None
    team: str = ""
    username: str | None = None
    edited: Json | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    ephemeral_for: str | None = None
    is_pinned: bool = False
    subtype: str | None = None

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    def shown(self, *, with_metadata: bool = True) -> Json:
        message: Json = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text, "team": self.team}
        if self.bot_id:
            message |= {"bot_id": self.bot_id, "app_id": self.app_id}
        optional: Mapping[str, object] = {
            "subtype": "thread_broadcast" if self.is_broadcast else self.subtype,
            "blocks": self.blocks,
            "attachments": self.attachments,
            "files": self.files,
            "thread_ts": self.thread_ts,
            "username": self.username,
            "edited": self.edited,
            "metadata": self.metadata if with_metadata else None,
        }
        message |= {key: value for key, value in optional.items() if value}
        if self.reactions:
            message["reactions"] = [
                {"name": name, "users": users, "count": len(users)} for name, users in self.reactions.items()
            ]
        return message


@dataclass
class View:
    """An open modal or a published Home tab. `stack`: its place among the open modals of `user`, 0 at the bottom."""

    id: str
    user: str
    content: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)

    def shown(self, *, team_id: str, app_id: str, bot_id: str, values: Json | None = None) -> Json:
        return {
            "id": self.id,
            "team_id": team_id,
            "app_id": app_id,
            "app_installed_team_id": team_id,
            "bot_id": bot_id,
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "state": {"values": values or {}},
            "callback_id": "",
            "private_metadata": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "close": None,
            "submit": None,
            **self.content,
        }


@dataclass
class ApiCall:
    """One Web API call as received, and what was answered. `at`: seconds since the epoch; `answer`: None while unanswered."""

    method: str
    args: Json
    at: float
    status: int | None = None
    answer: Json | None = None

    @property
    def ok(self) -> bool:
        return bool(self.answer and self.answer.get("ok"))
