"""Names of resources: by the pattern, one by one, and queues of other teams that follow none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cch.errors import SettingsError
from cch.names import RESOURCES, Names
from cch.settings import load_settings


def nothing(key: str) -> None:
    """Nothing is configured elsewhere."""


def test_each_resource_may_be_named() -> None:
    """The others keep the pattern."""
    given = {resource: f"their.{resource}" for resource in RESOURCES}

    names = load_settings({"CCH_NAMES": json.dumps(given)}, nothing).names

    assert {
        "command_queue": names.command_queue, "reply_queue": names.reply_queue, "table": names.table,
        "command_rejected_queue": names.rejected_queue(names.command_queue),
        "reply_rejected_queue": names.rejected_queue(names.reply_queue), "fallback_queue": names.fallback_queue,
        "definitions_bucket": names.definitions_bucket, "eventdata_bucket": names.eventdata_bucket,
        "lifecycle_topic": names.lifecycle_topic,
    } == given  # fmt: skip
    assert names.payload_prefix("i") == "s3://their.eventdata_bucket/payloads/i/"
    assert names.capability_queue("a#b") == "cch-dev-local-capability-a-request-queue"


def test_names_may_be_in_a_file(tmp_path: Path) -> None:
    """Its path is the setting."""
    file = tmp_path / "names.json"
    file.write_text('{"table": "orders"}')

    names = load_settings({"CCH_NAMES": str(file)}, nothing).names

    assert (names.table, names.reply_queue) == ("orders", Names().reply_queue)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{"tabel": "x"}', "no resource 'tabel'"),
        ('{"table": "a b"}', "table is 'a b'"),
        ('{"table": 1}', "texts"),
        ("{", "CCH_NAMES"),
        ("/no/such/file", "CCH_NAMES"),
    ],
)
def test_what_cannot_be_used_is_said(given: str, words: str) -> None:
    """With the setting, and what there is."""
    with pytest.raises(SettingsError, match=words):
        load_settings({"CCH_NAMES": given}, nothing)


def test_a_bucket_that_is_given_may_have_a_long_pattern() -> None:
    """The pattern is not used for it."""
    long = {"CCH_ENV": "e" * 20, "CCH_OWNER": "o" * 20}
    with pytest.raises(SettingsError, match="shorten"):
        load_settings(long, nothing)

    assert (
        load_settings({**long, "CCH_NAMES": '{"definitions_bucket": "b-1"}'}, nothing).names.definitions_bucket == "b-1"
    )


@pytest.mark.parametrize(
    ("capability", "queue"),
    [
        ("import#enrichment", "https://sqs.eu-west-1.amazonaws.com/1/enrich"),
        ("import#other", "imports"),
        ("export#x", "cch-dev-local-capability-export-request-queue"),
    ],
)
def test_a_capability_or_its_service_may_be_bound_to_a_queue(capability: str, queue: str) -> None:
    """The capability's own binding wins; what is bound is not ours to make."""
    bindings = {
        "import": "sqs:imports", "import#enrichment": "sqs:https://sqs.eu-west-1.amazonaws.com/1/enrich",
        "price": "lambda:price",
    }  # fmt: skip

    names = load_settings({"CCH_CAPABILITY_BINDINGS": json.dumps(bindings)}, nothing).names

    assert names.capability_queue(capability) == queue
    assert names.is_bound(capability) == capability.startswith("import")
