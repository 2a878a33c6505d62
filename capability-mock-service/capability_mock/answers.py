"""What a capability answers when no scenario says otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from capability_mock.messages import Request
    from capability_mock.names import Names

#: Where a request's context may name the ASN event, in the order of preference.
ASN_KEYS = ("asnUri", "asn_uri", "eventDataURI", "asn_event_uri")

#: The delivery sample's key in the event-data bucket, for a request that names no ASN.
DEFAULT_DELIVERY_KEY = "deliveries/delivery-hcmc-memphis.json"

#: Import into the US by sea: Importer Security Filing, entry, bond, duties (shaped after CBP's forms).
US_IMPORT_REQUIREMENTS: dict[str, Any] = {
    "destinationCountry": "US",
    "isf": {
        "form": "ISF-10+2",
        "bond": "ISF-D",
        "dueHoursBeforeLading": 24,
        "importerElements": [
            "seller",
            "buyer",
            "importerOfRecordNumber",
            "consigneeNumber",
            "manufacturer",
            "shipToParty",
            "countryOfOrigin",
            "htsus6",
            "containerStuffingLocation",
            "consolidator",
        ],
        "carrierElements": ["vesselStowPlan", "containerStatusMessages"],
    },
    "entry": {
        "entryType": "01",
        "entryTypeName": "Consumption",
        "forms": ["CBP 3461", "CBP 7501"],
        "portOfUnlading": {"code": "2709", "name": "Long Beach, CA"},
        "portOfEntry": {"code": "2006", "name": "Memphis, TN"},
        "inBond": {"type": "61", "name": "Immediate Transportation", "form": "CBP 7512"},
    },
    "bond": {"type": "continuous", "activityCode": "1", "form": "CBP 301", "minimumAmountUsd": 50000},
    "tariffLines": [
        {"hts": "6404.11.9020", "description": "Sports footwear, textile uppers", "generalRate": "20%"},
        {"hts": "4202.92.3120", "description": "Backpacks of man-made fibres", "generalRate": "17.6%"},
    ],
    "fees": {"merchandiseProcessingRate": "0.3464%", "harborMaintenanceRate": "0.125%"},
    "documents": ["commercialInvoice", "packingList", "billOfLading", "arrivalNotice"],
}

#: Export out of Belgium: export declaration in AES by the exporter's customs agent.
BE_EXPORT_REQUIREMENTS: dict[str, Any] = {
    "exportCountry": "BE",
    "declaration": {
        "system": "AES",
        "declarationType": "EX",
        "additionalDeclarationType": "A",
        "procedure": {"requested": "10", "previous": "00"},
        "dueHoursBeforeLoading": 24,
    },
    "exporter": {"identification": "EORI", "representation": "direct"},
    "customsOfficeOfExport": {"code": "BE101000", "name": "Antwerpen DAE"},
    "customsOfficeOfExit": {"code": "BE101000", "name": "Antwerpen DAE"},
    "goodsItemElements": ["cnCode", "netMass", "statisticalValue", "countryOfOrigin", "packages"],
    "exitConfirmation": {"message": "CC599C", "awaited": True},
    "documents": [
        {"type": "N380", "name": "Commercial invoice"},
        {"type": "N705", "name": "Bill of lading"},
    ],
}


def success_payload(request: Request, names: Names, agreed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The payload of a successful reply. A function of the request alone: the same request, the same payload.

    Every one of the request's output keys has a value. `agreed` is what the contract says; `import#…` and `export#…`
    add theirs, which depend on the request.
    """
    payload: dict[str, Any] = {key: _readable_value(request, key) for key in request.output_keys}
    payload.update(agreed or {})
    if request.capability.startswith("import#"):
        payload["import_enrichment_uri"] = delivery_uri(request, names)
        payload["us_import_requirements"] = US_IMPORT_REQUIREMENTS
    elif request.capability.startswith("export#"):
        payload["be_export_requirements"] = BE_EXPORT_REQUIREMENTS
    return payload


def error_payload(request: Request, timestamp: str) -> dict[str, Any]:
    """The payload of an ERROR for which the scenario gives none: one message, as the protocol wants it."""
    message = {
        "messageId": f"mock-error-{request.command_id}",
        "timestamp": timestamp,
        "level": "ERROR",
        "code": "MOCK_ERROR",
        "summary": f"The mock of {request.capability} was told to fail",
        "context": {"capabilityId": request.capability, "branchKey": request.branch},
    }
    return {"messages": [message]}


def delivery_uri(request: Request, names: Names) -> str:
    """The S3 URI of the delivery that belongs to the request's ASN: it lies beside it, `asn` read as
    `delivery`.

    Without an ASN in the context: the delivery sample in the event-data bucket.
    """
    named = [request.context.get(key) for key in ASN_KEYS]
    for text in [*named, *_texts(request.context)]:
        if isinstance(text, str) and text.startswith("s3://"):
            folder, _, last = text.rpartition("/")
            changed, count = re.subn("asn", "delivery", last, count=1, flags=re.IGNORECASE)
            if count and folder != "s3:/":
                return f"{folder}/{changed}"
    return f"s3://{names.eventdata_bucket}/{DEFAULT_DELIVERY_KEY}"


def _readable_value(request: Request, key: str) -> str:
    if key == "status":  # merged into the context like every key: anything else would contradict the reply
        return "SUCCESS"
    branch = "" if request.branch is None else f" [{request.branch}]"
    return f"{key} of {request.capability} for {request.correlation_id}{branch}"


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, in document order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
