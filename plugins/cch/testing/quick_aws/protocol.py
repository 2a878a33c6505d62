"""What the services have in common: requests, answers, errors as AWS words them, and JSON operations."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

#: The account to which everything belongs, as it is moto's, and its region, whatever the client calls it.
ACCOUNT, REGION = "123456789012", "us-east-1"
#: Of a request's signature: access key and service.
_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")

Headers = Sequence[tuple[bytes, bytes]]
Given = dict[str, Any]


class AwsError(Exception):
    """What AWS refuses, by its own name. ``more``: what the answer says besides."""

    def __init__(self, code: str, message: str, status: int = 400, more: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.more = more or {}
        super().__init__(f"{code}: {message}")


@dataclass(slots=True)
class Request:
    """``path`` is decoded; names of headers are in small letters; ``gone`` returns when the client has hung up."""

    method: str
    path: str
    query_string: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    gone: Callable[[], Awaitable[None]]

    def header(self, name: str) -> str:
        """Its value; "" if there is none."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def service(self) -> str:
        """The service that the request is signed for; "" without a signature."""
        found = _CREDENTIAL.search(self.header("authorization"))
        return found[1] if found else ""

    @property
    def address(self) -> str:
        """The address of the stand-in as the client calls it."""
        return f"http://{self.header('host')}"


@dataclass(slots=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """``known``: all parameters that it takes; another one is refused, because it must not be ignored."""

    run: Callable[[Given, Request], Awaitable[Given]]
    known: frozenset[str]


def operation(run: Callable[[Given, Request], Awaitable[Given]], *known: str) -> Operation:
    return Operation(run, frozenset(known))


async def json_answer(operations: Mapping[str, Operation], name: str, request: Request, refused: str) -> Given:
    """Carry out an operation of a service that speaks JSON.

    :raises AwsError: ``refused`` is its code for parameters that are unknown; and whatever the operation raises.
    """
    wanted = operations.get(name)
    if wanted is None:
        raise AwsError("UnknownOperationException", f"the quick stand-in does not know {name}: use moto's")
    try:
        given = json.loads(request.body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"the body is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise AwsError("SerializationException", "the body is no JSON object")
    if unknown := given.keys() - wanted.known:
        raise AwsError(refused, f"the quick stand-in does not know {name}'s {', '.join(sorted(unknown))}: use moto's")
    try:
        return await wanted.run(given, request)
    except KeyError as missing:
        raise AwsError(refused, f"{name} needs {missing.args[0]}") from None
    except (TypeError, AttributeError) as error:  # a value of another type than AWS's
        raise AwsError("SerializationException", f"{name}: {error}") from error


def request_id() -> str:
    return str(uuid.uuid4())


def json_headers() -> list[tuple[bytes, bytes]]:
    """Headers of every answer of a service that speaks JSON."""
    return [(b"content-type", b"application/x-amz-json-1.0"), (b"x-amzn-requestid", request_id().encode())]


def xml(name: str, content: Any) -> str:
    """An element; mappings are its children, sequences are several elements, None is none at all."""
    if content is None:
        return ""
    if isinstance(content, Mapping):
        inner = "".join(xml(child, value) for child, value in content.items())
    elif isinstance(content, str):
        inner = escape(content)
    elif isinstance(content, Sequence):
        return "".join(xml(name, each) for each in content)
    else:
        inner = str(content).lower() if isinstance(content, bool) else str(content)
    return f"<{name}>{inner}</{name}>"
