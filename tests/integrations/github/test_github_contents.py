"""Files at a commit: what is text, what is none, what is not there, and what is kept."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from integrations.github import GitHub
from runbook.errors import ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.github import Link, LocalGitHub, Submodule
from sandbox.github.contents import TOO_LARGE

REPO = "acme/shop"
MEGABYTE = 1024 * 1024


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def test_a_file_is_read_as_it_is_at_the_commit(host: LocalGitHub, github: GitHub) -> None:
    first = host.commit(REPO, files={"migrations/0001 ünï.sql": "SELECT 1;\r\n-- größer\n"})
    second = host.commit(REPO, files={"migrations/0001 ünï.sql": "SELECT 2;\n"})
    assert await github.file(REPO, "migrations/0001 ünï.sql", first) == "SELECT 1;\r\n-- größer\n"
    assert await github.file(REPO, "migrations/0001 ünï.sql", second) == "SELECT 2;\n"


async def test_an_empty_file_is_a_file(host: LocalGitHub, github: GitHub) -> None:
    assert await github.file(REPO, "a.sql", host.commit(REPO, files={"a.sql": ""})) == ""


async def test_a_byte_order_mark_is_no_part_of_the_text(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": b"\xef\xbb\xbfSELECT 1;"})
    assert await github.file(REPO, "a.sql", commit) == "SELECT 1;"


async def test_a_file_that_is_not_there_is_none(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    assert await github.file(REPO, "b.sql", commit) is None
    assert await github.file(REPO, "a.sql/b.sql", commit) is None


async def test_a_commit_that_is_not_there_is_no_missing_file(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO, files={"a.sql": "SELECT 1;"})
    error = await refusal(github.file(REPO, "a.sql", "0" * 40))
    assert isinstance(error, Permanent)
    assert error.code == "github.no_commit"
    assert "was pushed" in error.remedy


async def test_a_repository_that_is_not_there_is_no_missing_file(github: GitHub) -> None:
    error = await refusal(github.file("acme/other", "a.sql", "0" * 40))
    assert error.code == "github.not_found"
    assert "acme/other" in error.cause


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Submodule(b"1" * 40), "a submodule"),
        (Link(b"../elsewhere.sql"), "a symbolic link"),
        (b"\x00\x01\x02", "no text"),
        (b"\xff\xfeS\x00", "no text"),
        ("-" * (MEGABYTE + 1), "larger than 1024 KiB"),
    ],
)
async def test_what_is_no_small_text_is_refused_in_words(
    host: LocalGitHub, github: GitHub, content: str | bytes, words: str
) -> None:
    commit = host.commit(REPO, files={"db/a.sql": content})
    error = await refusal(github.file(REPO, "db/a.sql", commit))
    assert isinstance(error, Permanent)
    assert "db/a.sql" in error.cause
    assert words in error.cause
    assert error.remedy


async def test_a_file_that_github_itself_finds_too_large_is_no_missing_right(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    host.faults.add(Fault(status=403, path="/contents/", body={"message": TOO_LARGE}))
    assert (await refusal(github.file(REPO, "a.sql", commit))).code == "github.large_file"


async def test_an_empty_repository_has_no_commit_to_read_from(host: LocalGitHub, github: GitHub) -> None:
    host.repository(REPO)
    assert (await refusal(github.file(REPO, "a.sql", "0" * 40))).code == "github.no_commit"


async def test_a_folder_is_no_file(host: LocalGitHub, github: GitHub) -> None:
    error = await refusal(github.file(REPO, "db", host.commit(REPO, files={"db/a.sql": "SELECT 1;"})))
    assert "a folder" in error.cause


async def test_a_link_to_a_file_of_the_repository_is_that_file(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"db/a.sql": Link(b"../b.sql"), "b.sql": "SELECT 1;"})
    assert await github.file(REPO, "db/a.sql", commit) == "SELECT 1;"


async def test_a_megabyte_is_still_read(host: LocalGitHub, github: GitHub) -> None:
    text = "-" * MEGABYTE
    assert await github.file(REPO, "a.sql", host.commit(REPO, files={"a.sql": text})) == text


async def test_what_a_full_sha_names_is_asked_once(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    for _ in range(3):
        assert await github.file(REPO, "a.sql", commit) == "SELECT 1;"
        assert await github.file(REPO, "b.sql", commit) is None
    assert [r.path for r in host.requests if "/contents/" in r.path] == [
        f"/repos/{REPO}/contents/a.sql",
        f"/repos/{REPO}/contents/b.sql",
    ]


async def test_what_is_kept_is_bounded(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={f"{n}.sql": "x" * MEGABYTE for n in range(10)})
    for n in range(10):
        await github.file(REPO, f"{n}.sql", commit)
    asked = len(host.requests)
    await github.file(REPO, "9.sql", commit)
    assert len(host.requests) == asked
    await github.file(REPO, "0.sql", commit)
    assert len(host.requests) == asked + 1


async def test_a_failure_is_not_kept(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    host.faults.add(Fault(status=503, path="/contents/", times=3))
    assert isinstance(await refusal(github.file(REPO, "a.sql", commit)), Temporary)
    assert await github.file(REPO, "a.sql", commit) == "SELECT 1;"


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/../../b", "./a", "a\\b", "a\nb"])
async def test_a_path_that_could_leave_the_repository_is_never_sent(
    host: LocalGitHub, github: GitHub, path: str
) -> None:
    assert (await refusal(github.file(REPO, path, "0" * 40))).code == "github.bad_path"
    assert not host.requests


@pytest.mark.parametrize("commit", ["main", "v1.0.0", "0" * 39, "", "0" * 40 + "&x=y"])
async def test_only_a_full_sha_names_content_that_never_changes(host: LocalGitHub, github: GitHub, commit: str) -> None:
    assert (await refusal(github.file(REPO, "a.sql", commit))).code == "github.bad_name"
    assert not host.requests


@pytest.mark.parametrize("path", ["what? #1.sql", "50%.sql", "a&ref=main.sql", "a+b.sql"])
async def test_signs_that_mean_something_in_addresses_are_part_of_the_name(
    host: LocalGitHub, github: GitHub, path: str
) -> None:
    commit = host.commit(REPO, files={path: "SELECT 1;"})
    assert await github.file(REPO, path, commit) == "SELECT 1;"


@pytest.mark.parametrize(
    "body",
    [
        {},
        "text",
        None,
        {"type": "file"},
        {"type": "file", "size": "1", "encoding": "base64", "content": "QQ=="},
        {"type": "file", "size": 1, "encoding": "base64", "content": "Q"},
        {"type": "file", "size": 1, "encoding": "base64", "content": None},
    ],
)
async def test_an_answer_of_another_shape_is_garbage(host: LocalGitHub, github: GitHub, body: Any) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    host.faults.add(Fault(status=200, path="/contents/", body=body))
    assert (await refusal(github.file(REPO, "a.sql", commit))).code == "github.garbage"


async def test_the_size_is_judged_by_the_content_too(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, files={"a.sql": "SELECT 1;"})
    content = base64.b64encode(b"-" * (MEGABYTE + 1)).decode()
    body = {"type": "file", "size": 1, "encoding": "base64", "content": content}
    host.faults.add(Fault(status=200, path="/contents/", body=body))
    assert (await refusal(github.file(REPO, "a.sql", commit))).code == "github.large_file"
