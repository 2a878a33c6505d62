"""S3: large payloads, and the bucket of definitions."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions

from cch.aws.session import client, error_code, explained
from cch.definition.addresses import ALIASES, is_key
from cch.definition.source import BY_DIGEST, MOST_READ, NotModified, SourceObject
from cch.errors import CapabilityError, DefinitionNotFoundError, ServiceUnavailableError
from cch.settings import Settings

#: Large payloads that one process reads and writes at the same time.
_THREADS = 16


class S3Blobs:
    """:class:`~cch.ledger.store.BlobStore` in a bucket. Large payloads are rare: a thread each is enough.

    The threads are its own: while S3 hangs, those of the event loop must go on serving everybody else.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket = settings.names.eventdata_bucket
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cch-s3")

    def _client(self) -> Any:
        return client("s3", self._settings)

    async def write(self, name: str, text: str) -> None:
        def put() -> None:
            with explained(self._bucket):
                self._client().put_object(
                    Bucket=self._bucket, Key=name, Body=text.encode(), ContentType="application/json"
                )

        await asyncio.get_running_loop().run_in_executor(self._threads, put)

    async def read(self, name: str) -> str:
        def get() -> str:
            with explained(self._bucket):
                body: bytes = self._client().get_object(Bucket=self._bucket, Key=name)["Body"].read()
            return body.decode()

        return await asyncio.get_running_loop().run_in_executor(self._threads, get)

    async def delete_below(self, prefix: str) -> int:
        def delete() -> int:
            found = 0
            with explained(self._bucket):
                pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
                for page in pages:
                    keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
                    if keys:
                        wanted = {"Objects": keys, "Quiet": True}
                        answer = self._client().delete_objects(Bucket=self._bucket, Delete=wanted)
                        _refuse_errors(answer, self._bucket)
                    found += len(keys)
            return found

        return await asyncio.get_running_loop().run_in_executor(self._threads, delete)


class S3Archive:
    """:class:`~cch.runtime.archive.Archive` below an ``s3://bucket/prefix``."""

    def __init__(self, settings: Settings) -> None:
        bucket, _, prefix = settings.archive.removeprefix("s3://").partition("/")
        self._settings = settings
        self._bucket, self._prefix = bucket, prefix.strip("/")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    async def write(self, name: str, data: bytes) -> None:
        def put() -> None:
            with explained(self._bucket):
                client("s3", self._settings).put_object(Bucket=self._bucket, Key=self._key(name), Body=data)

        await asyncio.to_thread(put)

    async def read(self, name: str) -> bytes | None:
        def get() -> bytes | None:
            with explained(self._bucket):
                try:
                    answer = client("s3", self._settings).get_object(Bucket=self._bucket, Key=self._key(name))
                except botocore.exceptions.ClientError as error:
                    if error_code(error) in ("NoSuchKey", "404"):
                        return None
                    raise
                body: bytes = answer["Body"].read()
                return body

        return await asyncio.to_thread(get)


def _refuse_errors(answer: Any, bucket: str) -> None:
    """:raises ServiceUnavailableError: S3 has kept some of the objects that it was to delete."""
    for error in answer.get("Errors", ()):
        raise ServiceUnavailableError(f"{bucket}: {error['Key']} was not deleted: {error['Code']}")


class S3Definitions:
    """:class:`~cch.definition.source.DefinitionSource`: the whole bucket; ``by-digest/`` keeps every version."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket = settings.names.definitions_bucket

    def _client(self) -> Any:
        return client("s3", self._settings, hurried=True)

    def stamps(self) -> dict[str, str]:
        found: dict[str, str] = {}
        prefixes: list[str] = []
        with explained(self._bucket):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Delimiter="/"):
                prefixes.extend(each["Prefix"] for each in page.get("CommonPrefixes", ()))
                found |= {entry["Key"]: entry["ETag"] for entry in page.get("Contents", ())}
            for prefix in prefixes:
                if prefix not in (BY_DIGEST, ALIASES) and not prefix.startswith("."):  # thousands of objects
                    for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                        found |= {entry["Key"]: entry["ETag"] for entry in page.get("Contents", ())}
        return {key: stamp for key, stamp in found.items() if is_key(key)}

    def read(self, name: str, known_stamp: str = "") -> SourceObject | NotModified:
        condition = {"IfNoneMatch": known_stamp} if known_stamp else {}
        with explained(self._bucket):
            try:
                answer = self._client().get_object(Bucket=self._bucket, Key=name, **condition)
                with answer["Body"] as stream:
                    body: bytes = stream.read(MOST_READ)
            except botocore.exceptions.ClientError as error:
                if error_code(error) in ("304", "NotModified"):
                    return NotModified()
                if error_code(error) in ("NoSuchKey", "404"):
                    raise DefinitionNotFoundError(f"there is no {name} in {self._bucket}") from None
                raise
        return SourceObject(name=name, text=body.decode("utf-8", "replace"), stamp=answer["ETag"])

    def write(self, name: str, text: str) -> None:
        with explained(self._bucket):
            self._client().put_object(Bucket=self._bucket, Key=name, Body=text.encode(), ContentType="application/yaml")

    def names(self, prefix: str) -> tuple[str, ...]:
        with explained(self._bucket):
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return tuple(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def describe(self) -> str:
        return f"s3://{self._bucket}"


def write_uri(uri: str, text: str, settings: Settings) -> None:
    """Put JSON text to an ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with explained(uri):
        client("s3", settings).put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")


def read_uri(uri: str, settings: Settings) -> str:
    """The text of an ``s3://bucket/key``.

    :raises CapabilityError: not such a URI, or no such object.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key:
        raise CapabilityError(f"{uri!r} is no s3://bucket/key")
    with explained(uri):
        try:
            body: bytes = client("s3", settings).get_object(Bucket=bucket, Key=key)["Body"].read()
        except botocore.exceptions.ClientError as error:
            if error_code(error) in ("NoSuchKey", "NoSuchBucket", "404"):
                raise CapabilityError(f"there is no {uri}") from None
            raise
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CapabilityError(f"{uri} is not UTF-8 text: byte {error.start} is 0x{body[error.start]:02x}") from None
