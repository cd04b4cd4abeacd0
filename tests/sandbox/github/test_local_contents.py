"""Files, links, submodules and folders in the GitHub stand-in, as a client sees them."""

import base64
import subprocess
from pathlib import Path

import aiohttp

from sandbox.github import Link, LocalGitHub, Submodule
from tests.sandbox.github.conftest import REPO, read


async def test_contents_show_links_submodules_and_folders_as_github_does(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    files: dict[str, str | bytes] = {
        "db/a.sql": "SELECT 1;",
        "in.sql": Link(b"db/a.sql"),
        "out.sql": Link(b"../x.sql"),
        "lib": Submodule(b"1" * 40),
    }
    sha = github.commit(REPO, files=files)
    at = f"/repos/{REPO}/contents"
    inside = await read(client, f"{at}/in.sql?ref={sha}")
    assert (inside["type"], base64.b64decode(inside["content"])) == ("file", b"SELECT 1;")
    outside = await read(client, f"{at}/out.sql?ref={sha}")
    assert (outside["type"], outside["target"]) == ("symlink", "../x.sql")
    assert (await read(client, f"{at}/lib?ref={sha}"))["type"] == "submodule"
    listed = {entry["name"]: entry["type"] for entry in await read(client, f"{at}/?ref={sha}")}
    assert listed == {"db": "dir", "in.sql": "symlink", "lib": "file", "out.sql": "symlink"}
    assert "No commit found" in (await read(client, f"{at}/in.sql?ref={'0' * 40}", 404))["message"]


async def test_more_than_a_megabyte_comes_without_its_content(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO, files={"a.bin": b"-" * (1024 * 1024 + 1)})
    shown = await read(client, f"/repos/{REPO}/contents/a.bin?ref={sha}")
    assert (shown["size"], shown["encoding"], shown["content"]) == (1024 * 1024 + 1, "none", "")


async def test_git_accepts_trees_with_links_and_submodules(github: LocalGitHub, tmp_path: Path) -> None:
    sha = github.commit(REPO, files={"a": "x", "l": Link(b"a"), "s": Submodule(b"1" * 40)})
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for each in github.repository(REPO).objects.values():
        command = ["git", "-C", str(tmp_path), "hash-object", "-w", "-t", each.kind, "--stdin"]
        made = subprocess.run(command, input=each.body, capture_output=True, check=True).stdout.decode().strip()
        assert made == each.sha
    shown = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-tree", sha], capture_output=True, check=True
    ).stdout.decode()
    assert [line.split()[0] for line in shown.splitlines()] == ["100644", "120000", "160000"]
