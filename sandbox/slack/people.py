"""What persons do: type a command, click, fill in a modal, write a message. Builds the payloads that Slack would send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.blocks import elements_of
from sandbox.slack.delivery import Courier
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Message, User
from sandbox.slack.responses import respond
from sandbox.slack.sockets import Delivery
from sandbox.slack.typed import as_sent
from sandbox.slack.viewrules import initial_of, state_of
from sandbox.slack.workspace import ResponseUrl, Workspace

Json = dict[str, Any]
SLACKBOT = "USLACKBOT"
VERIFICATION_TOKEN = "local-verification"  # noqa: S105  public by design, long deprecated


@dataclass
class CommandResult:
    """What became of a typed command.

    outcome: `acknowledged`, `operation_timeout`, `dispatch_failed`, `http_error` or `invalid_command_response`.
    answer: the acknowledgement's payload, None when it was bare. shown: the texts the acknowledgement put before the person.
    """

    payload: Json
    delivery: Delivery
    outcome: str
    answer: Json | None
    shown: list[str] = field(default_factory=list)

    @property
    def timed_out(self) -> bool:
        return self.outcome == "operation_timeout"

    @property
    def trigger_id(self) -> str:
        return str(self.payload["trigger_id"])

    @property
    def response_url(self) -> str:
        return str(self.payload["response_url"])


@dataclass
class ClickResult:
    """What became of a click. outcome as in `CommandResult`; a failed one shows a warning triangle."""

    payload: Json
    delivery: Delivery

    @property
    def outcome(self) -> str:
        return self.delivery.outcome

    @property
    def timed_out(self) -> bool:
        return self.outcome == "operation_timeout"

    @property
    def trigger_id(self) -> str:
        return str(self.payload["trigger_id"])

    @property
    def response_url(self) -> str:
        return str(self.payload.get("response_url", ""))


class People:
    """Acts for any user, whoever they are: guests, strangers, bots and deactivated accounts too."""

    def __init__(self, workspace: Workspace, courier: Courier) -> None:
        self.workspace = workspace
        self.courier = courier
        self.subscribed_events: set[str] = set()

    async def command(self, user_id: str, text: str, *, channel_id: str, command: str = "/forge") -> CommandResult:
        payload = self._command_payload(user_id, text, channel_id, command)
        delivery = await self.courier.send("slash_commands", payload)
        result = CommandResult(payload, delivery, delivery.outcome, delivery.response)
        if delivery.acked and delivery.response:
            self._show_answer(result, user_id, channel_id, f"{command} {text}".strip())
        if result.outcome != "acknowledged":
            self._slackbot(result, user_id, channel_id, f'{command} failed with the error "{result.outcome}"')
        return result

    def _command_payload(self, user_id: str, text: str, channel_id: str, command: str) -> Json:
        space = self.workspace
        user, channel = space.user(user_id), space.channel(channel_id)
        sent = as_sent(
            text.strip(), list(space.users.values()), list(space.channels.values()), list(space.usergroups.values())
        )
        return {
            "token": VERIFICATION_TOKEN,
            "team_id": user.team_id,
            "team_domain": self._domain(),
            "channel_id": channel.id,
            "channel_name": "directmessage" if channel.is_im else channel.name,
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": sent,
            "api_app_id": space.app_id,
            "is_enterprise_install": "false",
            "response_url": space.new_response_url(user.id, channel.id),
            "trigger_id": space.new_trigger(user.id).id,
        }

    def _domain(self) -> str:
        return self.workspace.team_name.lower().replace(" ", "-")

    def _show_answer(self, result: CommandResult, user_id: str, channel_id: str, typed: str) -> None:
        answer = result.answer or {}
        leave = ResponseUrl("", user_id, channel_id, self.workspace.clock())
        try:
            if answer.get("response_type") == "in_channel":
                self._post(user_id, channel_id, typed)
            message = respond(self.workspace, leave, answer)
            result.shown.append(message.text if message else "")
        except SlackError:
            result.outcome = "invalid_command_response"

    def _slackbot(self, result: CommandResult, user_id: str, channel_id: str, text: str) -> None:
        space = self.workspace
        message = Message(channel_id, space.next_ts(), SLACKBOT, text=text, ephemeral_for=user_id, team=space.team_id)
        space.add_ephemeral(message)
        result.shown.append(text)

    # --- messages

    def _post(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Message:
        user = self.workspace.user(user_id)
        message = Message(
            self.workspace.channel(channel_id).id,
            self.workspace.next_ts(),
            user.id,
            text=text,
            thread_ts=thread_ts,
            team=user.team_id,
        )
        return self.workspace.add(message)

    async def say(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Message:
        """Writes a message; the app hears of it if it subscribed to `message` or `app_mention`."""
        space = self.workspace
        sent = as_sent(text, list(space.users.values()), list(space.channels.values()), list(space.usergroups.values()))
        message = self._post(user_id, channel_id, sent, thread_ts)
        event = {**message.shown(), "channel": channel_id, "event_ts": message.ts, "channel_type": "channel"}
        if "message" in self.subscribed_events:
            await self.courier.send_event(event)
        if "app_mention" in self.subscribed_events and f"<@{space.bot_user}" in sent:
            await self.courier.send_event({**event, "type": "app_mention"})
        return message

    # --- clicks

    async def click(
        self,
        user_id: str,
        channel_id: str,
        ts: str,
        action_id: str,
        *,
        value: Any = None,
        block_id: str | None = None,
    ) -> ClickResult:
        """Clicks a button or chooses in a menu.

        value: for menus the chosen option's value; for a button a value that differs from the shown one, as a stale or
        forged client would send. An `action_id` that the message doesn't have needs such a value; else LookupError.
        """
        message = self._visible(channel_id, ts)
        found_block, element = find_element(message.blocks, action_id, block_id)
        if element is None and value is None:
            raise LookupError(f"no {action_id!r} in message {ts}; give a value to click what isn't there")
        action = self.action(found_block or block_id or "gone", element, action_id, value)
        payload = self._click_payload(self.workspace.user(user_id), message, [action])
        return ClickResult(payload, await self.courier.send("interactive", payload))

    def _visible(self, channel_id: str, ts: str) -> Message:
        for message in self.workspace.ephemerals:
            if message.channel == channel_id and message.ts == ts:
                return message
        found = self.workspace.message(channel_id, ts)
        if found is None:
            raise LookupError(f"no message {ts} in {channel_id}")
        return found

    def action(self, block_id: str, element: Json | None, action_id: str, value: Any) -> Json:
        kind = element["type"] if element else "button"
        action: Json = {"action_id": action_id, "block_id": block_id, "type": kind}
        if kind == "button":
            shown = element or {"text": {"type": "plain_text", "text": action_id, "emoji": True}}
            action |= {key: shown[key] for key in ("text", "value", "style", "url", "confirm") if key in shown}
            if value is not None:
                action["value"] = value
        else:
            action |= state_of(element or {"type": kind}, value)
        action["action_ts"] = self.workspace.next_ts()
        return action

    def _click_payload(self, user: User, message: Message, actions: list[Json]) -> Json:
        space, channel = self.workspace, self.workspace.channel(message.channel)
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": message.ephemeral_for is not None,
        }
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = {
            "type": "block_actions",
            **self.envelope_of(user),
            "container": container,
            "channel": {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name},
            "state": {"values": initial_state(message.blocks)},
            "trigger_id": space.new_trigger(user.id).id,
            "response_url": space.new_response_url(
                user.id, channel.id, message_ts=message.ts, thread_ts=message.thread_ts
            ),
            "actions": actions,
        }
        if message.ephemeral_for is None:
            payload["message"] = space.shown(message)
        return payload

    def envelope_of(self, user: User) -> Json:
        """The members that every interactive payload has."""
        return {
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
            "api_app_id": self.workspace.app_id,
            "token": VERIFICATION_TOKEN,
            "team": {"id": self.workspace.team_id, "domain": self._domain()},
            "enterprise": None,
            "is_enterprise_install": False,
        }


def find_element(blocks: list[Json], action_id: str, block_id: str | None) -> tuple[str, Json | None]:
    """The block's id and the element; ("", None) when it isn't there."""
    for block in blocks:
        if block_id in (None, block.get("block_id")):
            for element in elements_of(block):
                if element.get("action_id") == action_id:
                    return str(block.get("block_id", "")), element
    return "", None


def initial_state(blocks: list[Json]) -> Json:
    """`state.values` of blocks that nobody touched: block id -> action id -> state."""
    values: Json = {}
    for block in blocks:
        for element in elements_of(block):
            if element.get("type") not in ("button", "overflow", "workflow_button"):
                state = state_of(element, initial_of(element))
                values.setdefault(block["block_id"], {})[element["action_id"]] = state
    return values
