"""docs/operations.md's rule for a bucket: S3 takes it as it stands there. What it is for: parts that a killed upload leaves."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from integrations.backups import Repository
from integrations.backups.objects import PART_BYTES
from tests.integrations.backups.conftest import Bucket
from tests.integrations.backups.repositories import Keys, new_repository

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def rule() -> dict[str, Any]:
    """What the page's command gives the bucket."""
    (line,) = re.findall(r"^aws s3api put-bucket-lifecycle-configuration .*$", PAGE.read_text(encoding="utf-8"), re.M)
    words = shlex.split(line)
    found = json.loads(words[words.index("--lifecycle-configuration") + 1])
    assert isinstance(found, dict)
    return found


@pytest.fixture
def client(bucket: Bucket) -> Any:
    return boto3.client(
        "s3", endpoint_url=bucket.endpoint, region_name="us-east-1", aws_access_key_id="AKIATESTTESTTEST0000", aws_secret_access_key="not-for-anybody"
    )  # fmt: skip


def test_the_pages_rule_is_taken_and_lets_no_object_expire(client: Any, bucket: Bucket) -> None:
    client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration=rule())
    (kept,) = client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    assert kept["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert kept["Status"] == "Enabled"
    assert not {"Expiration", "NoncurrentVersionExpiration", "Transitions"} & kept.keys()


async def test_an_upload_that_nobody_ends_is_seen_by_no_listing_of_forge(
    client: Any, bucket: Bucket, tmp_path: Path, keys: Keys
) -> None:
    """As a SIGKILL leaves it: begun, with a part, and never ended."""
    repository: Repository = new_repository(tmp_path, keys, f"s3://{bucket.name}/forge", bucket.options)
    key = "forge/shop/prod/wal/7345/left.age"
    upload = client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    client.upload_part(Bucket=bucket.name, Key=key, UploadId=upload, PartNumber=1, Body=bytes(PART_BYTES))
    assert await repository.files("shop/prod/wal/7345") == ()
    await repository.discard("shop/prod/wal/7345")
    assert bucket.unfinished_uploads() == 1
