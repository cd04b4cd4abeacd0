"""`views.*`: modals and Home tabs."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError, invalid
from sandbox.slack.model import View
from sandbox.slack.viewrules import check_view
from sandbox.slack.webapi import Method
from sandbox.slack.workspace import Workspace, random_id

Json = dict[str, Any]


def _checked(arguments: Json, kind: str = "modal") -> Json:
    if arguments.get("view") is None:
        raise invalid("invalid_arguments", ["missing required field: view"])
    return check_view(arguments["view"], kind=kind)


def views_open(workspace: Workspace, arguments: Json) -> Json:
    content = _checked(arguments)
    trigger = workspace.exchange(arguments.get("trigger_id"))
    return {"view": workspace.shown_view(workspace.open_view(trigger.user, content))}


def views_push(workspace: Workspace, arguments: Json) -> Json:
    content = _checked(arguments)
    trigger = workspace.exchange(arguments.get("trigger_id"))
    below = workspace.views.get(trigger.view or "")
    if below is None:
        raise SlackError("not_found")
    return {"view": workspace.shown_view(workspace.open_view(trigger.user, content, onto=below))}


def views_update(workspace: Workspace, arguments: Json) -> Json:
    content = _checked(arguments)
    view = _find(workspace, arguments)
    if arguments.get("hash") and arguments["hash"] != view.hash:
        raise SlackError("hash_conflict")
    workspace.change_view(view, content)
    return {"view": workspace.shown_view(view)}


def _find(workspace: Workspace, arguments: Json) -> View:
    wanted, external = arguments.get("view_id"), arguments.get("external_id")
    for view in workspace.views.values():
        if view.id == wanted or (external and view.content.get("external_id") == external):
            return view
    raise SlackError("not_found")


def views_publish(workspace: Workspace, arguments: Json) -> Json:
    content = _checked(arguments, kind="home")
    user = workspace.user(str(arguments.get("user_id")))
    known = workspace.homes.get(user.id)
    if known is not None and arguments.get("hash") and arguments["hash"] != known.hash:
        raise SlackError("hash_conflict")
    view_id = known.id if known else random_id("V")
    home = View(view_id, user.id, content, workspace.new_hash(), view_id)
    workspace.homes[user.id] = home
    workspace.tell("views", user=user.id)
    return {"view": workspace.shown_view(home)}


METHODS = {
    "views.open": Method(views_open),
    "views.push": Method(views_push),
    "views.update": Method(views_update),
    "views.publish": Method(views_publish),
}
