"""What both stand-ins for AWS do alike, beyond the contracts of the table and of the queues."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import botocore.exceptions
import pytest

from cch.aws.provision import provision
from cch.aws.session import error_code
from cch.names import Names
from cch.settings import Settings

_numbers = itertools.count(1)


@pytest.fixture
def client(aws_url: str, one_try: Callable[..., Any]) -> Callable[[str], Any]:
    return partial(one_try, url=aws_url)


def named(kind: str) -> str:
    return f"{kind}-alike-{next(_numbers)}"


def calls(url: str, method: str = "GET") -> Counter[str]:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/cch/calls", method=method)) as answer:
        return Counter(json.load(answer))


def test_calls_are_counted_under_the_same_names(aws_url: str, client: Any) -> None:
    """The benchmarks read them; asking for the counts does not count."""
    table, queue = named("table"), client("sqs").create_queue(QueueName=named("queue"))["QueueUrl"]
    calls(aws_url, "DELETE")

    with pytest.raises(botocore.exceptions.ClientError):
        client("dynamodb").get_item(TableName=table, Key={"PK": {"S": "a"}, "SK": {"S": "b"}})
    client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    client("s3").list_buckets()
    calls(aws_url)

    assert calls(aws_url) == {"DynamoDB.GetItem": 1, "AmazonSQS.SendMessage.SendMessage": 1, "S3.GET.GET": 1}
    calls(aws_url, "DELETE")
    assert calls(aws_url) == {}


@pytest.mark.usefixtures("aws_environment")
def test_an_environment_is_provisioned_and_again(client: Any) -> None:
    """Everything that `cch up` needs; a queue of an earlier release gets the attributes of this one."""
    settings = Settings(names=Names(owner=named("o").replace("-", "")))
    names = settings.names
    url = client("sqs").create_queue(QueueName=names.reply_queue, Attributes={"MaximumMessageSize": "262144"})[
        "QueueUrl"
    ]
    client("sqs").send_message(QueueUrl=url, MessageBody="waits")

    provision(settings)
    provision(settings)

    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["MaximumMessageSize"], found["ApproximateNumberOfMessages"]) == (str(settings.max_message_bytes), "1")
    assert "RedrivePolicy" in found
    lives = client("dynamodb").describe_time_to_live(TableName=names.table)["TimeToLiveDescription"]
    assert (lives["TimeToLiveStatus"], lives["AttributeName"]) == ("ENABLED", "expires")


# --- DynamoDB ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forward", [True, False])
async def test_pages_of_a_partition_leave_nothing_out(dynamo_client: Any, dynamo_table: str, forward: bool) -> None:
    """Whatever their limit is; a prefix and bounds still hold behind the first page."""
    for number in range(7):
        for prefix in ("A", "B", "C"):
            item = {"PK": {"S": "P"}, "SK": {"S": f"{prefix}{number}"}}
            await dynamo_client.put_item(TableName=dynamo_table, Item=item)
    conditions: list[tuple[str, dict[str, Any], list[str]]] = [
        ("PK = :p", {}, [f"{prefix}{number}" for prefix in "ABC" for number in range(7)]),
        ("PK = :p AND begins_with(SK, :b)", {":b": {"S": "B"}}, [f"B{number}" for number in range(7)]),
        ("PK = :p AND SK BETWEEN :l AND :h", {":l": {"S": "A5"}, ":h": {"S": "B1"}}, ["A5", "A6", "B0", "B1"]),
    ]

    for condition, values, expected in conditions:
        for limit in (1, 2, 3, 50):
            arguments: dict[str, Any] = {
                "TableName": dynamo_table, "KeyConditionExpression": condition, "ScanIndexForward": forward,
                "ExpressionAttributeValues": {":p": {"S": "P"}, **values}, "ConsistentRead": True, "Limit": limit,
            }  # fmt: skip
            seen = []
            while True:
                page = await dynamo_client.query(**arguments)
                assert page["Count"] == len(page["Items"]) <= limit
                seen += [item["SK"]["S"] for item in page["Items"]]
                if "LastEvaluatedKey" not in page:
                    break
                arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
            assert seen == (expected if forward else expected[::-1]), (condition, limit)


async def test_of_two_clients_one_writes(aws_client: Any, dynamo_client: Any, dynamo_table: str) -> None:
    """Two connections at the same moment; the other one is told what is there."""
    other = await aws_client("dynamodb")
    outcomes = []
    for number in range(20):

        async def write(client: Any, who: str, number: int = number) -> str:
            try:
                await client.put_item(
                    TableName=dynamo_table,
                    Item={"PK": {"S": f"P{number}"}, "SK": {"S": "-"}, "by": {"S": who}},
                    ConditionExpression="(attribute_not_exists(#PK))",
                    ExpressionAttributeNames={"#PK": "PK"},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as lost:
                assert error_code(lost) == "ConditionalCheckFailedException"
                return f"lost to {lost.response['Item']['by']['S']}"
            return "won"

        outcomes.append(await asyncio.gather(write(dynamo_client, "one"), write(other, "two")))

    assert all(pair in (["won", "lost to one"], ["lost to two", "won"]) for pair in outcomes)


# --- SQS ---------------------------------------------------------------------------------------------------------


def test_a_message_that_is_received_too_often_goes_to_the_dead_letters(client: Any) -> None:
    """With its body, after as many receipts as the policy allows."""
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName=named("dead"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    url = sqs.create_queue(QueueName=named("queue"), Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="poison")

    seen = [len(sqs.receive_message(QueueUrl=url, VisibilityTimeout=0).get("Messages", ())) for _ in range(3)]

    assert seen == [1, 1, 0]
    (message,) = sqs.receive_message(QueueUrl=dead)["Messages"]
    assert message["Body"] == "poison"


def test_digests_and_attributes_of_a_message(client: Any) -> None:
    """As AWS calculates them: some clients check; only those attributes come that are asked for."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=named("queue"))["QueueUrl"]
    attributes = {
        "traceparent": {"DataType": "String", "StringValue": "00-ä"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\0\1"},
    }

    sent = sqs.send_message(QueueUrl=url, MessageBody="böd\ny", MessageAttributes=attributes)
    (all_of_it,) = sqs.receive_message(
        QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    (one,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["traceparent"])["Messages"]

    assert sent["MD5OfMessageBody"] == all_of_it["MD5OfBody"] == "e61fc2fb95624a08b4a58433969ab228"
    assert sent["MD5OfMessageAttributes"] == all_of_it["MD5OfMessageAttributes"] == "22e40d410242b7df59ff5106084adb19"
    assert all_of_it["MessageAttributes"] == attributes
    assert all_of_it["Attributes"]["ApproximateReceiveCount"] == "1"
    assert list(one["MessageAttributes"]) == ["traceparent"]
    assert "Attributes" not in one


def test_a_batch_says_which_of_its_messages_were_refused(client: Any) -> None:
    """The others are sent."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=named("queue"))["QueueUrl"]
    entries = [{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "y", "DelaySeconds": 900}]

    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    gone = [{"Id": "0", "ReceiptHandle": received[0]["ReceiptHandle"]}, {"Id": "1", "ReceiptHandle": "nonsense"}]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=gone)

    assert [each["Id"] for each in answer["Successful"]] == ["a", "b"]
    assert [message["Body"] for message in received] == ["x"]
    assert [each["Id"] for each in deleted["Successful"]] == ["0"]
    assert [(each["Id"], each["Code"]) for each in deleted["Failed"]] == [("1", "ReceiptHandleIsInvalid")]


def test_queues_are_listed_by_prefix_and_page(client: Any) -> None:
    """As the mock looks for the queues that it serves."""
    sqs, prefix = client("sqs"), named("listed")
    urls = [sqs.create_queue(QueueName=f"{prefix}-{number}")["QueueUrl"] for number in range(5)]

    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})

    assert sorted(url for page in pages for url in page.get("QueueUrls", ())) == urls


def test_a_purged_queue_is_empty(client: Any) -> None:
    """Of what waits and of what is in flight."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=named("queue"))["QueueUrl"]
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.receive_message(QueueUrl=url)

    sqs.purge_queue(QueueUrl=url)

    assert "Messages" not in sqs.receive_message(QueueUrl=url)


# --- S3 ----------------------------------------------------------------------------------------------------------

KEYS = ("a b+c/ä&<>.yaml", "a/1", "a/2", "b", "by-digest/x", "zz")


@pytest.fixture
def bucket(client: Any) -> str:
    name = named("bucket")
    client("s3").create_bucket(Bucket=name)
    for key in KEYS:
        client("s3").put_object(Bucket=name, Key=key, Body=key.encode(), ContentType="text/x-test")
    return name


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_objects_are_listed_in_pages_by_prefix_and_folder(client: Any, bucket: str, size: int) -> None:
    """Whatever characters their keys have."""
    pages = client("s3").get_paginator("list_objects_v2")

    def listed(**how: str) -> tuple[list[str], list[str]]:
        found = list(pages.paginate(Bucket=bucket, PaginationConfig={"PageSize": size}, **how))
        assert all(page["KeyCount"] <= size for page in found)
        contents = [entry["Key"] for page in found for entry in page.get("Contents", ())]
        return contents, [entry["Prefix"] for page in found for entry in page.get("CommonPrefixes", ())]

    assert listed() == (sorted(KEYS), [])
    assert listed(Prefix="a/") == (["a/1", "a/2"], [])
    assert listed(Delimiter="/") == (["b", "zz"], ["a b+c/", "a/", "by-digest/"])
    assert listed(Prefix="nothing") == ([], [])


def test_an_object_is_read_whole_or_not_at_all(client: Any, bucket: str) -> None:
    """By its stamp; a file that is uploaded arrives as it was."""
    s3 = client("s3")
    s3.upload_fileobj(io.BytesIO(b"x" * 70_000), bucket, "file", ExtraArgs={"Metadata": {"who": "me"}})
    first = s3.get_object(Bucket=bucket, Key=KEYS[0])

    with pytest.raises(botocore.exceptions.ClientError) as same:
        s3.get_object(Bucket=bucket, Key=KEYS[0], IfNoneMatch=first["ETag"])
    with pytest.raises(botocore.exceptions.ClientError) as gone:
        s3.get_object(Bucket=bucket, Key="gone")
    with pytest.raises(botocore.exceptions.ClientError) as nowhere:
        s3.get_object(Bucket="no-such-bucket-anywhere", Key="gone")
    with pytest.raises(botocore.exceptions.ClientError) as there:
        s3.put_object(Bucket=bucket, Key=KEYS[0], Body=b"", IfNoneMatch="*")

    assert (first["Body"].read().decode(), first["ContentType"]) == (KEYS[0], "text/x-test")
    assert [error_code(error.value) for error in (same, gone, nowhere, there)] == [
        "304", "NoSuchKey", "NoSuchBucket", "PreconditionFailed",
    ]  # fmt: skip
    head = s3.head_object(Bucket=bucket, Key="file")
    assert (head["ContentLength"], head["Metadata"]) == (70_000, {"who": "me"})
    s3.delete_object(Bucket=bucket, Key="file")
    with pytest.raises(botocore.exceptions.ClientError):
        s3.head_object(Bucket=bucket, Key="file")


# --- SNS and STS -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [True, False])
def test_a_topic_tells_the_queues_that_listen(client: Any, raw: bool) -> None:
    """The message itself, or SNS's envelope around it."""
    sqs, sns = client("sqs"), client("sns")
    topic = sns.create_topic(Name=named("topic"))["TopicArn"]
    url = sqs.create_queue(QueueName=named("listener"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    options = {"Attributes": {"RawMessageDelivery": "true"}} if raw else {}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, **options)

    kind = {"eventType": {"DataType": "String", "StringValue": "Transition"}}
    sns.publish(TopicArn=topic, Message='{"ä": 1}', MessageAttributes=kind)

    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    if raw:
        assert (message["Body"], message["MessageAttributes"]) == ('{"ä": 1}', kind)
    else:
        told = json.loads(message["Body"])
        assert (told["Message"], told["TopicArn"]) == ('{"ä": 1}', topic)
        assert told["MessageAttributes"] == {"eventType": {"Type": "String", "Value": "Transition"}}


def test_a_topic_that_is_not_there_is_an_error(client: Any) -> None:
    """And whoever asks is somebody."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        client("sns").publish(TopicArn="arn:aws:sns:us-east-1:123456789012:gone", Message="x")

    assert error_code(error.value) == "NotFound"
    assert client("sts").get_caller_identity()["Account"] == "123456789012"
