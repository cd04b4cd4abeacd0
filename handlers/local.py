"""The command line's way in: a socket of mode 0600 in the data directory, where the kernel says who calls.

A caller holds only the roles configured for `os:<name>` and can't decide anything. Nothing here is reachable by network.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import socket
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from aiohttp import web

from engine.answers import Answer, AnswerKind, refused
from engine.intents import Operations
from handlers.parser import parse_argv
from messages.plain import to_json, to_text
from runbook.errors import StoreUnavailable
from runbook.values import Actor, Role

log = structlog.get_logger(__name__)
SOCKET_NAME = "forge.sock"
MAX_BODY_BYTES = 64 * 1024
MAX_WORDS = 100
_MAX_PATH_BYTES = 100  # the kernel takes 108 with the final zero; macOS 104


class SocketTaken(Exception):
    """Another process answers at this socket."""


class LocalServer:
    """Answers `POST /command {"argv": […], "width": 100, "color": false}`.

    The answer is `messages.plain.to_json` with `rendered` beside it: the text for a terminal. roles: members as configured.
    """

    def __init__(self, operations: Operations, path: Path, roles: Callable[[], Mapping[Role, tuple[str, ...]]]) -> None:
        self._operations = operations
        self._path = path
        self._roles = roles
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises `SocketTaken`, or OSError when the folder can't be written."""
        bound = _bind(self._path)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes([web.post("/command", self._command)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.SockSite(self._runner, bound).start()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            self._path.unlink(missing_ok=True)

    async def _command(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            argv = body["argv"]
            if not isinstance(argv, list) or len(argv) > MAX_WORDS or not all(isinstance(w, str) for w in argv):
                raise TypeError
            width, color = int(body.get("width") or 100), bool(body.get("color"))
        except (ValueError, TypeError, KeyError, AttributeError, web.HTTPRequestEntityTooLarge):
            return web.json_response({"error": "argv must be a list of at most 100 words"}, status=400)
        answer = await self._answer(argv, self._actor(_peer_uid(request)))
        return web.json_response({**to_json(answer), "rendered": to_text(answer, width=width, color=color)})

    async def _answer(self, argv: list[str], actor: Actor) -> Answer:
        intent = parse_argv(argv)
        if isinstance(intent, Answer):
            return intent
        try:
            return await self._operations.act(intent, actor)
        except StoreUnavailable as error:
            return refused("store.unavailable", f"forge can't write its records now: {error.cause}.", error.remedy)
        except Exception as error:  # the last resort: the caller gets a reference, the log gets the rest
            reference = secrets.token_hex(4)
            log.error("a local command failed", reference=reference, exc_info=error)
            return Answer(AnswerKind.FAULT, "handler.fault", f"Something went wrong in forge (reference {reference}).")

    def _actor(self, uid: int) -> Actor:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = f"#{uid}"
        me = f"os:{name}"
        held = frozenset(role for role, members in self._roles().items() if me in members)
        return Actor(me, name, roles=held, can_decide=False)


def _bind(path: Path) -> socket.socket:
    """A listening socket that nobody else could open at any moment. A dead process's socket is replaced."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(f"the path of the socket is too long for the system: {path}")
    _clear_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # at once and not by chmod after it: in between others could connect
    try:
        bound.bind(os.fspath(path))
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    bound.setblocking(False)
    return bound


def _clear_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path} is in the way: it is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise SocketTaken(f"{path} can't be examined: {error}") from error
    raise SocketTaken(f"another forge answers at {path}")


def _peer_uid(request: web.Request) -> int:
    transport = request.transport
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is not None and sys.platform == "linux":
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    # Elsewhere the socket's mode alone says it: only this user (and root) can open it.
    return os.getuid()


async def wait_until_served(path: Path, timeout_s: float = 5.0) -> None:
    """Until somebody answers at the socket. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(path)
                writer.close()
                return
            await asyncio.sleep(0.02)
