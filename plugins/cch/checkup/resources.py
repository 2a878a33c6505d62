"""AWS's side: who we are; whether queues, table, buckets and topic are there, allowed, and as they should be."""

from __future__ import annotations

import json
import uuid
from typing import Any

import botocore.exceptions

from cch.aws.provision import MAX_RECEIVE_COUNT, RETENTION, VISIBILITY
from cch.aws.session import client, error_code, explained, typed
from cch.aws.tables import EXPIRES, INDEXES
from cch.checkup.findings import Findings
from cch.counting import counted
from cch.runtime.lifecycle_event import probe
from cch.settings import Settings

_CREATE = "create the resources (infra/README.md; local stack: `cch up`), or check CCH_ENV, CCH_OWNER and the region"
_ALLOW = "allow it: the policy that the infrastructure's stack makes has everything that is needed (output PolicyArn)"
#: An item and an object that stay where they are: they show that we may write.
_PROBE = ("DOCTOR", "-")
_PROBE_OBJECT = "payloads/doctor.json"


def look_at_resources(settings: Settings, found: Findings) -> None:
    """Everything that one environment has in AWS."""
    _identity(settings, found)
    _queues(settings, found)
    _table(settings, found)
    _buckets(settings, found)
    _topic(settings, found)


def _identity(settings: Settings, found: Findings) -> None:
    with found.looking("credentials", "set AWS_PROFILE, AWS_ACCESS_KEY_ID or a role, and AWS_DEFAULT_REGION"):
        with explained("sts"):
            sts = client("sts", settings)
            who = sts.get_caller_identity()["Arn"]
        found.ok("credentials", f"{who} in {sts.meta.region_name}")


def _queues(settings: Settings, found: Findings) -> None:
    names = settings.names
    for queue in (names.command_queue, names.reply_queue):
        _consumed(settings, found, queue)
        _sent_to(settings, found, names.rejected_queue(queue), "messages that are refused have nowhere to go")
    _sent_to(settings, found, names.fallback_queue, "requests to services without a queue of their own fail")


def _attributes(settings: Settings, queue: str) -> dict[str, str] | None:
    """The queue's attributes; None if there is none of that name."""
    sqs = client("sqs", settings)
    with explained(queue):
        try:
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            attributes: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        except botocore.exceptions.ClientError as error:
            if "NonExistentQueue" in error_code(error) or "QueueDoesNotExist" in error_code(error):
                return None
            raise
    return attributes


def _consumed(settings: Settings, found: Findings, queue: str) -> None:
    with found.looking(queue, _ALLOW):
        attributes = _attributes(settings, queue)
        if attributes is None:
            found.error(queue, "there is no such queue", _CREATE)
            return
        odd = _odd_settings(attributes, settings.max_message_bytes)
        if odd:
            found.warn(queue, "; ".join(odd), "set the queue's attributes as infra/ does")
        else:
            found.ok(queue, counted(attributes["ApproximateNumberOfMessages"], "message waits", "messages wait"))
        _dead_letters(settings, found, queue, attributes)


def _odd_settings(attributes: dict[str, str], most: int) -> list[str]:
    wanted = {
        "VisibilityTimeout": (VISIBILITY, "s: a slow ledger makes messages come twice"),
        "MessageRetentionPeriod": (RETENTION, "s: messages are lost when Airflow is away for longer"),
        "MaximumMessageSize": (most, "bytes: larger messages cannot be sent"),
    }
    return [
        f"{name} is {attributes[name]}, less than {least} {why}"
        for name, (least, why) in wanted.items()
        if int(attributes.get(name, least)) < least
    ]


