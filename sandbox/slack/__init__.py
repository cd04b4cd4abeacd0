"""A local Slack workspace: Web API, Socket Mode, slash commands, clicks, modals, files, and a page to look at it."""

from sandbox.slack.modals import SubmitResult
from sandbox.slack.model import ApiCall, Message, User, View
from sandbox.slack.people import ClickResult, CommandResult
from sandbox.slack.server import LocalSlack
from sandbox.slack.sockets import Delivery

__all__ = [
    "ApiCall",
    "ClickResult",
    "CommandResult",
    "Delivery",
    "LocalSlack",
    "Message",
    "SubmitResult",
    "User",
    "View",
]
