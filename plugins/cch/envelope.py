"""The envelope of commands and replies: bytes to a checked record, or a reason why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from cch.errors import MalformedMessageError
from cch.identity import THE_INSTANCE, Address, branch_text
from cch.names import LONGEST_IN_KEY
from cch.values import UnstorableError, storable

Kind = Literal["START_WORKFLOW", "ASYNC_RESP", "EVENT_WAIT_RESP"]

#: Largest message, in bytes, that SQS carries (AWS quota since August 2025); queues may allow less.
MAX_BODY = 1_048_576
#: Instance ids become run ids: these characters are what Airflow allows in one, the length is ours.
_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,200}")
#: Deepest payload: DynamoDB and msgpack users down the line give up soon after.
MAX_DEPTH = 100
_PREFIX = "Capability:"
#: Kinds under the names that an earlier implementation gave them.
_OLDER_NAMES = {"EVENT": "START_WORKFLOW", "HITL_RESP": "EVENT_WAIT_RESP"}
#: Longest other text (characters).
_MOST = 2000
#: A name or address of a definition with a version: a number, a label, or the beginning of a digest.
_VERSIONED = re.compile(r"(?P<name>.*[^/@])@(?P<version>@?(?![^/]*\.(?:ya?ml|json)$)[^/@]{1,100})", re.DOTALL)
#: Deepest nesting of maps that a message can address.
_DEEPEST_PATH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One message in the common envelope.

    ``source`` of a reply is the capability id. ``status`` is "" if the sender gave none.
    """

    kind: Kind
    instance: str
    id: str
    source: str
    timestamp: str
    payload: Mapping[str, Any]
    correlation_id: str = ""
    definition_uri: str = ""
    #: How a start names the version of its workflow; "" if it leaves the choice.
    version: str = ""
    status: str = ""
    in_reply_to: str = ""
    #: URI of an object that holds (more of) a reply's payload.
    payload_ref: str = ""
    #: The item of a map that is meant; the instance itself if none is named.
    address: Address = THE_INSTANCE
    source_event: Mapping[str, Any] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """The own branch key of the item that is meant, "" for the instance itself."""
        return self.address.branch


def _refuse_constant(name: str) -> Any:
    raise MalformedMessageError(f"{name} is no JSON number")


def _depth_fits(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return True
    return False


def parse_json(body: str) -> Any:
    """JSON text to a value.

    :raises MalformedMessageError: not JSON, not storable (lone surrogates), too deep, or larger than 1 MiB.
    """
    try:
        size = len(body.encode("utf-8"))
    except UnicodeEncodeError:
        raise MalformedMessageError("the body is not valid Unicode") from None
    if size > MAX_BODY:
        raise MalformedMessageError(f"the body has {size} bytes, more than the {MAX_BODY} allowed: send a URI instead")
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"the body is not JSON: {error}") from None
    if not _depth_fits(value):
        raise MalformedMessageError(f"the body is nested more than {MAX_DEPTH} levels deep")
    try:
        storable(value)  # 1e999 reads as infinity
    except UnstorableError as error:
        raise MalformedMessageError(f"the body holds text or a number that cannot be stored: {error}") from None
    return value


def _text(raw: Mapping[str, Any], key: str, where: str, *, required: bool = True, most: int = _MOST) -> str:
    value = raw.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise MalformedMessageError(f"{where}{key} must be text" + ("" if key in raw else " and is missing"))
    if len(value) > most:
        raise MalformedMessageError(f"{where}{key} is longer than {most} characters")
    return value


def _object(raw: Mapping[str, Any], key: str, where: str, *, required: bool = True) -> Mapping[str, Any]:
    value = raw.get(key)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{where}{key} must be an object" + ("" if key in raw else " and is missing"))
    return value


def _branch(value: Any, where: str) -> str:
    if not isinstance(value, str | int | float) or value == "" or len(text := branch_text(value)) > LONGEST_IN_KEY:
        raise MalformedMessageError(f"{where} must be text of at most {LONGEST_IN_KEY} characters, and not empty")
    return text


def _address(hint: Mapping[str, Any]) -> Address:
    """``branchPath``: keys from the outside in; ``branchKey``: the item's own key."""
    where = "command.routingHint."
    key, path = hint.get("branchKey"), hint.get("branchPath")
    branch = "" if key is None or key == "" else _branch(key, f"{where}branchKey")
    if path is None or path == []:
        return Address.of_key(branch)
    if not isinstance(path, list) or len(path) > _DEEPEST_PATH:
        raise MalformedMessageError(f"{where}branchPath must be a list of at most {_DEEPEST_PATH} branch keys")
    keys = tuple(_branch(each, f"{where}branchPath[{index}]") for index, each in enumerate(path))
    if branch and keys[-1] != branch:
        raise MalformedMessageError(f"{where}branchPath must end in branchKey: one of them names another item")
    return Address(keys)


