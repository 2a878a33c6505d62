"""S3: buckets that are addressed by path, objects as a whole."""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from zlib import crc32

from cch.ledger.store import LAST
from cch.testing.quick_aws.protocol import ACCOUNT, REGION, Answer, AwsError, Request, request_id, xml

#: Keys that one call lists or deletes (S3 quota).
_MOST = 1000
_SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
#: Headers of a request that ask for what is not here; all others of S3 are of no consequence.
_UNKNOWN_HEADERS = ("range", "x-amz-copy-source", "x-amz-tagging", "x-amz-server-side-encryption-customer-key")
_LISTED = {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type"}
_CHUNKED = "aws-chunked"


@dataclass(frozen=True, slots=True)
class _Object:
    body: bytes
    etag: str
    modified: float
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class _Bucket:
    created: float
    objects: dict[str, _Object] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


class Buckets:
    """All buckets of the account. ``clock``: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def answer(self, request: Request) -> Answer:
        name, _, key = request.path.lstrip("/").partition("/")
        try:
            return self._answer(request, name, key)
        except AwsError as error:
            content = {"Code": error.code, "Message": error.message, "Resource": request.path, **error.more}
            body = b"" if request.method == "HEAD" or error.status == 304 else _document("Error", content)
            return Answer(body, error.status, _headers())

    def _answer(self, request: Request, name: str, key: str) -> Answer:
        query = request.query
        query.pop("x-id", None)  # the operation's name, which some clients send
        if asked := [header for header in _UNKNOWN_HEADERS if request.header(header)]:
            raise _not_implemented(f"the header {asked[0]}")
        match request.method, bool(name), bool(key):
            case "GET", False, _ if not query:
                return self._list_buckets()
            case "PUT", True, False if not query:
                return self._create(name)
            case "HEAD", True, False if not query:
                self._bucket(name)
                return Answer(headers=((*_headers(), (b"x-amz-bucket-region", REGION.encode()))))
            case "DELETE", True, False if not query:
                return self._drop(name)
            case "GET", True, False if query.get("list-type") == "2" and not query.keys() - _LISTED:
                return self._list(name, query)
            case "POST", True, False if query == {"delete": ""}:
                return self._delete_many(name, request.body)
            case "PUT", True, True if not query:
                return self._put(name, key, request)
            case (("GET" | "HEAD"), True, True) if not query:
                return self._get(name, key, request)
            case "DELETE", True, True if not query:
                self._forget(self._bucket(name), key)
                return Answer(status=204, headers=_headers())
        raise _not_implemented(f"{request.method} of {request.path} with {', '.join(query) or 'nothing'}")

    def _bucket(self, name: str) -> _Bucket:
        found = self._buckets.get(name)
        if found is None:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404, {"BucketName": name})
        return found

    # --- buckets -------------------------------------------------------------------------------------------------

    def _list_buckets(self) -> Answer:
        found = [{"Name": name, "CreationDate": _moment(each.created)} for name, each in sorted(self._buckets.items())]
        owner = {"ID": ACCOUNT, "DisplayName": ACCOUNT}
        return _told("ListAllMyBucketsResult", {"Owner": owner, "Buckets": {"Bucket": found}})

    def _create(self, name: str) -> Answer:
        """Also one that is there already, as S3 does in this region."""
        self._buckets.setdefault(name, _Bucket(self._clock()))
        return Answer(headers=(*_headers(), (b"location", f"/{name}".encode())))

    def _drop(self, name: str) -> Answer:
        if self._bucket(name).objects:
            raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
        del self._buckets[name]
        return Answer(status=204, headers=_headers())

    def _list(self, name: str, query: Mapping[str, str]) -> Answer:
        bucket, prefix, delimiter = self._bucket(name), query.get("prefix", ""), query.get("delimiter", "")
        most = _most(query)
        coded = quote if query.get("encoding-type") == "url" else str
        token = query.get("continuation-token", "")
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
        found = list(itertools.islice(_entries(bucket, prefix, delimiter, after), most + 1))
        cut, found = len(found) > most, found[:most]
        next_token = base64.urlsafe_b64encode(found[-1][0].encode()).decode() if cut and found else None
        return _told(
            "ListBucketResult",
            {
                "Name": name, "Prefix": coded(prefix), "Delimiter": coded(delimiter) if delimiter else None,
                "MaxKeys": query.get("max-keys", str(_MOST)), "KeyCount": len(found), "IsTruncated": cut,
                "EncodingType": query.get("encoding-type"), "ContinuationToken": token or None,
                "NextContinuationToken": next_token,
                "Contents": [
                    {
                        "Key": coded(key), "LastModified": _moment(each.modified), "ETag": each.etag,
                        "Size": len(each.body), "StorageClass": "STANDARD",
                    }
                    for key, each in found if each is not None
                ],
                "CommonPrefixes": [{"Prefix": coded(key)} for key, each in found if each is None],
            },
        )  # fmt: skip

    # --- objects -------------------------------------------------------------------------------------------------

    def _put(self, name: str, key: str, request: Request) -> Answer:
        bucket, body = self._bucket(name), _body(request)
        old = bucket.objects.get(key)
        if request.header("if-none-match") == "*" and old is not None:
            raise _precondition_failed("If-None-Match")
        if (wanted := request.header("if-match")) and (old is None or old.etag != wanted):
            raise _precondition_failed("If-Match") if old is not None else _no_such_key(key)
        kept = tuple(
            (header, value)
            for header, value in request.headers.items()
            if header in (b"content-type", b"x-amz-checksum-crc32") or header.startswith(b"x-amz-meta-")
        )
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        if old is None:
            bucket.order.insert(bisect_left(bucket.order, key), key)
        bucket.objects[key] = _Object(body, etag, self._clock(), kept)
        return Answer(headers=(*_headers(), (b"etag", etag.encode())))

    def _get(self, name: str, key: str, request: Request) -> Answer:
        found = self._bucket(name).objects.get(key)
        if found is None:
            raise _no_such_key(key)
        if (wanted := request.header("if-match")) and wanted != found.etag:
            raise _precondition_failed("If-Match")
        if request.header("if-none-match") == found.etag:
            return Answer(status=304, headers=(*_headers(), (b"etag", found.etag.encode())))
        kept = [each for each in found.headers if each[0] != b"x-amz-checksum-crc32" or _wants_checksum(request)]
        headers = (
            *_headers(), *kept, (b"etag", found.etag.encode()), (b"accept-ranges", b"bytes"),
            (b"last-modified", formatdate(found.modified, usegmt=True).encode()),
        )  # fmt: skip
        if request.method == "HEAD":
            return Answer(headers=(*headers, (b"content-length", b"%d" % len(found.body))))
        return Answer(found.body, headers=headers)

    def _delete_many(self, name: str, document: bytes) -> Answer:
        bucket = self._bucket(name)
        try:
            root = ET.fromstring(document)  # noqa: S314 - programs of this machine ask
        except ET.ParseError:
            raise AwsError("MalformedXML", "The XML you provided was not well-formed") from None
        keys = [element.text or "" for element in root.iterfind("{*}Object/{*}Key")]
        if not 0 < len(keys) <= _MOST:
            raise AwsError("MalformedXML", f"DeleteObjects takes 1 to {_MOST} keys")
        for key in keys:
            self._forget(bucket, key)
        quiet = (root.findtext("{*}Quiet") or "").lower() == "true"
        return _told("DeleteResult", {} if quiet else {"Deleted": [{"Key": key} for key in keys]})

    @staticmethod
    def _forget(bucket: _Bucket, key: str) -> None:
        if bucket.objects.pop(key, None) is not None:
            del bucket.order[bisect_left(bucket.order, key)]


def _most(query: Mapping[str, str]) -> int:
    text = query.get("max-keys", str(_MOST))
    if not text.isdecimal():
        raise AwsError("InvalidArgument", f"max-keys is no number: {text}")
    return min(int(text), _MOST)


def _entries(bucket: _Bucket, prefix: str, delimiter: str, after: str) -> Iterator[tuple[str, _Object | None]]:
    """Keys with their objects in order, and what stands for all keys that go on alike up to a delimiter, with None."""
    at = bisect_right(bucket.order, after) if after >= prefix else bisect_left(bucket.order, prefix)
    while at < len(bucket.order) and (key := bucket.order[at]).startswith(prefix):
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            yield key, bucket.objects[key]
            at += 1
            continue
        common = key[: end + len(delimiter)]
        if common != after:
            yield common, None
        at = bisect_right(bucket.order, common + LAST)


def _body(request: Request) -> bytes:
    """:raises AwsError: it is not what the client's checksums say."""
    body = request.body
    if _CHUNKED in request.header("content-encoding") or request.header("x-amz-content-sha256").startswith("STREAMING"):
        body = b"".join(_chunks(body))
    checksum = request.header("x-amz-checksum-crc32")
    if checksum and base64.b64encode(crc32(body).to_bytes(4, "big")).decode() != checksum:
        raise AwsError("BadDigest", "The CRC32 you specified did not match what we received")
    md5 = request.header("content-md5")
    if md5 and base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != md5:
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received")
    return body


def _chunks(body: bytes) -> Iterator[bytes]:
    """What a body carries that comes in pieces, each after a line with its length in hexadecimal digits."""
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        try:
            size = int(body[at:end].split(b";")[0], 16)
        except ValueError:
            raise AwsError("IncompleteBody", "The body is not as aws-chunked bodies are") from None
        if not size:
            return
        yield body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def _wants_checksum(request: Request) -> bool:
    return request.header("x-amz-checksum-mode").upper() == "ENABLED"


def _told(root: str, content: Mapping[str, Any]) -> Answer:
    return Answer(_document(root, content), headers=_headers())


def _document(root: str, content: Mapping[str, Any]) -> bytes:
    whole = xml(root, content)
    space = "" if root == "Error" else _SPACE
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{space}>{whole.removeprefix(f"<{root}>")}'.encode()


def _headers() -> tuple[tuple[bytes, bytes], ...]:
    return ((b"x-amz-request-id", request_id().encode()),)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _no_such_key(key: str) -> AwsError:
    return AwsError("NoSuchKey", "The specified key does not exist.", 404, {"Key": key})


def _precondition_failed(header: str) -> AwsError:
    message = "At least one of the pre-conditions you specified did not hold"
    return AwsError("PreconditionFailed", message, 412, {"Condition": header})


def _not_implemented(what: str) -> AwsError:
    return AwsError("NotImplemented", f"the quick stand-in does not know {what}: use moto's", 501)
