"""Slack's payloads in: each is committed to the inbox, then acknowledged, then worked on elsewhere.

A listener must never do the work itself, never acknowledge what isn't kept, and never stay silent: every payload is answered
within Slack's three seconds, those that nobody listens to and those that fail included.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.error import BoltUnhandledRequestError
from slack_sdk.web.async_client import AsyncWebClient

from engine.answers import Answer, refused
from engine.backup_views import RestoreChoices
from engine.candidates import CandidatesView
from engine.intents import AnswerRenderer, Intent, Operations
from handlers.consumer import (
    ACTIONS,
    CHOICE,
    ON_CHECKLISTS,
    ON_PROMPTS,
    asks_for_a_reason,
    intent_of,
    not_a_member,
    offers_candidates,
    opens_a_dialog,
    retired_button,
    unknown_person,
)
from handlers.payloads import (
    CLICK,
    COMMAND,
    VIEW,
    Kept,
    dedup_key,
    from_click,
    from_command,
    from_view,
    matter_named_by,
    run_named_by,
)
from handlers.ports import Dialogs, Directory
from handlers.troubles import Fate, no_candidates_dialog, no_dialog, no_restore_dialog, not_kept
from messages.blocks import esc
from messages.candidates import CANDIDATES, candidates_dialog, loading_dialog
from messages.dialogs import DialogMemory, closing_dialog, reason_dialog
from messages.restore_dialog import RESTORE, restore_dialog
from runbook.errors import ForgeError, StoreUnavailable
from runbook.values import Actor

log = structlog.get_logger(__name__)

COMMAND_NAME = "/forge"
COMMIT_S = 2.0
DIALOG_S = 2.0
LOOKUP_S = 1.2
VIEW_COMMIT_S = RESTORE_DIALOG_S = 1.5
"""Time limits, in seconds, that leave room within Slack's three: those of the last line each after a look-up."""

CHOICES_S = 12.0
"""Of a dialog that is open already."""

RECENT_VIEWS = 200
_SLOW_STARTERS = ("deploy", "migrate", "promote", "rollback", "metrics", "restore")
Json = dict[str, Any]