def _dead_letters(settings: Settings, found: Findings, queue: str, attributes: dict[str, str]) -> None:
    policy = json.loads(attributes.get("RedrivePolicy", "{}"))
    if not policy:
        found.warn(queue, "it has no dead-letter queue: a message that nobody can take comes for ever", _CREATE)
        return
    if int(policy["maxReceiveCount"]) < MAX_RECEIVE_COUNT:
        what = f"SQS gives a message up after {policy['maxReceiveCount']} receipts: an outage of the ledger needs more"
        found.warn(queue, what, f"set maxReceiveCount to {MAX_RECEIVE_COUNT} or more")
    dead = policy["deadLetterTargetArn"].rsplit(":", 1)[-1]
    stranded = int((_attributes(settings, dead) or {}).get("ApproximateNumberOfMessages", "0"))
    if stranded:
        mend = (
            "look at them, mend the cause, and start a redrive to the queue (SQS console, or start-message-move-task)"
        )
        found.error(dead, counted(stranded, "message that nobody could take", "messages that nobody could take"), mend)


def _sent_to(settings: Settings, found: Findings, queue: str, without: str) -> None:
    with found.looking(queue, _ALLOW):
        if _attributes(settings, queue) is None:
            found.warn(queue, f"there is no such queue: {without}", _CREATE)
        else:
            found.ok(queue, "is there")


def _table(settings: Settings, found: Findings) -> None:
    name = settings.names.table
    dynamodb = client("dynamodb", settings)
    key = {"PK": {"S": _PROBE[0]}, "SK": {"S": _PROBE[1]}}
    with found.looking(name, _ALLOW), explained(name):
        dynamodb.put_item(TableName=name, Item=key)
        dynamodb.get_item(TableName=name, Key=key, ConsistentRead=True)
        dynamodb.delete_item(TableName=name, Key=key)
        found.ok(name, "can be read and written")
    _table_form(found, name, dynamodb)


def _table_form(found: Findings, name: str, dynamodb: Any) -> None:
    """What Airflow's role need not be allowed to see: a refusal is no finding."""
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
        lives = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        found.note(
            name, f"its form was not looked at: {type(error).__name__}", "look with an administrator's credentials"
        )
        return
    indexes = {index["IndexName"]: index["IndexStatus"] for index in table.get("GlobalSecondaryIndexes", ())}
    for index in INDEXES:
        if indexes.get(index) != "ACTIVE":
            found.error(
                name, f"index {index} is {indexes.get(index, 'missing')}: lists and the dispatcher need it", _CREATE
            )
    if lives.get("AttributeName") != EXPIRES:
        found.warn(name, "time to live is off: wakes and tombstones are never removed", f"switch it on for {EXPIRES!r}")
    if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        found.note(name, "point-in-time recovery is off", "switch it on where the ledger must not be lost")


def _buckets(settings: Settings, found: Findings) -> None:
    names, s3 = settings.names, client("s3", settings)
    if not settings.definitions_folder:
        with found.looking(names.definitions_bucket, _ALLOW), explained(names.definitions_bucket):
            count = s3.list_objects_v2(Bucket=names.definitions_bucket, Delimiter="/").get("KeyCount", 0)
            found.ok(names.definitions_bucket, counted(count, "entry", "entries"))
    with found.looking(names.eventdata_bucket, _ALLOW), explained(names.eventdata_bucket):
        s3.put_object(Bucket=names.eventdata_bucket, Key=_PROBE_OBJECT, Body=b"{}")
        s3.get_object(Bucket=names.eventdata_bucket, Key=_PROBE_OBJECT)["Body"].close()
        found.ok(names.eventdata_bucket, "can be read and written")


def _topic(settings: Settings, found: Findings) -> None:
    """A probe is published: only that shows that we may, and that the topic takes it."""
    arn = settings.lifecycle_topic
    if not arn:
        return
    if not arn.startswith("arn:"):
        found.error("CCH_LIFECYCLE_TOPIC", f"{arn!r} is no ARN", "give the topic's ARN (output LifecycleTopicArn)")
        return
    with found.looking(arn, "check CCH_LIFECYCLE_TOPIC, and allow sns:Publish"), explained(arn):
        order = {"MessageGroupId": "cch-doctor", "MessageDeduplicationId": str(uuid.uuid4())}
        client("sns", settings).publish(
            TopicArn=arn, Message=probe(settings.names), MessageAttributes=typed({"eventType": "Probe"}),
            **(order if arn.endswith(".fifo") else {}),
        )  # fmt: skip
        found.ok(arn, "takes events")
