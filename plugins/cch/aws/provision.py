"""Creates an environment's resources where no infrastructure-as-code did: the local stack and tests."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import botocore.exceptions

from cch.aws.session import client, error_code, explained
from cch.aws.tables import EXPIRES, table_specification
from cch.errors import CchError
from cch.settings import Settings, load_settings

#: Capabilities of the sample definitions that have a queue of their own; all others use the fallback queue.
SAMPLE_CAPABILITIES = ("import", "export", "screening", "declaration-communicator")
#: Seconds. SQS keeps a message at most 14 days (AWS quota); that is what we want for all of them.
RETENTION = 14 * 24 * 3600
#: Receipts before SQS gives up on a message. Far more than an outage of the ledger should ever need.
MAX_RECEIVE_COUNT = 100
#: Seconds that a received message stays invisible: the ledger's slowest answer, with room.
VISIBILITY = 60

#: What SQS says if a queue of the name has other attributes than it is to be made with.
_OTHER_ATTRIBUTES = ("QueueAlreadyExists", "QueueNameExists", "AWS.SimpleQueueService.QueueNameExists")


def _queue(sqs: Any, name: str, most: int, **attributes: str) -> str:
    """The queue's address; one that an earlier release made gets the attributes of this one."""
    given = {"MessageRetentionPeriod": str(RETENTION), "MaximumMessageSize": str(most), **attributes}
    try:
        url: str = sqs.create_queue(QueueName=name, Attributes=given)["QueueUrl"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) not in _OTHER_ATTRIBUTES:
            raise
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=given)
    return url


def _queue_with_dead_letters(sqs: Any, name: str, dead_letters: str, most: int) -> None:
    url = _queue(sqs, dead_letters, most)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": str(MAX_RECEIVE_COUNT)}
    _queue(sqs, name, most, VisibilityTimeout=str(VISIBILITY), RedrivePolicy=json.dumps(policy))


def provision(settings: Settings, capabilities: tuple[str, ...] = SAMPLE_CAPABILITIES) -> None:
    """Create whatever does not exist: buckets, queues with their dead-letter queues, the topic, the table.

    :raises ServiceUnavailableError: AWS does not answer, or refuses.
    """
    names = settings.names
    with explained("resources"):
        s3 = client("s3", settings)
        for bucket in (names.definitions_bucket, names.eventdata_bucket):
            s3.create_bucket(Bucket=bucket)
        sqs, most = client("sqs", settings), settings.max_message_bytes
        for name in (names.command_queue, names.reply_queue):
            _queue_with_dead_letters(sqs, name, names.dead_letter_queue(name), most)
            _queue(sqs, names.rejected_queue(name), most)
        own = [capability for capability in capabilities if not names.is_bound(capability)]
        for name in (*map(names.capability_queue, own), names.fallback_queue):
            _queue_with_dead_letters(sqs, name, names.dead_letter_queue(name), most)
        client("sns", settings).create_topic(Name=names.lifecycle_topic)
        _table(client("dynamodb", settings), names.table)


def _table(dynamodb: Any, name: str) -> None:
    try:
        dynamodb.create_table(**table_specification(name))
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
        )
    except botocore.exceptions.ClientError as error:
        if error_code(error) != "ResourceInUseException":
            raise


def upload_samples(settings: Settings, folder: Path) -> None:
    """Put the sample ASN and delivery side by side into the event-data bucket, as a carrier's feed would.

    :raises ServiceUnavailableError: AWS does not answer, or refuses.
    """
    bucket = settings.names.eventdata_bucket
    with explained(bucket):
        s3 = client("s3", settings)
        for file in sorted(folder.glob("*.json")):
            # A capability that knows no ASN answers with the delivery that it finds under deliveries/.
            prefixes = ("samples", "deliveries") if file.name.startswith("delivery") else ("samples",)
            for prefix in prefixes:
                s3.put_object(
                    Bucket=bucket, Key=f"{prefix}/{file.name}", Body=file.read_bytes(), ContentType="application/json"
                )


def main() -> None:
    """Create the resources of the environment that the settings name."""
    parser = argparse.ArgumentParser(description="Create the environment's resources")
    parser.add_argument("--sample-data", type=Path, help="folder of sample files to upload")
    arguments = parser.parse_args()
    settings = load_settings()
    try:
        provision(settings)
        if arguments.sample_data:
            upload_samples(settings, arguments.sample_data)
    except CchError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