class SlackListeners:
    """The listeners of one app, and the tasks they leave behind."""

    def __init__(
        self, operations: Operations, directory: Directory, dialogs: Dialogs, messages: AnswerRenderer
    ) -> None:
        self._operations = operations
        self._directory = directory
        self._dialogs = dialogs
        self._messages = messages
        self._tasks: set[asyncio.Task[Any]] = set()
        self._recent_views: deque[str] = deque(maxlen=RECENT_VIEWS)

    async def close(self, timeout_s: float = 2.0) -> None:
        """Waits for answers that are on their way, for at most `timeout_s`."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()

    # --- listeners

    async def on_command(self, ack: AsyncAck, body: Json) -> None:
        kept = from_command(body)
        intent = intent_of(COMMAND, kept)
        if opens_a_dialog(intent) and isinstance(intent, Intent):
            await self._on_restore(ack, kept, intent)
            return
        if offers_candidates(intent) and isinstance(intent, Intent):
            await self._on_candidates(ack, kept, intent)
            return
        fate = await self._keep(COMMAND, body, kept)
        if fate in (Fate.LOST, Fate.UNSURE):
            await ack(response_type="ephemeral", **self._shown(not_kept(fate)))
        elif fate is Fate.KEPT and (looking := _looking_at(kept)):
            await ack(response_type="ephemeral", text=looking)
        else:
            await ack()

    async def _on_restore(self, ack: AsyncAck, kept: Kept, intent: Intent) -> None:
        """Asks what to restore. As with every dialog nothing is kept of the command: nothing happens by it."""
        answer = await self._asked(kept, lambda actor: self._operations.choices(intent, actor))
        if answer.ok and isinstance(answer.view, RestoreChoices):
            view = answer.view
            memory = DialogMemory(
                environment=view.environment, service=view.service, channel=kept.channel, response_url=kept.response_url
            )
            try:
                await self._dialogs.open_dialog(
                    kept.trigger_id, restore_dialog(view, memory), timeout_s=RESTORE_DIALOG_S
                )
            except ForgeError as error:
                log.warning("could not open a dialog", action="restore", code=error.code)
                answer = no_restore_dialog(view, error)
            else:
                await ack()
                return
        await ack(response_type="ephemeral", **self._shown(answer))

    async def _on_candidates(self, ack: AsyncAck, kept: Kept, intent: Intent) -> None:
        """Opens the dialog empty before anything is asked, for GitHub may take longer than a trigger lives. Nothing is kept of the command."""
        try:
            view_id = await self._dialogs.open_dialog(kept.trigger_id, loading_dialog(), timeout_s=DIALOG_S)
        except ForgeError as error:
            if error.code == "slack.exchanged_trigger_id":  # a redelivery of a command whose dialog is open
                await ack()
                return
            log.warning("could not open a dialog", action=CANDIDATES, code=error.code)
            await ack(response_type="ephemeral", **self._shown(no_candidates_dialog(error)))
            return
        await ack()
        self._remember(asyncio.ensure_future(self._fill(view_id, kept, intent)))

    async def _fill(self, view_id: str, kept: Kept, intent: Intent) -> None:
        """Puts the candidates, or why there are none, in the loading dialog's place."""
        answer = await self._asked(kept, lambda actor: self._operations.choices(intent, actor), within_s=CHOICES_S)
        if answer.ok and isinstance(answer.view, CandidatesView):
            memory = DialogMemory(service=answer.view.service, channel=kept.channel, response_url=kept.response_url)
            view = candidates_dialog(answer.view, memory, intent.reason)
        else:
            view = closing_dialog("Not done", answer.text, answer.remedy)
        try:
            await self._dialogs.update_dialog(view_id, view, timeout_s=DIALOG_S)
        except ForgeError as error:
            if error.code != "slack.not_found":  # closed by the person meanwhile
                log.warning("could not fill a dialog", action=CANDIDATES, code=error.code)
                await self._respond(kept.response_url, answer if not answer.ok else no_candidates_dialog(error))

    async def on_click(self, ack: AsyncAck, body: Json) -> None:
        kept = from_click(body)
        fate = await self._keep(CLICK, body, kept)
        await ack()
        if fate in (Fate.LOST, Fate.UNSURE):
            self._respond_soon(kept.response_url, not_kept(fate))

    async def on_dialog_click(self, ack: AsyncAck, body: Json) -> None:
        """Opens the dialog before anything else, and acknowledges then: a trigger lives three seconds.

        Nothing is kept of such a click: nothing happens by it, and without the acknowledgement Slack itself tells the person.
        """
        kept = from_click(body)
        memory = DialogMemory(button=kept.button, channel=kept.channel, response_url=kept.response_url)
        view = reason_dialog(kept.action, run_named_by(body), memory, matter_named_by(body))
        try:
            await self._dialogs.open_dialog(kept.trigger_id, view, timeout_s=DIALOG_S)
        except ForgeError as error:
            if error.code != "slack.exchanged_trigger_id":  # a redelivery of a click whose dialog is open
                log.warning("could not open a dialog", action=kept.action, code=error.code)
                self._respond_soon(kept.response_url, no_dialog(kept.action, error))
        await ack()

    async def on_view(self, ack: AsyncAck, body: Json) -> None:
        """Checked and authorised before the acknowledgement, which closes the dialog or puts the answer in its place."""
        kept = from_view(body)
        # A redelivery isn't judged again: its own first delivery may have changed what the answer would be.
        answer = None if dedup_key(VIEW, body) in self._recent_views else await self._judge(kept)
        if answer is None:
            fate = await self._keep(VIEW, body, kept, within_s=VIEW_COMMIT_S)
            answer = not_kept(fate) if fate in (Fate.LOST, Fate.UNSURE) else None
        if answer is None:
            self._recent_views.append(dedup_key(VIEW, body))
        if answer is None:
            await ack()
        else:
            view = closing_dialog("Not done", answer.text, answer.remedy)
            await ack(response_action="update", view=view)

    async def on_error(self, error: Exception, body: Json | None) -> BoltResponse:
        """The last resort: says so to whoever asked, and acknowledges with 200 what Slack would otherwise call a time-out."""
        if isinstance(error, BoltUnhandledRequestError):
            return self._visible(body or {}, retired_button(), "Not available")
        reference = secrets.token_hex(4)
        log.error("a Slack payload failed", reference=reference, exc_info=error)
        answer = refused(
            "handler.fault",
            "Something went wrong in forge; nothing was started by this.",
            f"Try again, and tell whoever runs forge the reference {reference}.",
        )
        return self._visible(body or {}, answer, "Something went wrong")

    # --- parts

    async def _keep(self, kind: str, body: Mapping[str, Any], kept: Kept, within_s: float | None = None) -> Fate:
        """Commits to the inbox, bounded in time."""
        work = asyncio.ensure_future(self._operations.receive(dedup_key(kind, body), kind, kept.as_json()))
        try:
            # Shielded: a commit that is late must not be torn, it may be there already.
            row = await asyncio.wait_for(asyncio.shield(work), within_s or COMMIT_S)
        except StoreUnavailable as error:
            log.error("a Slack payload could not be kept", kind=kind, code=error.code)
            return Fate.UNSURE if error.code == "store.doubtful" else Fate.LOST
        except TimeoutError:
            log.error("keeping a Slack payload takes too long", kind=kind)
            self._remember(work)
            return Fate.UNSURE
        return Fate.KNOWN if row is None else Fate.KEPT

    async def _judge(self, kept: Kept) -> Answer | None:
        """Why a dialog's submission is refused, or None. Fails closed."""
        intent = intent_of(VIEW, kept)
        if isinstance(intent, Answer):
            return intent
        found = await self._asked(kept, lambda actor: self._operations.preview(intent, actor))
        return None if found.ok else found

    async def _asked(
        self, kept: Kept, question: Callable[[Actor], Awaitable[Answer]], within_s: float | None = None
    ) -> Answer:
        """The answer to a question that is asked as this person, by default within what Slack waits for. Fails closed."""
        try:
            async with asyncio.timeout(within_s or LOOKUP_S):
                actor = await self._directory.actor(kept.team, kept.user)
                if actor.refusal:
                    return not_a_member(actor.refusal)
                return await question(actor)
        except TimeoutError:
            slow = StoreUnavailable("slow", "the answer took too long")
            return unknown_person(slow)
        except StoreUnavailable:
            return not_kept(Fate.LOST)
        except ForgeError as error:
            return unknown_person(error)

    def _visible(self, body: Mapping[str, Any], answer: Answer, title: str) -> BoltResponse:
        """An acknowledgement that is seen, in the shape that this kind of payload takes."""
        if body.get("type") == "view_submission":
            view = closing_dialog(title, answer.text, answer.remedy)
            return BoltResponse(status=200, body={"response_action": "update", "view": view})
        if "command" in body:
            return BoltResponse(status=200, body={"response_type": "ephemeral", **self._shown(answer)})
        self._respond_soon(str(body.get("response_url") or ""), answer)
        return BoltResponse(status=200, body="")

    def _shown(self, answer: Answer) -> Json:
        message = self._messages.answer(answer)
        return {"text": message.text, "blocks": [dict(block) for block in message.blocks]}

    def _respond_soon(self, address: str, answer: Answer) -> None:
        if address:
            self._remember(asyncio.ensure_future(self._respond(address, answer)))

    async def _respond(self, address: str, answer: Answer) -> None:
        try:
            await self._dialogs.respond(address, self._messages.answer(answer))
        except ForgeError as error:
            log.warning("an answer didn't reach the caller", code=error.code, answer=answer.code)

    def _remember(self, task: asyncio.Future[Any]) -> None:
        kept: asyncio.Task[Any] = asyncio.ensure_future(_quietly(task))
        self._tasks.add(kept)
        kept.add_done_callback(self._tasks.discard)


