"""`forge audit`: the log itself, its verification and export, and the key. Only `keygen` writes, and never over a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli_output import fail, fail_error, print_json
from bot.exits import Exit

if TYPE_CHECKING:
    from state.store import SqlStore

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_FILE = click.Path(path_type=Path)


class _Audit(click.Group):
    """`forge audit`, `forge audit staging-12`, and `forge audit verify` with its like."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "of", _of, args
        return super().resolve_command(ctx, args)


@click.group(cls=_Audit, invoke_without_command=True)
@_JSON
@click.pass_context
def audit(ctx: click.Context, as_json: bool) -> None:
    """Show the audit log, or that of one run (`forge audit staging-12`); verify or export it."""
    ctx.obj = as_json
    if ctx.invoked_subcommand is None:
        _ask([], as_json=as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@_JSON
@click.pass_context
def _of(ctx: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    _ask(list(words), as_json=as_json or bool(ctx.obj))


def _ask(words: list[str], *, as_json: bool) -> None:
    from bot.cli_slash import send_words

    send_words(["audit", *words], as_json=as_json)


@audit.command()
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM with one or more public keys. Default: that of the audit key, and the configured earlier ones.",
)
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="Folder with checkpoints; may be repeated. Default: the configured ones.",
)
@_JSON
def verify(public_key: Path | None, checkpoints: tuple[Path, ...], as_json: bool) -> None:
    """Hold the log's chain of hashes against the signed checkpoints; exit code 5 where it isn't intact."""
    from runbook.errors import ForgeError
    from state.checkpoints import load_public_keys
    from state.verify import verify as verify_log

    try:
        keys = load_public_keys(public_key.read_text(encoding="utf-8")) if public_key else _configured_keys()
        found = [item for folder in checkpoints or _configured_folders() for item in _found(folder)]
        with _store() as store:
            result = verify_log(store, keys, found)
    except (ValueError, OSError) as error:
        fail(
            Exit.USAGE,
            "audit.input",
            str(error),
            "Name the public key's file and folders that can be read",
            as_json=as_json,
        )
    except ForgeError as error:
        fail_error(error, Exit.USAGE, as_json=as_json)
    if as_json:
        print_json(_verification_json(result))
    else:
        click.echo(result.sentence + ".")
        for line in [
            *(f"problem: entry {p.seq}: {p.reason}" for p in result.problems),
            *(f"note: {n}" for n in result.notes),
        ]:
            click.echo(line)
    sys.exit(Exit.OK if result.ok else Exit.CHECK_FAILED)


def _verification_json(result: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": result.ok, "sentence": result.sentence, **asdict(result)}


@audit.command()
@click.option("--run", "subject", default="", help="Of one run, or of whatever else entries are about.")
@click.option("--actor", default="", help="By one person: `T…:U…`, `os:<name>` or `forge`.")
@click.option("--action", default="", help="A word such as `run.created`, or its beginning up to a dot.")
@click.option("--text", default="", help="Found anywhere in an entry.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="UTC.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def show(subject: str, actor: str, action: str, text: str, since: Any, limit: int, as_json: bool) -> None:
    """Search the audit log; needs no running bot."""
    from datetime import UTC

    from engine.answers import info
    from engine.views import AuditView
    from messages.plain import to_json, to_text
    from runbook.errors import ForgeError
    from state.search import AuditQuery, find_entries

    moment = since.replace(tzinfo=UTC) if since else None
    query = AuditQuery(subject=subject, actor=actor, action=action, text=text, since=moment, limit=limit)
    try:
        with _store() as store:
            entries = tuple(store.read_now(lambda ledger: find_entries(ledger, query)))
    except ForgeError as error:
        fail_error(error, as_json=as_json)
    answer = info("audit", "", view=AuditView(entries=entries, total=len(entries)))
    if as_json:
        print_json(to_json(answer))
    else:
        click.echo(to_text(answer, width=120, color=sys.stdout.isatty()).rstrip("\n"))


_FORMS: dict[str, Any] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@audit.command()
@click.argument("file", type=_FILE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["sqlite", "csv", "jsonl"]),
    default=None,
    help="[default: by the file's ending, else sqlite]",
)
@_JSON
def export(file: Path, form: Any, as_json: bool) -> None:
    """Write the whole log to a new file that only you may read."""
    from runbook.errors import ForgeError
    from state.export import export_audit

    try:
        with _store() as store:
            count = export_audit(store, file, form or _FORMS.get(file.suffix.lower(), "sqlite"))
    except ForgeError as error:
        fail_error(error, as_json=as_json)
    if as_json:
        print_json({"ok": True, "file": str(file), "entries": count})
    else:
        click.echo(f"{count} entries are in {file}.")


@audit.command()
@click.option("--out", type=_FILE, help="A new file of mode 0600; without it the key goes to standard output.")
def keygen(out: Path | None) -> None:
    """Make the key that signs checkpoints (Ed25519, PEM), as `openssl genpkey -algorithm ed25519` does."""
    from state.checkpoints import load_private_key, new_private_key, public_pem

    pem = new_private_key()
    if out is None:
        click.echo(pem, nl=False)
        return
    try:
        descriptor = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        fail(Exit.REFUSED, "audit.file_exists", f"{out} exists already", "Name a file that doesn't exist")
    except OSError as error:
        fail(Exit.REFUSED, "audit.file", f"{out} can't be written: {error.strerror}", "Name another place")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(pem)
    click.echo(
        f"The private key is in {out}: set FORGE_AUDIT_KEY to its text, or `audit: {{key: {{file: {out}}}}}`.", err=True
    )
    click.echo("Keep the public key apart, for `forge audit verify --public-key`:", err=True)
    click.echo(public_pem(load_private_key(pem)), nl=False)


def _store() -> SqlStore:
    from bot.configuration.places import data_dir, database_url
    from state.store import open_store

    folder = data_dir(os.environ)
    return open_store(database_url(os.environ, folder), data_dir=folder, read_only=True)


def _configured_keys() -> tuple[Any, ...]:
    """The public half of the audit key, and earlier ones. Raises ForgeError where there is none, and ValueError for what is none."""
    from bot.audit_keys import known_keys
    from bot.configuration.connections import AuditConnection, Secret

    configuration = _configuration()
    if configuration is None:
        return known_keys(AuditConnection(Secret("FORGE_AUDIT_KEY", None, os.environ)))
    return known_keys(configuration.connections.audit)


def _configured_folders() -> tuple[Path, ...]:
    configuration = _configuration()
    return configuration.connections.audit.checkpoints if configuration else ()


def _configuration() -> Any:
    """None where there is no configuration: verification must be possible on another machine."""
    from bot.configuration.loading import load
    from runbook.documents.problems import ConfigurationError

    try:
        return load(None, os.environ)
    except ConfigurationError:
        return None


def _found(folder: Path) -> Iterable[Any]:
    from state.places import DirectoryPlace

    return DirectoryPlace(folder).found()
