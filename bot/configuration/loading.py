"""Reads forge.yaml: the whole of it or nothing. It never touches the network and never needs a secret's value."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.configuration.connections import Connections
from bot.configuration.conversion import Connecting, setting_of
from bot.configuration.places import config_path, data_dir, database_url
from bot.configuration.postgres_references import postgres_contradictions, postgres_doubts, restore_contradictions
from bot.configuration.references import contradictions, doubts
from bot.configuration.schema import File
from runbook.documents.problems import ConfigurationError, Problem
from runbook.documents.translation import check
from runbook.documents.tree import LARGEST_BYTES, read_tree
from runbook.policy import Setting


@dataclass(frozen=True)
class Configuration:
    """setting: what procedures may know. connections: addresses and secrets. warnings: the bot works, but probably not as meant."""

    path: Path
    setting: Setting
    connections: Connections
    warnings: tuple[Problem, ...] = ()

    def missing(self) -> tuple[Problem, ...]:
        """Secrets without which the bot can't start and that have no value now."""
        found = []
        for path, secret in self.connections.needed_secrets.items():
            if not secret.is_set:
                remedy = _remedies(path, str(secret))
                found.append(Problem(str(self.path), 0, 0, path, f"{secret} has no value", remedy))
        return tuple(found)


def _remedies(path: str, secret: str) -> str:
    if path == "audit.key":
        return (
            "Make a key with `forge audit keygen --out audit-key.pem` (or `openssl genpkey -algorithm ed25519 -out audit-key.pem`), "
            "then set FORGE_AUDIT_KEY to its text or write `audit: {key: {file: audit-key.pem}}`"
        )
    return f"Give {secret} its value; docs/configuration.md says where to find it"


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
    """path: None for `FORGE_CONFIG`, else `forge.yaml` in the current folder. Raises ConfigurationError with every problem at once."""
    environ = os.environ if environ is None else environ
    path = path or config_path(environ)
    tree = read_tree(_text(path), str(path))
    file, problems = check(tree, File, start="examples/forge.yaml", manual="docs/configuration.md")
    folder, where = path.absolute().parent, data_dir(environ)
    if file is not None:
        problems += contradictions(file, tree)
        problems += postgres_contradictions(file, tree, environ, folder, where)
        problems += restore_contradictions(file, tree)
    if file is None or problems:
        raise ConfigurationError(problems)
    connections = Connecting(file, folder, environ).connections(where, database_url(environ, where))
    warnings = (*doubts(file, tree), *postgres_doubts(file, tree))
    return Configuration(path, setting_of(file, content_hash(tree.values)), connections, warnings)


def content_hash(values: Any) -> str:
    """SHA-256 of the content as canonical JSON: comments, order and spacing don't matter; secrets are references in it."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
        return content.decode("utf-8")
    except FileNotFoundError:
        cause, remedy = "there is no such file", "Name it by --config or FORGE_CONFIG; examples/forge.yaml is a start"
    except IsADirectoryError:
        cause, remedy = "this is a folder", "Name the file in it"
    except UnicodeDecodeError:
        cause, remedy = "the file is no UTF-8 text", "Save it as UTF-8"
    except OSError as error:
        cause, remedy = f"the file can't be read: {error.strerror}", "Look at its owner and mode"
    raise ConfigurationError([Problem(str(path), 0, 0, "", cause, remedy)])