async def _quietly(work: Awaitable[Any]) -> None:
    try:
        await work
    except ForgeError as error:
        log.warning("late work failed", code=error.code)


def _unless_about_the_token(record: logging.LogRecord) -> bool:
    """Bolt finds SLACK_BOT_TOKEN in the environment and warns that it won't use it; that is as it should be."""
    return "`token` will be unused" not in record.getMessage()


def build_app(
    listeners: SlackListeners,
    *,
    bot_token: str,
    client: AsyncWebClient,
    signing_secret: str = "",
    command: str = COMMAND_NAME,
) -> AsyncApp:
    """The Bolt app. client: without a token. signing_secret: for HTTP mode; Socket Mode needs none.

    `process_before_response` makes Bolt await a listener before it answers, so that an acknowledgement can't be lost by an exception
    that follows it.
    """

    async def authorize(enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult:
        # Fixed: Bolt's own would ask auth.test before the first acknowledgement. Who may do what is not decided here.
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id, bot_token=bot_token)

    logger = logging.getLogger("slack_bolt.app")
    logger.addFilter(_unless_about_the_token)
    app = AsyncApp(
        logger=logger,
        name="forge",
        client=client,
        authorize=authorize,
        signing_secret=signing_secret,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        attaching_function_token_enabled=False,
    )

    async def on_error(error: Exception, body: Json | None) -> BoltResponse:
        return await listeners.on_error(error, body)

    app.command(command)(_listener(listeners.on_command))
    for action in (*ACTIONS, *ON_CHECKLISTS, *ON_PROMPTS):
        if asks_for_a_reason(action):
            app.action(action)(_listener(listeners.on_dialog_click))
            app.view(action)(_listener(listeners.on_view))
        else:
            app.action(action)(_listener(listeners.on_click))
    app.view(RESTORE)(_listener(listeners.on_view))
    app.view(CANDIDATES)(_listener(listeners.on_view))
    app.action(CHOICE)(_listener(listeners.on_click))
    app.error(on_error)
    return app


def _listener(method: Callable[[AsyncAck, Json], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A plain function for Bolt, which looks at the names of its parameters."""

    async def listen(ack: AsyncAck, body: Json) -> None:
        await method(ack, body)

    return listen


def _looking_at(kept: Kept) -> str:
    """A first word for what takes seconds to check, without which the person types it again; empty for the rest."""
    intent = intent_of(COMMAND, kept)
    if isinstance(intent, Answer) or intent.name not in _SLOW_STARTERS:
        return ""
    return f"Looking at {esc(' '.join(filter(None, (intent.name, intent.environment, intent.version))), 100)} …"
