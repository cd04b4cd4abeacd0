"""moto's S3 as it should be: S3 decides a conditional write as one, where moto looks first and writes later, each request in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.server import ThreadedMotoServer


def start_moto() -> ThreadedMotoServer:
    """On a free port of this machine. Blocks until it serves."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = _deciding_at_once(server._server.app)
    return server


def _deciding_at_once(app: WSGIApplication) -> WSGIApplication:
    turn = threading.Lock()

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return app(environ, start_response)
        with turn:
            return list(app(environ, start_response))

    return served
