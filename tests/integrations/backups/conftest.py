"""Repositories in a folder and in object storage (moto's S3 on loopback)."""

from __future__ import annotations

import itertools
import logging
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from integrations.backups import Repository
from tests.fakes.atomic_s3 import start_moto
from tests.integrations.backups.repositories import Keys, new_keys, new_repository

_numbers = itertools.count(1)


@dataclass
class Bucket:
    """An S3 bucket of the test's own."""

    server: ThreadedMotoServer
    endpoint: str
    name: str

    @property
    def options(self) -> dict[str, str]:
        keys = {"access_key_id": "AKIATESTTESTTEST0000", "secret_access_key": "not-for-anybody"}
        return {"endpoint": self.endpoint, "region": "us-east-1", **keys}

    def unfinished_uploads(self) -> int:
        with urllib.request.urlopen(f"{self.endpoint}/{self.name}?uploads") as answer:
            return int(answer.read().count(b"<Upload>"))


def start_s3() -> tuple[ThreadedMotoServer, str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = start_moto()
    host, port = server.get_host_and_port()
    return server, f"http://{host}:{port}"


def new_bucket(server: ThreadedMotoServer, endpoint: str) -> Bucket:
    bucket = Bucket(server, endpoint, f"backups-{next(_numbers)}")
    request = urllib.request.Request(f"{endpoint}/{bucket.name}", method="PUT")
    urllib.request.urlopen(request).close()
    return bucket


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[ThreadedMotoServer, str]]:
    server, endpoint = start_s3()
    yield server, endpoint
    server.stop()


@pytest.fixture
def bucket(s3_server: tuple[ThreadedMotoServer, str]) -> Bucket:
    return new_bucket(*s3_server)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def local(tmp_path: Path, keys: Keys) -> Repository:
    return new_repository(tmp_path, keys)


@pytest.fixture(params=["folder", "s3"])
def repository(request: pytest.FixtureRequest, tmp_path: Path, keys: Keys) -> Repository:
    """Every test that asks for it runs on both."""
    if request.param == "folder":
        return new_repository(tmp_path, keys)
    bucket: Bucket = request.getfixturevalue("bucket")
    return new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)


@pytest.fixture
def own_s3() -> Iterator[Callable[[], Bucket]]:
    """A server of the test's own, which it may stop."""
    started: list[ThreadedMotoServer] = []

    def start() -> Bucket:
        server, endpoint = start_s3()
        started.append(server)
        return new_bucket(server, endpoint)

    yield start
    for server in started:
        server.stop()
