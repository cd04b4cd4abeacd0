"""docs/operations.md's rule for a bucket: S3 takes it as it stands there. What it is for: parts that a killed upload leaves."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from pathlib import Path
from typing import Any

from integrations.backups.objects import PART_BYTES
from tests.integrations.backups.conftest import Bucket
from tests.integrations.backups.repositories import Keys, new_repository

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def rule() -> dict[str, Any]:
    """What the page's command gives the bucket."""
    (line,) = re.findall(r"^aws s3api put-bucket-lifecycle-configuration .*$", PAGE.read_text(encoding="utf-8"), re.M)
    words = shlex.split(line)
    ((found,),) = json.loads(words[words.index("--lifecycle-configuration") + 1]).values()
    assert isinstance(found, dict)
    return found


def xml(name: str, value: Any) -> str:
    """As AWS' own programs send it."""
    inner = "".join(xml(*each) for each in value.items()) if isinstance(value, dict) else str(value)
    return f"<{name}>{inner}</{name}>"


def ask(bucket: Bucket, method: str, path: str, body: bytes = b"") -> str:
    kind = {"Content-Type": "application/octet-stream"}  # else it is taken for a form
    request = urllib.request.Request(f"{bucket.endpoint}/{bucket.name}{path}", body, kind, method=method)
    with urllib.request.urlopen(request) as answer:
        text: str = answer.read().decode()
        return text


def test_the_pages_rule_is_taken_and_lets_no_object_expire(bucket: Bucket) -> None:
    ask(bucket, "PUT", "?lifecycle", xml("LifecycleConfiguration", {"Rule": rule()}).encode())
    kept = re.sub(r"\s", "", ask(bucket, "GET", "?lifecycle"))
    assert (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>" in kept
    )  # fmt: skip
    assert "<Status>Enabled</Status>" in kept
    assert not re.search("Expiration|Transition", kept)


async def test_an_upload_that_nobody_ends_is_seen_by_no_listing_of_forge(
    bucket: Bucket, tmp_path: Path, keys: Keys
) -> None:
    """As a SIGKILL leaves it: begun, with a part, and never ended."""
    repository = new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)
    key = "/forge/shop/prod/wal/7345/left.age"
    (upload,) = re.findall("<UploadId>(.*?)</UploadId>", ask(bucket, "POST", f"{key}?uploads"))
    ask(bucket, "PUT", f"{key}?partNumber=1&uploadId={upload}", bytes(PART_BYTES))
    assert await repository.files("shop/prod/wal/7345") == ()
    await repository.discard("shop/prod/wal/7345")
    assert bucket.unfinished_uploads() == 1
