"""What persons do in modals: click, submit, close."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.model import View
from sandbox.slack.people import ClickResult, People, find_element, initial_state
from sandbox.slack.sockets import Delivery
from sandbox.slack.viewrules import check_view, refused_inputs, state_of

Json = dict[str, Any]
TROUBLE = "We had some trouble connecting. Try again?"


@dataclass
class SubmitResult:
    """What became of a submission.

    errors: block id -> sentence, from Slack's own client or from the app; key "" for a general one. delivery: None when
    the client already refused. is_open: the modal (or another one) is still before the person.
    """

    errors: dict[str, str] = field(default_factory=dict)
    delivery: Delivery | None = None
    is_open: bool = False
    payload: Json = field(default_factory=dict)


class Modals:
    def __init__(self, people: People) -> None:
        self._people = people
        self._workspace = people.workspace

    def _of(self, user_id: str, view_id: str) -> View:
        view = self._workspace.views.get(view_id)
        if view is None or view.user != user_id:
            raise LookupError(f"{user_id} has no open view {view_id}")
        return view

    async def click(self, user_id: str, view_id: str, action_id: str, *, value: Any = None) -> ClickResult:
        """A button or menu within the modal."""
        view = self._of(user_id, view_id)
        block_id, element = find_element(view.content["blocks"], action_id, None)
        if element is None:
            raise LookupError(f"no {action_id!r} in view {view_id}")
        payload = {
            "type": "block_actions",
            **self._people.envelope_of(self._workspace.user(user_id)),
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": self._workspace.new_trigger(user_id, view.id).id,
            "view": self._workspace.shown_view(view, initial_state(view.content["blocks"])),
            "actions": [self._people.action(block_id, element, action_id, value)],
        }
        return ClickResult(payload, await self._people.courier.send("interactive", payload))

    async def submit(self, user_id: str, view_id: str, values: Json) -> SubmitResult:
        """values: block id -> value, or block id -> {action id -> value}; lists for several choices; absent: as it was."""
        view = self._of(user_id, view_id)
        state = _filled_in(view.content["blocks"], values)
        refused = refused_inputs(view.content, state)
        if refused:
            return SubmitResult(errors=refused, is_open=True)
        payload = {
            "type": "view_submission",
            **self._people.envelope_of(self._workspace.user(user_id)),
            "trigger_id": self._workspace.new_trigger(user_id, view.id).id,
            "view": self._workspace.shown_view(view, state),
            "response_urls": [],
        }
        delivery = await self._people.courier.send("interactive", payload)
        result = SubmitResult(delivery=delivery, payload=payload)
        if not delivery.acked:
            result.errors = {"": TROUBLE}
        else:
            self._react(view, delivery.response or {}, result)
        if view.id in self._workspace.views:
            view.errors = result.errors
            self._workspace.tell("views", user=user_id)
        result.is_open = bool(self._workspace.stacks.get(user_id))
        return result

    def _react(self, view: View, answer: Json, result: SubmitResult) -> None:
        """Does what the acknowledgement asks; nothing asked closes the modal."""
        if view.id not in self._workspace.views:
            return
        try:
            match answer.get("response_action"):
                case "errors":
                    result.errors = dict(answer.get("errors") or {})
                case "update":
                    self._workspace.change_view(view, check_view(answer.get("view"), kind="modal"))
                case "push":
                    self._workspace.open_view(view.user, check_view(answer.get("view"), kind="modal"), onto=view)
                case "clear":
                    self._workspace.close_all(view.user)
                case _:
                    self._workspace.close_top(view.user)
        except SlackError:
            result.errors = {"": TROUBLE}

    async def close(self, user_id: str, view_id: str) -> Delivery | None:
        """The person cancels; the app hears of it only with `notify_on_close`."""
        view = self._of(user_id, view_id)
        self._workspace.close_top(user_id)
        if not view.content.get("notify_on_close"):
            return None
        payload = {
            "type": "view_closed",
            **self._people.envelope_of(self._workspace.user(user_id)),
            "view": self._workspace.shown_view(view),
            "is_cleared": False,
        }
        return await self._people.courier.send("interactive", payload)


def _filled_in(blocks: list[Json], values: Json) -> Json:
    """`state.values` with what the person filled in over what was there."""
    state = initial_state(blocks)
    for block_id, value in values.items():
        actions = value if isinstance(value, dict) else dict.fromkeys(state.get(block_id, {}), value)
        for action_id, filled in actions.items():
            _, element = find_element(blocks, action_id, block_id)
            if element is None:
                raise LookupError(f"no input {block_id!r}/{action_id!r} in the view")
            state.setdefault(block_id, {})[action_id] = state_of(element, filled)
    return state
