"""The command line's half of the local socket. Light: the standard library alone, because every `forge …` pays for it."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0


class NotRunning(Exception):
    """No forge answers at the socket, or this user may not open it; the message says which."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def send(
    socket_path: Path, argv: Sequence[str], *, width: int = 100, color: bool = False, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """`{kind, code, text, remedy, run, verdicts, view, rendered}`. Raises `NotRunning`; TimeoutError: it may have been carried out."""
    connection = _UnixConnection(socket_path, timeout_s)
    body = json.dumps({"argv": list(argv), "width": width, "color": color})
    try:
        connection.request("POST", "/command", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(f"no forge is running (nobody answers at {socket_path}); start it: forge serve") from None
    except PermissionError:
        raise NotRunning(f"this user may not talk to forge ({socket_path} belongs to another)") from None
    except (http.client.HTTPException, ConnectionError, ValueError) as error:
        raise NotRunning(f"forge went away while it was asked ({type(error).__name__}); see forge status") from error
    finally:
        connection.close()
    if answer.status != 200 or not isinstance(found, dict):
        raise NotRunning(f"forge didn't understand the request (HTTP {answer.status})")
    return found
