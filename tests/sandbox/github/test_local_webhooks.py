"""The GitHub stand-in's webhooks: what a receiver gets, when, and what becomes of deliveries that fail."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.github import LocalGitHub
from sandbox.github.hooks import AT_ONCE
from sandbox.serving import listen
from tests.sandbox.github.conftest import REPO

SECRET = "a-webhook-secret"
NOTHING = "0" * 40


@dataclass
class Receiver:
    """status: what it answers. held: answers wait until it is set. got: event, headers, body."""

    url: str = ""
    status: int = 202
    held: asyncio.Event | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    most_open: int = 0
    got: list[tuple[str, Any, bytes]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append((request.headers["X-GitHub-Event"], request.headers, body))
        self.came.set()
        self.open, self.most_open = self.open + 1, max(self.most_open, self.open + 1)
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self.open -= 1
        headers = {"Location": f"{self.url}/elsewhere"} if self.status in (301, 302, 307) else {}
        return web.Response(status=self.status, headers=headers)

    def payloads(self, event: str) -> list[Any]:
        return [json.loads(body) for name, _, body in self.got if name == event]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    routes = [web.post("/hook", made.receive), web.post("/hook/elsewhere", made.receive)]
    runner, base = await listen(routes, [], "127.0.0.1", 0)
    made.url = f"{base}/hook"
    yield made
    await runner.cleanup()


async def hooked(github: LocalGitHub, receiver: Receiver, *events: str) -> None:
    """A hook whose ping is over."""
    github.add_hook(REPO, receiver.url, SECRET, events or ("*",))
    await github.hooks.settled()
    receiver.got.clear()


async def test_a_new_hook_is_pinged(github: LocalGitHub, receiver: Receiver) -> None:
    hook = github.add_hook(REPO, receiver.url, SECRET)
    await github.hooks.settled()
    ((event, headers, body),) = receiver.got
    ping = json.loads(body)
    assert event == "ping"
    assert (ping["hook_id"], ping["hook"]["events"]) == (hook.id, list(hook.events))
    assert ping["repository"]["full_name"] == REPO
    assert headers["X-GitHub-Hook-ID"] == str(hook.id)
    assert SECRET not in body.decode()


async def test_a_delivery_has_githubs_headers_and_a_signature_over_its_bytes(
    github: LocalGitHub, receiver: Receiver
) -> None:
    await hooked(github, receiver)
    github.commit(REPO, "Größer")
    await github.hooks.settled()
    _, headers, body = next(each for each in receiver.got if each[0] == "push")
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert headers["X-GitHub-Hook-Installation-Target-Type"] == "repository"
    assert len(headers["X-GitHub-Delivery"]) == 36
    for name, digest in (("X-Hub-Signature-256", hashlib.sha256), ("X-Hub-Signature", hashlib.sha1)):
        kind, _, given = headers[name].partition("=")
        assert kind == digest().name
        assert given == hmac.new(SECRET.encode(), body, digest).hexdigest()


async def test_without_a_secret_there_is_no_signature(github: LocalGitHub, receiver: Receiver) -> None:
    github.add_hook(REPO, receiver.url)
    await github.hooks.settled()
    assert not [name for name in receiver.got[0][1] if name.lower().startswith("x-hub-signature")]


async def test_a_push_tells_what_came_onto_which_branch(github: LocalGitHub, receiver: Receiver) -> None:
    before = github.commit(REPO, "First", files={"a": "1", "b": "1"})
    await hooked(github, receiver)
    after = github.commit(REPO, "Second", files={"a": "2", "b": None, "c": "1"})
    await github.hooks.settled()
    (push,) = receiver.payloads("push")
    assert (push["ref"], push["before"], push["after"]) == ("refs/heads/main", before, after)
    assert (push["created"], push["deleted"], push["forced"]) == (False, False, False)
    assert push["head_commit"]["id"] == after
    (commit,) = push["commits"]
    assert (commit["message"], commit["added"], commit["removed"], commit["modified"]) == (
        "Second",
        ["c"],
        ["b"],
        ["a"],
    )
    assert push["repository"]["full_name"] == REPO
    assert (push["pusher"]["name"], push["sender"]["login"]) == ("ada", "ada")


async def test_branches_and_tags_that_begin_and_end_are_told(github: LocalGitHub, receiver: Receiver) -> None:
    first = github.commit(REPO, "First")
    await hooked(github, receiver)
    github.push(REPO, "topic", first)
    tag = github.tag(REPO, "v1.0.0", first)
    github.delete_branch(REPO, "topic")
    github.delete_tag(REPO, "v1.0.0")
    await github.hooks.settled()
    assert sorted((each["ref_type"], each["ref"]) for each in receiver.payloads("create")) == [
        ("branch", "topic"),
        ("tag", "v1.0.0"),
    ]
    assert len(receiver.payloads("delete")) == 2
    pushed = {(each["ref"], each["deleted"]): each for each in receiver.payloads("push")}
    made, gone = pushed["refs/tags/v1.0.0", False], pushed["refs/tags/v1.0.0", True]
    assert (made["before"], made["after"], made["created"]) == (NOTHING, tag, True)
    assert made["head_commit"]["id"] == first
    assert made["base_ref"] == "refs/heads/main"
    assert (gone["before"], gone["after"], gone["head_commit"]) == (tag, NOTHING, None)


async def test_a_forced_push_is_told_as_one(github: LocalGitHub, receiver: Receiver) -> None:
    old, new = github.commit(REPO, "Old"), github.commit(REPO, "New")
    await hooked(github, receiver)
    github.push(REPO, "main", old)
    await github.hooks.settled()
    (push,) = receiver.payloads("push")
    assert (push["before"], push["after"], push["forced"], push["commits"]) == (new, old, True, [])


async def test_a_workflow_is_told_from_its_beginning_to_its_end(github: LocalGitHub, receiver: Receiver) -> None:
    sha = github.commit(REPO, "First")
    await hooked(github, receiver)
    run = github.begin_ci(REPO, sha, ("build", "test"))
    github.conclude_ci(REPO, run, {"build": "success"})
    await github.hooks.settled()
    assert {each["action"] for each in receiver.payloads("workflow_run")} == {"requested", "in_progress"}
    assert receiver.payloads("check_suite") == []
    github.conclude_ci(REPO, run, {"test": "failure"})
    await github.hooks.settled()
    ended = next(each for each in receiver.payloads("workflow_run") if each["action"] == "completed")
    shown = ended["workflow_run"]
    assert (shown["head_branch"], shown["head_sha"], shown["event"]) == ("main", sha, "push")
    assert (shown["status"], shown["conclusion"]) == ("completed", "failure")
    assert (shown["head_commit"]["id"], ended["workflow"]["name"]) == (sha, "ci")
    (suite,) = receiver.payloads("check_suite")
    told = suite["check_suite"]
    assert (suite["action"], told["head_branch"], told["head_sha"]) == ("completed", "main", sha)
    assert (told["conclusion"], told["latest_check_runs_count"], told["id"]) == ("failure", 2, shown["check_suite_id"])


async def test_checks_that_are_set_complete_their_suite_when_the_last_one_ends(
    github: LocalGitHub, receiver: Receiver
) -> None:
    sha = github.commit(REPO, "First")
    await hooked(github, receiver, "check_suite")
    github.set_checks(REPO, sha, {"build": "success", "test": "in_progress"})
    github.set_checks(REPO, sha, {"test": "success"})
    await github.hooks.settled()
    assert [each["check_suite"]["conclusion"] for each in receiver.payloads("check_suite")] == ["success"]


async def test_releases_and_drafts_are_told(
    github: LocalGitHub, receiver: Receiver, client: aiohttp.ClientSession
) -> None:
    github.commit(REPO)
    await hooked(github, receiver, "release")
    async with client.post(f"/repos/{REPO}/releases", json={"tag_name": "v1.0.0", "draft": True}) as made:
        number = (await made.json())["id"]
    async with client.patch(f"/repos/{REPO}/releases/{number}", json={"body": "Notes"}) as done:
        assert done.status == 200
    github.publish_release(REPO, "v1.0.0")
    await github.hooks.settled()
    told = receiver.payloads("release")
    assert sorted(each["action"] for each in told) == ["created", "published", "released"]
    assert {each["release"]["tag_name"] for each in told} == {"v1.0.0"}


async def test_a_merge_is_a_push_to_the_base(github: LocalGitHub, receiver: Receiver) -> None:
    first = github.commit(REPO, "First", files={"a": "1"})
    topic = github.commit(REPO, "Work", parent=first, branch="topic", files={"b": "1"})
    pull = github.pull_request(REPO, "Sell tea", [topic], merged=False)
    await hooked(github, receiver)
    sha = github.merge(REPO, pull.number)
    await github.hooks.settled()
    (push,) = receiver.payloads("push")
    assert (push["ref"], push["after"]) == ("refs/heads/main", sha)
    assert [commit["id"] for commit in push["commits"]] == [topic, sha]


async def test_a_hook_gets_the_events_of_its_repository_that_it_is_subscribed_to(
    github: LocalGitHub, receiver: Receiver
) -> None:
    await hooked(github, receiver, "create")
    github.commit(REPO, "First")
    github.commit("acme/other", "First")
    await github.hooks.settled()
    assert [event for event, _, _ in receiver.got] == ["create"]
    for hook in github.hooks.hooks.values():
        hook.active = False
    github.push(REPO, "topic", github.commit(REPO, "Second"))
    await github.hooks.settled()
    assert len(receiver.got) == 1


# --- what becomes of deliveries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [(200, "OK"), (204, "OK"), (302, "Invalid HTTP Response: 302"), (401, "Invalid HTTP Response: 401"), (503, "Invalid HTTP Response: 503")],
)  # fmt: skip
async def test_the_record_has_what_the_receiver_answered_and_nothing_is_sent_again(
    github: LocalGitHub, receiver: Receiver, status: int, words: str
) -> None:
    receiver.status = status
    github.add_hook(REPO, receiver.url, SECRET)
    await github.hooks.settled()
    (delivery,) = github.hooks.deliveries
    assert (delivery.status_code, delivery.status, delivery.redelivery) == (status, words, False)
    assert len(receiver.got) == 1


async def test_nobody_at_the_address_is_recorded(github: LocalGitHub) -> None:
    github.add_hook(REPO, "http://127.0.0.1:1/hook", SECRET)
    await github.hooks.settled()
    assert [(each.status_code, each.status) for each in github.hooks.deliveries] == [(0, "failed to connect to host")]


async def test_a_receiver_that_takes_too_long_is_given_up(github: LocalGitHub, receiver: Receiver) -> None:
    receiver.held = asyncio.Event()
    github.hooks.timeout_s = 0.1
    github.add_hook(REPO, receiver.url, SECRET)
    await github.hooks.settled()
    assert [(each.status_code, each.status) for each in github.hooks.deliveries] == [(0, "timed out")]


async def test_a_redelivery_has_the_same_guid_and_bytes_and_the_present_secrets_signature(
    github: LocalGitHub, receiver: Receiver
) -> None:
    await hooked(github, receiver)
    receiver.status = 503
    github.commit(REPO, "First")
    await github.hooks.settled()
    failed = next(each for each in github.hooks.deliveries if each.event == "push")
    receiver.status = 202
    github.hooks.hooks[failed.hook_id].secret = "another"
    again = github.redeliver(failed.guid)
    await github.hooks.settled()
    assert (again.guid, again.status_code, again.redelivery) == (failed.guid, 202, True)
    assert (failed.status_code, failed.redelivery) == (503, False)
    first, second = [each for each in receiver.got if each[0] == "push"]
    assert (first[1]["X-GitHub-Delivery"], first[2]) == (second[1]["X-GitHub-Delivery"], second[2])
    assert second[1]["X-Hub-Signature-256"] == "sha256=" + hmac.new(b"another", second[2], "sha256").hexdigest()
    with pytest.raises(KeyError):
        github.redeliver("no-such-guid")


async def test_many_pushes_are_delivered_a_few_at_once_and_all_of_them(github: LocalGitHub, receiver: Receiver) -> None:
    await hooked(github, receiver, "push")
    shas = {github.commit(REPO, f"Change {number}") for number in range(200)}
    await github.hooks.settled(60)
    assert {push["after"] for push in receiver.payloads("push")} == shas
    assert 1 <= receiver.most_open <= AT_ONCE
    assert len({each.guid for each in github.hooks.deliveries}) == len(github.hooks.deliveries)


async def test_what_waits_is_sent_after_a_restart(github: LocalGitHub, receiver: Receiver) -> None:
    await hooked(github, receiver, "push")
    await github.stop()
    sha = github.commit(REPO, "While nobody delivers")
    assert receiver.got == []
    await github.start()
    await github.hooks.settled()
    assert [push["after"] for push in receiver.payloads("push")] == [sha]


async def test_stopping_ends_what_is_under_way(github: LocalGitHub, receiver: Receiver) -> None:
    receiver.held = asyncio.Event()
    github.add_hook(REPO, receiver.url, SECRET)
    await asyncio.wait_for(receiver.came.wait(), 10)
    await github.stop()
    assert [each.status for each in github.hooks.deliveries] == ["lost"]


@pytest.mark.parametrize("url", ["https://forge.example/hook", "http://10.0.0.1/hook", "ftp://127.0.0.1/x", "nonsense"])
async def test_nothing_is_sent_to_another_machine(github: LocalGitHub, url: str) -> None:
    with pytest.raises(ValueError, match="not this machine"):
        github.add_hook(REPO, url, SECRET)
    assert github.hooks.deliveries == []


async def test_the_secret_is_in_no_description(github: LocalGitHub, receiver: Receiver) -> None:
    hook = github.add_hook(REPO, receiver.url, SECRET)
    await github.hooks.settled()
    assert SECRET not in f"{hook!r} {github.hooks.deliveries!r}"
