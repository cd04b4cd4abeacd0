"""Ports for servers that are other programs. Nobody else may get a port between its choice and its use."""

from __future__ import annotations

import socket


def hold_port(host: str) -> socket.socket:
    """A socket that has a free port and listens to nobody: whoever is there first gets no such port, and a server that reuses addresses, as
    these do, can listen on it all the same.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, 0))
    return held
