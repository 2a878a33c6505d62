"""Making the resources again, as an upgrade does."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from cch.aws.provision import provision
from cch.envelope import MAX_BODY
from cch.settings import Settings


@mock_aws
def test_queues_of_an_earlier_release_get_the_attributes_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQS refuses to create a queue that exists with others; messages that are in it stay."""
    for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    sqs, names = boto3.client("sqs", region_name="us-east-1"), Settings().names
    url = sqs.create_queue(QueueName=names.reply_queue, Attributes={"MaximumMessageSize": "262144"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="waits")

    provision(Settings())
    provision(Settings())

    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["MaximumMessageSize"], found["ApproximateNumberOfMessages"]) == (str(MAX_BODY), "1")
    assert "RedrivePolicy" in found
