"""The folder of scanners' reports: real files, as scanners and people leave them there."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.scan_folder import ScanFolder
from runbook.errors import Permanent
from tests.runbook.scan_samples import (
    DIGEST,
    OTHER,
    grype,
    sarif,
    sarif_result,
    sarif_rule,
    sarif_run,
    text,
    trivy,
    trivy_vulnerability,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BAD = trivy_vulnerability("CVE-2026-1", "CRITICAL")


class Drop:
    """A folder, and what it finds at noon."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = ScanFolder(path, lambda: NOON)

    def put(self, name: str, content: Any, age_s: float = 3600.0) -> Path:
        file = self.path / name
        file.write_bytes(content if isinstance(content, bytes) else text(content))
        at = (NOON - timedelta(seconds=age_s)).timestamp()
        os.utime(file, (at, at))
        return file

    async def refused(self, digest: str = DIGEST) -> Permanent:
        with pytest.raises(Permanent) as caught:
            await self.folder.newest(digest)
        assert caught.value.remedy
        return caught.value


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    return Drop(tmp_path)


async def test_a_report_is_found_by_its_own_digest(drop: Drop) -> None:
    drop.put("web.json", trivy(BAD))
    found = await drop.folder.newest(DIGEST)
    assert found is not None
    assert (found.subject, found.source, found.critical) == (DIGEST, "file web.json", ("CVE-2026-1",))
    assert await drop.folder.newest(OTHER) is None


async def test_an_empty_folder_has_no_report(drop: Drop) -> None:
    assert await drop.folder.newest(DIGEST) is None


async def test_a_report_without_a_digest_is_found_by_its_files_name_and_is_as_old_as_the_file(drop: Drop) -> None:
    anonymous = sarif(sarif_run([sarif_rule("CVE-1", "9.8")], sarif_result("CVE-1"), properties=None))
    drop.put(f"web-{DIGEST.removeprefix('sha256:')}.sarif", anonymous, age_s=7200)
    found = await drop.folder.newest(DIGEST)
    assert found is not None
    assert (found.subject, found.taken_at, found.critical) == (DIGEST, NOON - timedelta(hours=2), ("CVE-1",))


async def test_a_report_without_a_digest_in_a_file_without_one_is_nobodys(drop: Drop) -> None:
    drop.put("web.sarif", sarif(sarif_run([], properties=None)))
    assert await drop.folder.newest(DIGEST) is None


async def test_the_newest_scan_counts_and_not_the_newest_file(drop: Drop) -> None:
    drop.put("a.json", trivy(BAD, CreatedAt="2026-05-04T11:00:00Z"), age_s=9000)
    drop.put("b.json", trivy(CreatedAt="2026-05-03T11:00:00Z"), age_s=60)
    found = await drop.folder.newest(DIGEST)
    assert found is not None
    assert found.critical == ("CVE-2026-1",)


async def test_a_grype_report_is_found_by_the_platforms_digest_too(drop: Drop) -> None:
    drop.put("web.json", grype())
    for digest in (DIGEST, OTHER):
        found = await drop.folder.newest(digest)
        assert found is not None
        assert found.subject == digest


async def test_a_half_written_file_is_no_report_and_no_error(drop: Drop) -> None:
    whole = text(trivy(BAD))
    name = f"{DIGEST.removeprefix('sha256:')}.json"
    drop.put(name, whole[:-20], age_s=2)
    assert await drop.folder.newest(DIGEST) is None
    drop.put(name, whole, age_s=1)
    found = await drop.folder.newest(DIGEST)
    assert found is not None
    assert found.critical == ("CVE-2026-1",)


async def test_a_half_written_file_that_stays_so_is_told(drop: Drop) -> None:
    drop.put(f"{DIGEST.removeprefix('sha256:')}.json", text(trivy())[:-20], age_s=30)
    error = await drop.refused()
    assert error.code == "scans.broken_file"
    assert "no complete JSON" in error.cause


async def test_a_broken_file_of_this_image_hides_behind_no_older_report(drop: Drop) -> None:
    drop.put("web.json", trivy(CreatedAt="2026-05-04T09:00:00Z"))
    broken = drop.put(f"{DIGEST.removeprefix('sha256:')}.json", b"{", age_s=3600)
    assert (await drop.refused()).code == "scans.broken_file"
    os.utime(broken, (1_700_000_000, 1_700_000_000))  # the whole report was taken after it
    assert await drop.folder.newest(DIGEST) is not None


