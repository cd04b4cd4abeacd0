"""The documentation holds: links lead somewhere, commands, targets, variables, tables and libraries are those of the program."""

from __future__ import annotations

import re
import subprocess
import tomllib
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest

from bot.assembly import CLOCK_LOOK_S, JUMP
from bot.cli import cli
from bot.metrics import Meters
from bot.wal import WalReceivers
from engine.guards import LOOK_BACK
from engine.interpreter import CANCEL_BOUND_S
from engine.metrics_lookup import LONGEST_S
from engine.operations import FRESH
from engine.pictures import TRIES
from integrations.postgres.measuring import DatabaseMeasuring
from integrations.slack.directory import CACHE_S
from integrations.slack.sockets import DEAF_AFTER_S
from runbook.commands import COMMANDS
from runbook.policy import JobsPolicy, PerformancePolicy, ScanPolicy, StagingPolicy
from runbook.rules.guards import GAP_INTERVALS
from runbook.scan_reports import MAX_REPORT_BYTES
from state.ballast import DEFAULT_SIZE_BYTES
from state.checkpointer import EVERY
from state.schema import metadata
from state.sqlite import BUSY_TIMEOUT_S

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"\b(?:FORGE|SLACK|GITHUB|PROMETHEUS)_[A-Z_]+\b")
FOREIGN_PLACE = re.compile(r"(?<![\w.$}])/(?:work|root|tmp|home/\w+|Users/\w+)/")


@cache
def pages() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "*.md"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    return tuple(sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()))


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """Without code blocks."""
    return FENCE.sub("", text_of(page))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def typed(page: Path) -> list[list[str]]:
    """What a reader would type after `forge`: words in code spans and lines of code blocks, up to the first that is no plain word."""
    spans = CODE.findall(prose_of(page))
    blocks = [line.strip() for fence in FENCE.finditer(text_of(page)) for line in fence.group().splitlines()]
    return [line.split()[1:] for line in (*spans, *blocks) if line.startswith("forge ")]


def broken(page: Path) -> list[str]:
    found = []
    for target in LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors_of(to)):
            found.append(target)
    return found


def test_every_relative_link_leads_somewhere() -> None:
    assert {named(page): found for page in pages() if (found := broken(page))} == {}


def test_no_page_names_a_place_of_one_machine() -> None:
    assert [named(page) for page in pages() if FOREIGN_PLACE.search(text_of(page))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, open_pages = set[Path](), [ROOT / "README.md"]
    while open_pages:
        page = open_pages.pop()
        if page in reached:
            continue
        reached.add(page)
        links = (target.partition("#")[0] for target in LINK.findall(prose_of(page)))
        open_pages += [to for link in links if (to := (page.parent / link).resolve()).suffix == ".md" and to.is_file()]
    assert {page for page in pages() if page.parent in (ROOT, ROOT / "docs")} <= reached


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    wanted = {
        target for page in pages() for target in re.findall(r"(?:^|`)make ([a-z]+)\b", text_of(page), re.MULTILINE)
    }
    assert {"sandbox", "test", "demo"} <= wanted <= targets


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_every_command_is_documented(page: str) -> None:
    words = {word for span in CODE.findall(text_of(ROOT / page)) for word in re.findall(r"[a-z]+", span)}
    assert {command.name for command in COMMANDS} <= words


def test_every_command_of_the_program_is_documented() -> None:
    words = {word for span in CODE.findall(text_of(ROOT / "docs/cli.md")) for word in span.split()}
    below = {name for group in cli.commands.values() if isinstance(group, click.Group) for name in group.commands}
    assert set(cli.commands) | below <= words


def unknown_words(words: list[str]) -> bool:
    """Whether no such command exists, or it takes no such option."""
    command = cli.commands.get(words[0])
    if command is None:
        return words[0].isalpha()
    options = {word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)}
    if isinstance(command, click.Group) and len(words) > 1 and words[1] in command.commands:
        known = {name for parameter in command.commands[words[1]].params for name in parameter.opts}
        return not options <= known | {"--help"}
    return False


def test_every_forge_command_that_is_named_exists_and_takes_its_options() -> None:
    assert [(named(page), words) for page in pages() for words in typed(page) if unknown_words(words)] == []


def test_every_variable_that_is_named_is_read_by_the_program() -> None:
    folders = ("bot", "engine", "handlers", "integrations", "messages", "runbook", "sandbox", "state")
    code = "".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    wanted = {name for page in pages() for name in VARIABLE.findall(text_of(page))}
    assert {name for name in wanted if name not in code} == set()


