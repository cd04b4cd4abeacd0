"""How the command line speaks: text or JSON to standard output, complaints to standard error, then an exit code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.exits import Exit, of_answer

if TYPE_CHECKING:
    from runbook.documents.problems import ConfigurationError
    from runbook.errors import ForgeError


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def fail(code: Exit, reason: str, cause: str, remedy: str = "", *, as_json: bool = False) -> NoReturn:
    """reason: a stable reason code, for scripts."""
    if as_json:
        print_json({"ok": False, "code": reason, "text": cause, "remedy": remedy})
    else:
        click.echo(f"{cause}\n{remedy}" if remedy else cause, err=True)
    sys.exit(code)


def fail_error(error: ForgeError, code: Exit = Exit.REFUSED, *, as_json: bool = False) -> NoReturn:
    fail(code, error.code, error.cause, error.remedy, as_json=as_json)


def fail_configuration(error: ConfigurationError, *, as_json: bool = False) -> NoReturn:
    if as_json:
        print_json({"ok": False, "code": "configuration.invalid", "problems": [p.as_json() for p in error.problems]})
    else:
        for problem in error.problems:
            click.echo(str(problem), err=True)
    sys.exit(Exit.USAGE)


def finish(answer: dict[str, Any], *, as_json: bool) -> NoReturn:
    """Shows an answer as `messages.plain.to_json` writes it, `rendered` beside it, and ends with its exit code."""
    rendered = str(answer.pop("rendered", ""))
    code = of_answer(str(answer.get("kind")), str(answer.get("code")))
    if as_json:
        print_json(answer)
    else:
        click.echo(rendered.rstrip("\n"), err=code is not Exit.OK)
    sys.exit(code)
