"""What expires in S3, and the archive there."""

from __future__ import annotations

import itertools

import pytest

from cch.aws.objects import S3Archive, S3Blobs
from cch.aws.session import client
from cch.ledger.store import BlobStore
from cch.names import Names
from cch.settings import Settings
from cch.testing.memory_store import MemoryBlobs

_numbers = itertools.count()


@pytest.fixture
def settings(aws_environment: None) -> Settings:
    """Of an environment whose bucket no other test uses."""
    names = Names(owner=f"retained{next(_numbers)}")
    client("s3", Settings()).create_bucket(Bucket=names.eventdata_bucket)
    return Settings(names=names, archive=f"s3://{names.eventdata_bucket}/archive/")


@pytest.fixture(params=[MemoryBlobs, S3Blobs])
def blobs(request: pytest.FixtureRequest, settings: Settings) -> BlobStore:
    made: BlobStore = MemoryBlobs() if request.param is MemoryBlobs else S3Blobs(settings)
    return made


async def test_the_blobs_of_one_instance_are_deleted(blobs: BlobStore) -> None:
    """Those of an instance whose id begins alike stay; a repetition finds none."""
    for name in ("payloads/i/1.json", "payloads/i/2.json", "payloads/i2/1.json"):
        await blobs.write(name, "{}")

    deleted = [await blobs.delete_below("payloads/i/") for _ in range(2)]

    assert deleted == [2, 0]
    assert await blobs.read("payloads/i2/1.json") == "{}"


async def test_more_blobs_than_one_call_deletes(settings: Settings) -> None:
    """S3 lists and deletes 1,000 at a time."""
    s3 = client("s3", settings)
    for number in range(1001):
        s3.put_object(Bucket=settings.names.eventdata_bucket, Key=f"payloads/i/{number}", Body=b"")

    assert await S3Blobs(settings).delete_below("payloads/i/") == 1001


async def test_documents_are_below_the_prefix(settings: Settings) -> None:
    """What is not there is None, not an error."""
    archive = S3Archive(settings)
    await archive.write("keys/i", b"name")

    found = [await archive.read(name) for name in ("keys/i", "keys/j")]

    listed = client("s3", settings).list_objects_v2(Bucket=settings.names.eventdata_bucket)["Contents"]
    assert found == [b"name", None]
    assert [entry["Key"] for entry in listed] == ["archive/keys/i"]
