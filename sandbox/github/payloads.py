"""What GitHub tells in a webhook: the payload of each event, with the fields that a receiver would read.

Source: docs.github.com/webhooks/webhook-events-and-payloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sandbox.github.hooks import Hook
from sandbox.github.objects import Commit
from sandbox.github.repository import CheckRun, CheckSuite, Release, Repository, WorkflowRun
from sandbox.github.views import Json, Views, changed_files, login, stamp, user

NOTHING = "0" * 40
MOST_COMMITS = 2048
"""A push's payload has no more."""


class Payloads:
    """The events of one repository. sender: a login."""

    def __init__(self, repository: Repository, api: str) -> None:
        self._repository = repository
        self._views = Views(repository, api)

    def ping(self, hook: Hook, at: datetime) -> Json:
        here = f"{self._views.base}/hooks/{hook.id}"
        config = {"content_type": "json", "insecure_ssl": "0", "url": hook.url}
        shown = {
            "type": "Repository",
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": list(hook.events),
            "config": config | ({"secret": "********"} if hook.secret else {}),
            "created_at": stamp(at),
            "updated_at": stamp(at),
            "url": here,
            "ping_url": f"{here}/pings",
            "deliveries_url": f"{here}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }
        return {"zen": "Keep it logically awesome.", "hook_id": hook.id, "hook": shown, **self._around("ada")}

    def push(self, ref: str, before: str, after: str, sender: str) -> Json:
        """before, after: what the ref named, zeros for nothing."""
        repository = self._repository
        new = "" if after == NOTHING else repository.peel(after)
        old = "" if before == NOTHING else repository.peel(before)
        told = self._between(ref, old, new)
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "created": before == NOTHING,
            "deleted": after == NOTHING,
            "forced": bool(old and new and old not in repository.history(new)),
            "base_ref": self._branch_of(new) if ref.startswith("refs/tags/") and new else None,
            "compare": f"{self._views.web}/compare/{before[:12]}...{after[:12]}",
            "commits": [self._pushed(repository.commits[sha]) for sha in told],
            "head_commit": self._pushed(repository.commits[new]) if new else None,
            "pusher": {"name": sender, "email": f"{sender}@example.test"},
            **self._around(sender),
        }

    def ref(self, ref: str, sender: str, *, created: bool) -> Json:
        """Of `create` and `delete`."""
        _, kind, name = ref.split("/", 2)
        found = {"ref": name, "ref_type": "tag" if kind == "tags" else "branch", "pusher_type": "user"}
        more = {"master_branch": self._repository.default_branch, "description": None} if created else {}
        return {**found, **more, **self._around(sender)}

    def release(self, action: str, release: Release) -> Json:
        return {"action": action, "release": self._views.release(release), **self._around("forge")}

    def check_suite(self, suite: CheckSuite, runs: Sequence[CheckRun]) -> Json:
        shown = self._views.check_suite(suite, runs) | {"head_commit": self._simple(suite.head_sha)}
        return {"action": "completed", "check_suite": shown, **self._around("github-actions[bot]")}

    def workflow_run(self, action: str, run: WorkflowRun) -> Json:
        sender = login(self._repository.commits[run.head_sha].author)
        around = self._around(sender)
        workflow = {
            "id": run.workflow_id,
            "name": run.name,
            "path": f".github/workflows/{run.name}.yml",
            "state": "active",
        }
        shown = self._views.run(run) | {
            "head_commit": self._simple(run.head_sha),
            "repository": around["repository"],
            "head_repository": around["repository"],
            "actor": user(sender),
            "triggering_actor": user(sender),
        }  # fmt: skip
        return {"action": action, "workflow_run": shown, "workflow": workflow, **around}

    def _around(self, sender: str) -> Json:
        whole = self._views.repo()
        organization = {key: whole["owner"][key] for key in ("login", "id")}
        return {"repository": whole, "organization": organization, "sender": user(sender)}

    def _between(self, ref: str, old: str, new: str) -> list[str]:
        """What the push brought to a branch, the oldest first."""
        if not new or not ref.startswith("refs/heads/"):
            return []
        known = set(self._repository.history(old)) if old else self._elsewhere(ref)
        fresh = [sha for sha in self._repository.history(new) if sha not in known]
        return list(reversed(fresh))[-MOST_COMMITS:]

    def _elsewhere(self, ref: str) -> set[str]:
        tips = [sha for name, sha in self._repository.refs.items() if name != ref and name.startswith("refs/heads/")]
        return {sha for tip in tips for sha in self._repository.history(tip)}

    def _branch_of(self, sha: str) -> str | None:
        refs = self._repository.refs
        return next((name for name, tip in refs.items() if name.startswith("refs/heads/") and tip == sha), None)

    def _pushed(self, commit: Commit) -> Json:
        files = self._repository.files
        before = files[commit.parents[0]] if commit.parents else {}
        changed = changed_files(before, files[commit.sha])
        by: dict[str, list[str]] = {kind: [] for kind in ("added", "removed", "modified")}
        for each in changed:
            by[each["status"]].append(each["filename"])
        person = self._person(commit)
        return self._simple(commit.sha) | {
            "distinct": True,
            "url": f"{self._views.web}/commit/{commit.sha}",
            "author": person,
            "committer": person,
            **by,
        }

    def _simple(self, sha: str) -> Json:
        commit = self._repository.commits[sha]
        person = {key: value for key, value in self._person(commit).items() if key != "username"}
        return {
            "id": sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": commit.at.isoformat(timespec="seconds"),
            "author": person,
            "committer": person,
        }

    def _person(self, commit: Commit) -> dict[str, Any]:
        return {"name": commit.author.name, "email": commit.author.email, "username": login(commit.author)}