def test_every_library_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[\[><=;~! ]", line)[0] for line in project["dependencies"]}
    table = text_of(ROOT / "docs/decisions.md").partition("## Libraries")[2]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    told = {name for cell in cells for name in cell.split(", ")} - {"library", "---"}
    assert told == declared


def test_every_table_of_the_database_is_explained() -> None:
    section = text_of(ROOT / "docs/architecture.md").partition("## Tables")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert {name for cell in cells for name in CODE.findall(cell)} == set(metadata.tables)


def _nothing(*_asked: object) -> Any:
    raise AssertionError("there is no database")


def test_every_metric_that_is_named_is_exposed() -> None:
    pages = text_of(ROOT / "docs/operations.md") + text_of(ROOT / "docs/metrics.md")
    told = set(re.findall(r"`(forge_[a-z_]+)", pages)) - {"forge_"}
    wanted = {name.removesuffix("_total") for name in told}
    meters = Meters()
    meters.show_databases(DatabaseMeasuring({}))
    meters.show_wal(WalReceivers({}, make=_nothing, connection_of=_nothing, switch_s=lambda: 0.0))
    exposed = {family.name for family in meters.registry.collect()}
    assert wanted
    assert wanted <= exposed


NUMBERS = (
    ("docs/operations.md", "the ballast file (8 MiB)", DEFAULT_SIZE_BYTES, 8 * 1024 * 1024),
    ("docs/operations.md", "after five seconds", BUSY_TIMEOUT_S, 5),
    (
        "docs/operations.md",
        "Checkpoints are made after decisions, at the end of runs, and hourly",
        EVERY,
        timedelta(hours=1),
    ),
    ("docs/operations.md", "replaced by itself after about 30 seconds", DEAF_AFTER_S, 30),
    ("docs/slack.md", "kept for 30 seconds", CACHE_S, 30),
    ("docs/architecture.md", "waits up to ten seconds", CANCEL_BOUND_S, 10),
    ("docs/architecture.md", "by range queries, up to six hours", LOOK_BACK, timedelta(hours=6)),
    ("docs/decisions.md", "a downtime of more than 15 minutes", FRESH, timedelta(minutes=15)),
    ("docs/decisions.md", "300 requests are wanted over the observation", StagingPolicy.min_requests, 300),
    ("docs/decisions.md", "Every five seconds it is compared", CLOCK_LOOK_S, 5),
    ("docs/decisions.md", "A difference of more than two seconds", JUMP, timedelta(seconds=2)),
    ("docs/known-flaws.md", "further apart than 2.5 times", GAP_INTERVALS, 2.5),
    ("docs/operations.md", "(`policy.scans.wait`, half an hour)", ScanPolicy.wait_s, 1800),
    ("docs/architecture.md", "its last four MiB", JobsPolicy.log_tail_bytes, 4 * 1024 * 1024),
    ("docs/architecture.md", "three tries at most", TRIES, 3),
    ("docs/cli.md", "within 20 seconds", LONGEST_S, 20),
    ("docs/jobs.md", "up to 10 % worse passes", PerformancePolicy.tolerance, 0.1),
    ("docs/scans.md", "more than 32 MiB", MAX_REPORT_BYTES, 32 * 1024 * 1024),
)


def test_numbers_in_the_pages_are_the_programs() -> None:
    wrong = [
        (page, words)
        for page, words, found, told in NUMBERS
        if found != told or words not in " ".join(text_of(ROOT / page).split())
    ]
    assert wrong == []


def test_every_reason_code_in_a_table_of_remedies_is_given_by_the_program() -> None:
    folders = ("bot", "engine", "handlers", "integrations", "runbook")
    code = "".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    rows = [line for page in ("operations", "scans") for line in text_of(ROOT / f"docs/{page}.md").splitlines()]
    told = {
        span
        for row in rows
        if row.startswith("| ")
        for span in CODE.findall(row)
        if re.fullmatch(r"[a-z]+\.[a-z_]+", span)
    }
    assert {"metrics.absent", "scan.missing"} <= told
    assert {name for name in told if f'"{name}"' not in code and f'"{name.partition(".")[2]}"' not in code} == set()


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^\*\*([^*]+)\.\*\*", text_of(ROOT / "docs/glossary.md"), re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert headings[0] == "[Unreleased]"
    assert headings[1].startswith(f"[{version}]")