async def test_a_broken_file_of_another_image_matters_not(drop: Drop) -> None:
    drop.put(f"{OTHER.removeprefix('sha256:')}.json", b"{")
    assert await drop.folder.newest(DIGEST) is None


async def test_broken_files_that_may_be_anyones_are_told_where_no_report_is_found(drop: Drop) -> None:
    for name in ("a.json", "b.sarif", "c.json", "d.json"):
        drop.put(name, b"garbage")
    error = await drop.refused()
    assert error.code == "scans.unattributed"
    assert "and 1 more" in error.cause
    drop.put("web.json", trivy())
    assert await drop.folder.newest(DIGEST) is not None


async def test_a_name_and_a_report_that_disagree_are_told(drop: Drop) -> None:
    drop.put(f"{OTHER.removeprefix('sha256:')}.json", trivy())
    error = await drop.refused(OTHER)
    assert error.code == "scans.broken_file"
    assert f"is about {DIGEST}, not about {OTHER}" in error.cause
    assert await drop.folder.newest(DIGEST) is None


async def test_a_report_of_this_image_from_the_future_is_told(drop: Drop) -> None:
    drop.put("old.json", trivy(CreatedAt="2026-05-01T00:00:00Z"))
    drop.put("web.json", trivy(BAD, CreatedAt="2026-05-05T00:00:00Z"))
    assert "in the future" in (await drop.refused()).cause


async def test_what_is_no_report_by_its_name_is_not_looked_at(drop: Drop) -> None:
    for name in (".web.json", "web.txt", "web.json.tmp", "README.md"):
        drop.put(name, b"garbage")
    (drop.path / "folder.json").mkdir()
    (drop.path / "nowhere.json").symlink_to(drop.path / "gone")
    assert await drop.folder.newest(DIGEST) is None
    assert await drop.folder.broken() == ()


async def test_a_file_over_the_limit_is_broken_and_not_read_whole(drop: Drop) -> None:
    file = drop.put("huge.json", b"{}")
    with file.open("r+b") as opened:
        opened.truncate(50_000_000)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert "at most 32 MiB" in (await drop.refused()).cause


async def test_a_file_is_read_once_until_its_time_or_size_changes(drop: Drop) -> None:
    clean, bad = trivy(), trivy(BAD)
    clean["ArtifactName"] += "x" * (len(text(bad)) - len(text(clean)))
    drop.put("web.json", clean)
    assert (await _critical(drop)) == ()
    drop.put("web.json", bad)  # as long and as old: only whoever reads it again would know
    assert (await _critical(drop)) == ()
    drop.put("web.json", bad, age_s=60)
    assert (await _critical(drop)) == ("CVE-2026-1",)
    (drop.path / "web.json").unlink()
    assert await drop.folder.newest(DIGEST) is None


async def _critical(drop: Drop) -> tuple[str, ...]:
    found = await drop.folder.newest(DIGEST)
    assert found is not None
    return found.critical


async def test_only_the_newest_files_are_looked_at_and_that_is_told(drop: Drop) -> None:
    drop.folder = ScanFolder(drop.path, lambda: NOON, max_files=3)
    drop.put("web.json", trivy(), age_s=90_000)
    for number in range(3):
        drop.put(f"other-{number}.json", trivy(ArtifactName="", Metadata={"RepoDigests": [f"x@{OTHER}"]}))
    error = await drop.refused()
    assert "1 older files that were not looked at" in error.cause
    assert await drop.folder.newest(OTHER) is not None


async def test_many_may_ask_at_once(drop: Drop) -> None:
    drop.put("web.json", trivy())
    found = await asyncio.gather(*(drop.folder.newest(DIGEST) for _ in range(20)))
    assert found[0] is not None
    assert all(each == found[0] for each in found)


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="No such file") as caught:
        await ScanFolder(tmp_path / "gone", lambda: NOON).newest(DIGEST)
    assert caught.value.code == "scans.folder"
    assert "gone" in caught.value.remedy


async def test_a_file_in_the_folders_place_is_told(drop: Drop) -> None:
    with pytest.raises(Permanent, match="Not a directory"):
        await ScanFolder(drop.put("web.json", trivy()), lambda: NOON).newest(DIGEST)


async def test_the_doctor_hears_of_all_broken_files(drop: Drop) -> None:
    drop.put("web.json", trivy())
    drop.put("half.json", b"{")
    drop.put("package.json", {"name": "web", "version": "1.0.0"})
    assert {each.file.path.name: each.cause for each in await drop.folder.broken()} == {
        "half.json": "the report is no complete JSON: EOF while parsing an object at line 1 column 1",
        "package.json": "the report is of no known format",
    }
