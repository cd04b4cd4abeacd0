"""The command line's socket: the kernel says who calls, nobody else can open it, and a dead one is replaced."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest

from engine.answers import done
from handlers.local import LocalServer, SocketTaken
from handlers.local_client import NotRunning, send
from runbook.errors import StoreUnavailable
from runbook.values import Role
from tests.handlers.slack_world import FakeOperations


class Failing(FakeOperations):
    error: Exception = StoreUnavailable("disk_full", "the disk is full", "Free some space.")

    async def act(self, *_: object, **__: object) -> NoReturn:
        raise self.error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "forge.sock"


@pytest.fixture
async def operations(path: Path) -> AsyncIterator[FakeOperations]:
    made = FakeOperations(result=done("deployed", "It is done.", run="staging-1"))
    server = LocalServer(made, path, lambda: {Role.RELEASE_ENGINEER: (f"os:{getpass.getuser()}", "U1")})
    await server.start()
    yield made
    await server.stop()


async def test_a_command_is_carried_out_as_the_operating_systems_user(path: Path, operations: FakeOperations) -> None:
    answer = await asyncio.to_thread(send, path, ["deploy", "staging", "v1.4.0-rc.2", "--reason", "load test"])
    assert (answer["kind"], answer["code"], answer["run"]) == ("done", "deployed", "staging-1")
    assert "It is done." in answer["rendered"]
    [(intent, actor)] = operations.acted
    assert intent.reason == "load test"
    assert (actor.id, actor.can_decide) == (f"os:{getpass.getuser()}", False)
    assert actor.roles == {Role.RELEASE_ENGINEER}


async def test_a_mistyped_command_is_answered_without_the_engine(path: Path, operations: FakeOperations) -> None:
    answer = await asyncio.to_thread(send, path, ["deploy", "productoin", "v1"])
    assert answer["kind"] == "refused"
    assert "Did you mean prod?" in answer["remedy"]
    assert not operations.acted


async def test_nobody_else_can_open_the_socket_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "forge.sock"
    server = LocalServer(FakeOperations(), path, dict)
    before = os.umask(0)
    try:
        await server.start()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    assert not path.exists()
    with pytest.raises(NotRunning, match="forge serve"):
        await asyncio.to_thread(send, path, ["status"])


async def test_a_dead_processs_socket_is_replaced(path: Path) -> None:
    script = "import socket, sys, os; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert path.exists()
    server = LocalServer(FakeOperations(), path, dict)
    await server.start()
    assert (await asyncio.to_thread(send, path, ["status"]))["kind"] == "done"
    await server.stop()


async def test_a_second_forge_is_refused(path: Path, operations: FakeOperations) -> None:
    with pytest.raises(SocketTaken):
        await LocalServer(FakeOperations(), path, dict).start()
    assert (await asyncio.to_thread(send, path, ["status"]))["kind"] == "done"


async def test_a_file_in_the_way_is_not_deleted(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(OSError, match="no socket"):
        await LocalServer(FakeOperations(), path, dict).start()
    assert path.read_text() == "mine"


async def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        await LocalServer(FakeOperations(), tmp_path / ("x" * 120), dict).start()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable("disk_full", "the disk is full"), "store.unavailable"),
        (RuntimeError("a bug"), "handler.fault"),
    ],
)
async def test_a_failing_engine_is_an_answer_too(path: Path, error: Exception, code: str) -> None:
    operations = Failing()
    operations.error = error
    server = LocalServer(operations, path, dict)
    await server.start()
    answer = await asyncio.to_thread(send, path, ["status"])
    await server.stop()
    assert answer["code"] == code
    assert "a bug" not in answer["text"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"argv": "status"}', b'{"argv": [1]}', b"x" * 70_000])
async def test_what_is_no_request_is_refused(path: Path, operations: FakeOperations, body: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(
        b"POST /command HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert (await reader.readline()).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    writer.close()
    assert not operations.acted


def test_the_client_costs_the_command_line_little() -> None:
    script = "import sys, handlers.local_client; print(sorted({'aiohttp', 'rich', 'slack_bolt', 'pydantic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_a_server_that_hangs_up_is_said_to_have_gone_away(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(120)
        script = (
            "import sys\nfrom pathlib import Path\nfrom handlers.local_client import NotRunning, send\n"
            "try: send(Path(sys.argv[1]), ['status'])\nexcept NotRunning as error: print(error)"
        )
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        accepted, _ = listening.accept()
        accepted.close()
        out, _ = child.communicate(timeout=120)
    assert "went away" in out
