"""Requests, default answers and the reply's envelope."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mock_fakes import REPLIES, Workbench, request

from capability_mock.answers import (
    BE_EXPORT_REQUIREMENTS,
    US_IMPORT_REQUIREMENTS,
    delivery_uri,
    success_payload,
)
from capability_mock.messages import RequestError, parse_request, reply_id
from capability_mock.names import Names

NAMES = Names(env="test", owner="o")
SAMPLES = Path(__file__).parents[2] / "sample-data"


def payload(capability: str, **changes: Any) -> dict[str, Any]:
    return success_payload(parse_request(json.dumps(request(capability, **changes))), NAMES)


def uri(context: dict[str, Any]) -> str:
    return delivery_uri(parse_request(json.dumps(request(context=context))), NAMES)


def test_import_returns_delivery_and_requirements() -> None:
    """An import capability answers with the delivery's URI and the US import requirements, and fills other
    keys.
    """
    answer = payload("import#enrichment", keys=["import_enrichment_uri", "brokerReference"])

    assert answer == {
        "import_enrichment_uri": "s3://cch-test-o-eventdata-bucket/deliveries/delivery-hcmc-memphis.json",
        "us_import_requirements": US_IMPORT_REQUIREMENTS,
        "brokerReference": "brokerReference of import#enrichment for BOL-1",
    }


def test_export_returns_requirements() -> None:
    """An export capability answers with the Belgian export requirements."""
    assert payload("export#enrichment") == {"be_export_requirements": BE_EXPORT_REQUIREMENTS}


def test_others_return_a_value_for_each_output_key() -> None:
    """Any other capability fills what was asked for, readably, and by branch."""
    answer = payload("importer#check", keys=["a", "b", "status"], branch="fpk-1")

    assert answer == {
        "a": "a of importer#check for BOL-1 [fpk-1]",
        "b": "b of importer#check for BOL-1 [fpk-1]",
        "status": "SUCCESS",
    }


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"asnUri": "s3://b/asn/asn-1.json"}, "s3://b/asn/delivery-1.json"),
        ({"asn_uri": "s3://b/x/ASN-1.json"}, "s3://b/x/delivery-1.json"),
        ({"eventDataURI": "s3://asn-bucket/e/asn.json"}, "s3://asn-bucket/e/delivery.json"),
        ({"asn_event_uri": "s3://b/asn-asn.json"}, "s3://b/delivery-asn.json"),
        ({"deep": [{"source": "s3://b/asn-2.json"}]}, "s3://b/delivery-2.json"),
        ({"other": "s3://b/asn-2.json", "asnUri": "s3://b/asn-1.json"}, "s3://b/delivery-1.json"),
        ({"eventDataURI": "s3://b/events/e-1.json", "z": "s3://b/asn-3.json"}, "s3://b/delivery-3.json"),
    ],
)
def test_delivery_lies_beside_its_asn(context: dict[str, Any], expected: str) -> None:
    """The delivery's URI is the ASN's with `asn` in the file name read as `delivery`."""
    assert uri(context) == expected


@pytest.mark.parametrize("context", [{}, {"asnUri": 7}, {"asnUri": "http://b/asn.json"}, {"x": "s3://asn"}])
def test_request_without_asn_gets_the_sample(context: dict[str, Any]) -> None:
    """Without a usable ASN URI the delivery sample in the event-data bucket is named."""
    assert uri(context) == "s3://cch-test-o-eventdata-bucket/deliveries/delivery-hcmc-memphis.json"


def test_reply_is_the_command_envelope() -> None:
    """The reply echoes what the request carried, and answers by command id."""
    bench = Workbench()
    asked = request("import#enrichment", command_id="00000000-0000-4000-8000-00000000000a", branch="fpk-1")

    bench.arrive(asked)

    ((queue, body),) = bench.queues.sent
    reply = json.loads(body)
    command = reply.pop("command")
    assert queue == REPLIES
    assert reply == {
        "workflowInstanceId": asked["header"]["workflowInstanceId"],
        "correlationId": "BOL-1",
        "workflowDefinitionURI": "s3://bucket/import_vn_memphis_v1.yaml",
    }
    assert "us_import_requirements" in command.pop("payload")
    assert command == {
        "type": "ASYNC_RESP",
        "id": reply_id("00000000-0000-4000-8000-00000000000a"),
        "source": "Capability:import#enrichment",
        "timestamp": "2026-01-05T08:00:00.000Z",
        "status": "SUCCESS",
        "inReplyTo": "00000000-0000-4000-8000-00000000000a",
        "routingHint": {"branchKey": "fpk-1"},
    }


def test_reply_id_follows_from_the_command_id() -> None:
    """The same command id gives the same reply id, in every process; also when it is no UUID."""
    command_id = uuid.UUID("00000000-0000-4000-8000-00000000000a")

    assert reply_id(str(command_id)) == str(uuid.uuid5(command_id, "reply"))
    assert reply_id("any text") == reply_id("any text") != reply_id("another text")


def test_error_without_payload_carries_a_message() -> None:
    """An ERROR for which the scenario gives no payload explains itself as the protocol wants."""
    bench = Workbench("capabilities: {a#b: [{status: ERROR}]}")

    bench.arrive(request("a#b"))

    (command,) = bench.commands()
    (message,) = command["payload"]["messages"]
    assert set(message) == {"messageId", "timestamp", "level", "code", "summary", "context"}
    assert command["status"] == "ERROR"


def test_empty_payload_stays_empty() -> None:
    """A scenario that gives an empty payload gets no default in its place."""
    bench = Workbench("capabilities: {import#e: [{payload: {}}]}")

    bench.arrive(request("import#e", keys=["x"]))

    assert bench.commands()[0]["payload"] == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "header is missing or not a mapping; body is missing"),
        ('{"header": {}, "body": {}}', "workflowInstanceId is missing or not a text; commandId"),
        (json.dumps({**request(), "body": {"capability_id": 7}}), "capability_id is missing or not a text"),
        (json.dumps(request(keys="all")), "request_output_keys is not a list of texts"),
        (json.dumps(request(context=[1])), "context is not a mapping"),
    ],
)
def test_messages_that_are_no_request_are_refused(text: str, expected: str) -> None:
    """A message that cannot be answered is refused with all its faults."""
    with pytest.raises(RequestError, match=r"not|missing") as raised:
        parse_request(text)

    assert expected in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["header", "body", "commandId", "routingHint", "context"]), inner)
        ),
        max_leaves=6,
    )
)
def test_any_json_is_a_request_or_a_refusal(message: Any) -> None:
    """No message makes the parser fail in another way."""
    with pytest.raises(RequestError):
        parse_request(json.dumps(message))


@given(st.dictionaries(st.text(), st.text() | st.integers()), st.lists(st.text()))
def test_default_answer_is_a_function_of_the_request(context: dict[str, Any], keys: list[str]) -> None:
    """The same request gives the same payload, with a value for every output key."""
    first = payload("import#e", context=context, keys=keys, command_id="c", instance="i")

    assert first == payload("import#e", context=context, keys=keys, command_id="c", instance="i")
    assert set(keys) <= set(first)


def test_samples_belong_together() -> None:
    """The ASN and the delivery are about the same shipment, and their sums are right."""
    asn = json.loads((SAMPLES / "asn-hcmc-memphis.json").read_text(encoding="utf-8"))
    delivery = json.loads((SAMPLES / "delivery-hcmc-memphis.json").read_text(encoding="utf-8"))

    for key in ("shipmentId", "asnNumber", "billOfLading", "originCountry", "destinationCountry"):
        assert asn[key] == delivery[key]
    containers = {container["containerNumber"] for container in asn["containers"]}
    assert containers == {container["containerNumber"] for container in delivery["containers"]}
    assert containers == {item["containerNumber"] for item in asn["items"]}
    assert sum(item["amount"] for item in asn["items"]) == asn["totals"]["amount"]
    assert sum(item["cartons"] for item in asn["items"]) == asn["totals"]["cartons"]
    assert sum(line["duty"] for line in delivery["customs"]["lines"]) == pytest.approx(delivery["customs"]["totalDuty"])