def routing_hint(address: Address) -> dict[str, Any]:
    """How a message says which item it concerns; the path only where one key does not say it all."""
    if not address.path:
        return {}
    path = {"branchPath": list(address.path)} if len(address.path) > 1 else {}
    return {"routingHint": {"branchKey": address.branch, **path}}


def split_version(name: str) -> tuple[str, str]:
    """What names a workflow, without and with the version: ``import_v1@3`` is (``import_v1``, ``3``).

    What follows the last ``@`` is no version if it has a file's ending.
    """
    found = _VERSIONED.fullmatch(name)
    return (found["name"], found["version"]) if found else (name, "")


def _versioned(raw: Mapping[str, Any], *, required: bool) -> tuple[str, str]:
    uri, named = split_version(_text(raw, "workflowDefinitionURI", "", required=required))
    version = _text(raw, "workflowVersion", "", required=False, most=LONGEST_IN_KEY)
    if version and named and version != named:
        raise MalformedMessageError(
            f"workflowVersion is {version[:60]!r}, and workflowDefinitionURI names version {named[:60]!r}: give one"
        )
    return uri, version or named


def parse_command(body: str) -> Command:
    """Read one message of the command or reply queue.

    :raises MalformedMessageError: naming the first field that is missing or wrong.
    """
    raw = parse_json(body)
    if not isinstance(raw, dict):
        raise MalformedMessageError("the body must be a JSON object")
    command = _object(raw, "command", "")
    kind = _text(command, "type", "command.")
    kind = _OLDER_NAMES.get(kind, kind)
    if kind not in ("START_WORKFLOW", "ASYNC_RESP", "EVENT_WAIT_RESP"):
        raise MalformedMessageError(f"command.type is {kind[:60]!r}: use START_WORKFLOW, ASYNC_RESP or EVENT_WAIT_RESP")
    instance = _text(raw, "workflowInstanceId", "")
    if not _ID.fullmatch(instance):
        raise MalformedMessageError(
            "workflowInstanceId must have 1 to 200 characters of letters, digits and _ . ~ : + -"
        )
    timestamp = _text(command, "timestamp", "command.")
    try:
        datetime.fromisoformat(timestamp)
    except ValueError:
        raise MalformedMessageError(f"command.timestamp is {timestamp[:60]!r}, not ISO 8601") from None
    status = _text(command, "status", "command.", required=False)
    if status not in ("", "SUCCESS", "ERROR"):
        raise MalformedMessageError(f"command.status is {status[:60]!r}: use SUCCESS or ERROR")
    uri, version = _versioned(raw, required=kind == "START_WORKFLOW")
    hint = _object(command, "routingHint", "command.", required=False)
    replied = "inReplyTo" if command.get("inReplyTo") else "in_reply_to"
    return Command(
        kind=kind,  # type: ignore[arg-type]  # checked above
        instance=instance,
        id=_text(command, "id", "command."),
        source=_text(command, "source", "command.", most=LONGEST_IN_KEY).removeprefix(_PREFIX),
        timestamp=timestamp,
        payload=_object(command, "payload", "command."),
        correlation_id=_text(raw, "correlationId", "", required=False, most=LONGEST_IN_KEY) or instance,
        definition_uri=uri,
        version=version,
        status=status,
        in_reply_to=_text(command, replied, "command.", required=False, most=LONGEST_IN_KEY),
        payload_ref=_text(command, "payload_ref", "command.", required=False),
        address=_address(hint),
        source_event=_object(raw, "sourceEvent", "", required=False),
    )


def workflow_id_of(definition_uri: str) -> str:
    """The workflow that a ``workflowDefinitionURI`` names: its file name without the ending, or itself."""
    name = definition_uri.rsplit("/", 1)[-1]
    return re.sub(r"\.(ya?ml|json)$", "", name)


def iso(milliseconds: int) -> str:
    """ISO 8601 in UTC, as messages write it."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def event_command(
    *, instance: str, command_id: str, payload: Mapping[str, Any], address: Address, status: str, now: int
) -> str:
    """The body of an EVENT_WAIT_RESP, as ``cch event`` sends it."""
    command: dict[str, Any] = {
        "type": "EVENT_WAIT_RESP",
        "id": command_id,
        "source": "cch",
        "timestamp": iso(now),
        "payload": dict(payload),
        **routing_hint(address),
    }
    if status:
        command["status"] = status
    return json.dumps({"workflowInstanceId": instance, "command": command})


def start_command(
    *,
    instance: str,
    command_id: str,
    definition_uri: str,
    context: Mapping[str, Any],
    correlation_id: str,
    now: int,
    version: str = "",
) -> str:
    """The body of a START_WORKFLOW, as ``cch run`` sends it."""
    return json.dumps(
        {
            "workflowInstanceId": instance,
            "correlationId": correlation_id,
            "workflowDefinitionURI": definition_uri,
            **({"workflowVersion": version} if version else {}),
            "command": {
                "type": "START_WORKFLOW",
                "id": command_id,
                "source": "cch",
                "timestamp": iso(now),
                "payload": dict(context),
            },
        }
    )
