"""SNS and STS, which speak forms and XML: topics that tell queues, and who the caller is."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from cch.testing.quick_aws.protocol import ACCOUNT, REGION, Answer, AwsError, Request, request_id, xml

#: Delivers to a queue: its ARN, a body, and message attributes.
Deliver = Callable[[str, str, Mapping[str, Any]], None]
Form = dict[str, str]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SPACES = {"sns": "http://sns.amazonaws.com/doc/2010-03-31/", "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}
_ATTRIBUTE = re.compile(r"MessageAttributes\.entry\.(\d+)\.(Name|Value\.DataType|Value\.StringValue)")
_OPTION = re.compile(r"Attributes\.entry\.(\d+)\.(key|value)")


@dataclass(slots=True)
class _Subscription:
    queue_arn: str
    raw: bool


@dataclass(slots=True)
class _Topic:
    subscriptions: dict[str, _Subscription] = field(default_factory=dict)


class Topics:
    """All topics of the account."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._topics: dict[str, _Topic] = {}
        #: Operation → its method, and the fields of its form that are known, as an expression.
        self._operations: Mapping[str, tuple[Callable[[Form], Mapping[str, str]], re.Pattern[str]]] = {
            "CreateTopic": (self._create, re.compile("Name")),
            "Publish": (self._publish, re.compile(rf"TopicArn|Message|{_ATTRIBUTE.pattern}")),
            "Subscribe": (
                self._subscribe, re.compile(rf"TopicArn|Protocol|Endpoint|ReturnSubscriptionArn|{_OPTION.pattern}")
            ),
            "GetCallerIdentity": (_identity, re.compile("")),
        }  # fmt: skip

    def answer(self, request: Request) -> Answer:
        service = "sts" if request.service == "sts" else "sns"
        headers = ((b"content-type", b"text/xml"), (b"x-amzn-requestid", request_id().encode()))
        metadata = {"RequestId": request_id()}
        try:
            form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
            action = form.pop("Action", "")
            form.pop("Version", None)
            result = self._carried_out(action, form)
            content: Mapping[str, Any] = {f"{action}Result": result, "ResponseMetadata": metadata}
            name, status = f"{action}Response", 200
        except AwsError as error:
            told = {"Type": "Sender", "Code": error.code, "Message": error.message}
            name, content, status = "ErrorResponse", {"Error": told, **metadata}, error.status
        document = xml(name, content).replace(f"<{name}>", f'<{name} xmlns="{_SPACES[service]}">', 1)
        return Answer(document.encode(), status, headers)

    def _carried_out(self, action: str, form: Form) -> Mapping[str, str]:
        if action not in self._operations:
            raise AwsError("InvalidAction", f"the quick stand-in does not know {action}: use moto's")
        do, known = self._operations[action]
        if unknown := sorted(name for name in form if not known.fullmatch(name)):
            message = f"the quick stand-in does not know {action}'s {', '.join(unknown)}: use moto's"
            raise AwsError("InvalidParameter", message)
        try:
            return do(form)
        except KeyError as missing:
            raise AwsError("InvalidParameter", f"{action} needs {missing.args[0]}") from None

    def _topic(self, form: Form) -> _Topic:
        found = self._topics.get(form["TopicArn"])
        if found is None:
            raise AwsError("NotFound", "Topic does not exist", 404)
        return found

    def _create(self, form: Form) -> Mapping[str, str]:
        name = form["Name"]
        if not _NAME.fullmatch(name):
            message = "Topic Name: 1 to 256 letters, digits, - and _, and no FIFO topics, which are moto's"
            raise AwsError("InvalidParameter", f"Invalid parameter: {message}: {name}")
        arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"
        self._topics.setdefault(arn, _Topic())
        return {"TopicArn": arn}

    def _subscribe(self, form: Form) -> Mapping[str, str]:
        topic, endpoint = self._topic(form), form["Endpoint"]
        options = {each["key"]: each["value"] for each in _numbered(_OPTION, form)}
        if form["Protocol"] != "sqs" or options.keys() - {"RawMessageDelivery"}:
            message = "the quick stand-in knows subscriptions of queues, with RawMessageDelivery: use moto's"
            raise AwsError("InvalidParameter", message)
        known = next((arn for arn, each in topic.subscriptions.items() if each.queue_arn == endpoint), None)
        arn = known or f"{form['TopicArn']}:{uuid.uuid4()}"
        topic.subscriptions[arn] = _Subscription(endpoint, options.get("RawMessageDelivery", "").lower() == "true")
        return {"SubscriptionArn": arn}

    def _publish(self, form: Form) -> Mapping[str, str]:
        topic, message = self._topic(form), form["Message"]
        if not message:
            raise AwsError("InvalidParameter", "Invalid parameter: Empty message")
        attributes = {
            each["Name"]: {"DataType": each["Value.DataType"], "StringValue": each["Value.StringValue"]}
            for each in _numbered(_ATTRIBUTE, form)
        }
        message_id = str(uuid.uuid4())
        for each in topic.subscriptions.values():
            if each.raw:
                self._deliver(each.queue_arn, message, attributes)
            else:
                self._deliver(each.queue_arn, _wrapped(form, message_id, attributes), {})
        return {"MessageId": message_id}


def _numbered(names: re.Pattern[str], form: Form) -> list[dict[str, str]]:
    """Entries of a list that a form writes as fields with numbers."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if match := names.fullmatch(name):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [found[number] for number in sorted(found)]


def _wrapped(form: Form, message_id: str, attributes: Mapping[str, Mapping[str, str]]) -> str:
    told = {
        "Type": "Notification", "MessageId": message_id, "TopicArn": form["TopicArn"], "Message": form["Message"],
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "MessageAttributes": {
            name: {"Type": each["DataType"], "Value": each["StringValue"]} for name, each in attributes.items()
        },
    }  # fmt: skip
    return json.dumps(told)


def _identity(_: Form) -> Mapping[str, str]:
    return {"Arn": f"arn:aws:sts::{ACCOUNT}:user/local", "UserId": "LOCAL", "Account": ACCOUNT}
