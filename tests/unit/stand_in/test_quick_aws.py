"""The quick stand-in alone: what it refuses, in AWS's words, and what it counts by its own clock."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import botocore.exceptions
import pytest
from tests.patience import eventually

from cch.aws.session import error_code
from cch.aws.tables import INDEXES, encode_item, table_specification

DYNAMO, SQS = "DynamoDB_20120810.", "AmazonSQS."
ITEM = {"PK": {"S": "P"}, "SK": {"S": "S"}}


@pytest.fixture
def url(stand_in_url: Callable[[str], str]) -> str:
    return stand_in_url("quick")


@pytest.fixture
def client(url: str, one_try: Callable[..., Any]) -> Callable[[str], Any]:
    return partial(one_try, url=url)


@pytest.fixture
def table(client: Callable[[str], Any]) -> Iterator[str]:
    """A table of the ledger's form that no other test sees."""
    client("dynamodb").create_table(**table_specification("alone"))
    yield "alone"
    client("dynamodb").delete_table(TableName="alone")


def post(url: str, target: str, body: bytes, path: str = "/") -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of an answer."""
    request = urllib.request.Request(f"{url}{path}", body, {"X-Amz-Target": target} if target else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read())


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "body", "code", "said"),
    [
        (f"{DYNAMO}GetItem", b"{", "SerializationException", "no JSON"),
        (f"{DYNAMO}GetItem", b"\xff", "SerializationException", "no JSON"),
        (f"{DYNAMO}GetItem", b"[]", "SerializationException", "no JSON object"),
        (f"{DYNAMO}GetItem", b"{}", "ValidationException", "GetItem needs TableName"),
        (f"{DYNAMO}GetItem", b'{"TableName": []}', "SerializationException", "GetItem"),
        (f"{DYNAMO}GetItem", b'{"TableName": "gone", "Key": {}}', "ResourceNotFoundException", "gone"),
        (f"{DYNAMO}TransactWriteItems", b"{}", "UnknownOperationException", "does not know TransactWriteItems"),
        (f"{DYNAMO}Query", b'{"QueryFilter": {}}', "ValidationException", "does not know Query's QueryFilter"),
        (f"{SQS}ListQueues", b"nonsense", "SerializationException", "no JSON"),
        (f"{SQS}AddPermission", b"{}", "UnknownOperationException", "does not know AddPermission"),
        (f"{SQS}SendMessage", b"{}", "InvalidParameterValue", "SendMessage needs QueueUrl"),
        ("Logs_20140328.PutLogEvents", b"{}", "UnknownOperationException", "use moto's"),
    ],
)
def test_a_malformed_request_is_refused_as_aws_does_it(
    url: str, target: str, body: bytes, code: str, said: str
) -> None:
    """With the error's type where clients look for it, and never with a server's error, which they would repeat."""
    status, headers, answer = post(url, target, body)

    assert (status, answer["__type"].rpartition("#")[2]) == (400, code)
    assert said in answer["message"]
    if target.startswith(SQS):
        assert headers["x-amzn-query-error"].endswith(";Sender")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"Item": {"PK": {"S": "P"}}}, "Missing the key SK"),
        ({"Item": {"PK": {"N": "1"}, "SK": {"S": "S"}}}, "Type mismatch"),
        ({"Item": {**ITEM, "status": {"S": "running"}, "started": {"S": "1"}}}, "Type mismatch for Index Key started"),
        ({"Item": {**ITEM, "text": {"S": "x" * 410_000}}}, "Item size"),
        ({"Item": {**ITEM, "map": {"M": {}}}}, "not M"),
        ({"Item": ITEM, "ReturnValues": "ALL_NEW"}, "not ALL_NEW"),
        ({"Item": ITEM, "ReturnConsumedCapacity": "TOTAL"}, "does not know PutItem's ReturnConsumedCapacity"),
        ({"Item": ITEM, "ConditionExpression": "attribute_exists(PK)"}, "Invalid ConditionExpression"),
        ({"Item": ITEM, "ExpressionAttributeValues": {":v": {"S": ""}}}, "unused in expressions"),
    ],
)
def test_a_write_that_cannot_be_kept_as_it_is_is_refused(
    client: Any, table: str, arguments: dict[str, Any], said: str
) -> None:
    """Nothing is stored of it."""
    dynamodb = client("dynamodb")

    with pytest.raises(botocore.exceptions.ClientError, match=said) as error:
        dynamodb.put_item(TableName=table, **arguments)

    assert error_code(error.value) == "ValidationException"
    assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"KeyConditionExpression": "status = :v"}, "the keys are PK, SK"),
        ({"KeyConditionExpression": "status = :v", "IndexName": "gone"}, "specified index: gone"),
        ({"KeyConditionExpression": "status = :v", "IndexName": "by_status", "ConsistentRead": True}, "Consistent"),
        (
            {"KeyConditionExpression": "status = :v", "IndexName": "by_status", "Select": "SPECIFIC_ATTRIBUTES"},
            "Select",
        ),
        ({"KeyConditionExpression": "PK = :v AND begins_with(SK, :v)", "ExclusiveStartKey": {"PK": {"S": "P"}}}, "key"),
        (
            {
                "KeyConditionExpression": "status = :v AND started BETWEEN :v AND :v",
                "IndexName": "by_status",
            },
            "Type mismatch",
        ),
    ],
)
def test_a_query_that_is_not_understood_is_refused(
    client: Any, table: str, arguments: dict[str, Any], said: str
) -> None:
    """Rather than answered with something else."""
    with pytest.raises(botocore.exceptions.ClientError, match=said) as error:
        client("dynamodb").query(TableName=table, ExpressionAttributeValues={":v": {"S": "x"}}, **arguments)

    assert error_code(error.value) == "ValidationException"


def test_the_key_of_an_item_is_never_changed(client: Any, table: str) -> None:
    """Nor an attribute of an index to another type."""
    for change, value in (
        ("SET PK = :v", {"S": "x"}),
        ("SET started = :v", {"S": "x"}),
        ("ADD live :v", {"SS": ["x"]}),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="ValidationException"):
            client("dynamodb").update_item(
                TableName=table, Key=ITEM, UpdateExpression=change, ExpressionAttributeValues={":v": value}
            )


def test_nothing_is_added_to_what_is_no_set(client: Any, table: str) -> None:
    """A text is not a set of its letters; the item stays as it is."""
    dynamodb = client("dynamodb")
    dynamodb.put_item(TableName=table, Item={**ITEM, "text": {"S": "abc"}})

    with pytest.raises(botocore.exceptions.ClientError, match="ValidationException.*text is no set"):
        dynamodb.update_item(
            TableName=table, Key=ITEM, UpdateExpression="SET other = :v ADD #t :m",
            ExpressionAttributeNames={"#t": "text"},
            ExpressionAttributeValues={":v": {"S": "x"}, ":m": {"SS": ["d"]}},
        )  # fmt: skip

    assert dynamodb.get_item(TableName=table, Key=ITEM)["Item"] == {**ITEM, "text": {"S": "abc"}}


def test_only_tables_of_the_ledgers_form_are_made(client: Any) -> None:
    """With any indexes; the same name is taken once."""
    dynamodb, form = client("dynamodb"), table_specification("form")
    schema = [{"AttributeName": "id", "KeyType": "HASH"}]
    for other in ({"KeySchema": schema}, {"AttributeDefinitions": form["AttributeDefinitions"][:3]}):
        with pytest.raises(botocore.exceptions.ClientError, match="ValidationException"):
            dynamodb.create_table(**{**form, **other})
    dynamodb.create_table(**form)

    with pytest.raises(botocore.exceptions.ClientError, match="ResourceInUseException"):
        dynamodb.create_table(**form)

    described = dynamodb.describe_table(TableName="form")["Table"]
    assert {index["IndexName"] for index in described["GlobalSecondaryIndexes"]} == set(INDEXES)
    assert "form" in dynamodb.list_tables()["TableNames"]
    dynamodb.delete_table(TableName="form")
    assert "form" not in dynamodb.list_tables()["TableNames"]


def test_a_batch_is_written_whole_or_refused(client: Any, table: str) -> None:
    """No more than 25, none twice."""
    dynamodb = client("dynamodb")

    def put(*names: str) -> list[Any]:
        return [{"PutRequest": {"Item": encode_item({"PK": "P", "SK": name})}} for name in names]

    for bad in (put("a", "a"), put(*map(str, range(26))), [*put("a"), {"DeleteRequest": {"Key": {"PK": {"S": "P"}}}}]):
        with pytest.raises(botocore.exceptions.ClientError, match="ValidationException"):
            dynamodb.batch_write_item(RequestItems={table: bad})
    assert dynamodb.scan(TableName=table)["Items"] == []

    dynamodb.batch_write_item(RequestItems={table: put("a", "b")})
    dynamodb.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": {"PK": {"S": "P"}, "SK": {"S": "a"}}}}]})

    assert [item["SK"]["S"] for item in dynamodb.scan(TableName=table)["Items"]] == ["b"]


def test_an_answer_of_dynamodb_has_its_checksum(url: str) -> None:
    """Clients that check it repeat the call otherwise."""
    request = urllib.request.Request(f"{url}/", b"{}", {"X-Amz-Target": f"{DYNAMO}ListTables"})
    with urllib.request.urlopen(request) as answer:
        body = answer.read()

    assert int(answer.headers["x-amz-crc32"]) == crc32(body)
    assert answer.headers["date"]


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("orders.fifo", {}, "InvalidParameterValue"),
        ("orders", {"FifoQueue": "true"}, "InvalidAttributeName"),
        ("orders", {"KmsMasterKeyId": "x"}, "InvalidAttributeName"),
        ("orders", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ("orders", {"VisibilityTimeout": "soon"}, "InvalidAttributeValue"),
        ("orders", {"RedrivePolicy": "{}"}, "InvalidAttributeValue"),
    ],
)
def test_a_queue_that_would_be_another_one_is_refused(
    client: Any, name: str, attributes: dict[str, str], code: str
) -> None:
    """FIFO queues and keys are moto's alone."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        client("sqs").create_queue(QueueName=name, Attributes=attributes)

    assert error_code(error.value) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"MessageBody": "\0"}, "InvalidMessageContents"),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageGroupId": "g"}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageAttributes": {"a": {"DataType": "String"}}}, "InvalidParameterValue"),
    ],
)
def test_a_message_that_sqs_does_not_take_is_refused(client: Any, arguments: dict[str, Any], code: str) -> None:
    """Nothing is in the queue then."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="refuses")["QueueUrl"]

    with pytest.raises(botocore.exceptions.ClientError) as error:
        sqs.send_message(QueueUrl=url, **arguments)

    assert error_code(error.value) == code
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


@pytest.mark.parametrize(
    ("ids", "code"),
    [([], "EmptyBatchRequest"), (["a", "a"], "BatchEntryIdsNotDistinct"), (["ä"], "InvalidBatchEntryId"),
     ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest")],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused(client: Any, ids: list[str], code: str) -> None:
    """As a whole, by the names that clients know."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="refuses")["QueueUrl"]

    with pytest.raises(botocore.exceptions.ClientError) as error:
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": each, "MessageBody": "x"} for each in ids])

    assert error_code(error.value) == f"AWS.SimpleQueueService.{code}"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/refuses?location", {}, 501, "NotImplemented"),
        ("GET", "/refuses", {}, 501, "NotImplemented"),
        ("GET", "/refuses/k", {"Range": "bytes=0-1"}, 501, "NotImplemented"),
        ("PUT", "/refuses/k", {"x-amz-copy-source": "refuses/k"}, 501, "NotImplemented"),
        ("PUT", "/refuses/k", {"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ("PUT", "/refuses/k", {"Content-MD5": "AAAA"}, 400, "BadDigest"),
        ("PUT", "/refuses/k", {"Content-Encoding": "aws-chunked"}, 400, "IncompleteBody"),
        ("POST", "/refuses?delete", {}, 400, "MalformedXML"),
        ("DELETE", "/refuses", {}, 409, "BucketNotEmpty"),
        ("GET", "/refuses?list-type=2&max-keys=many", {}, 400, "InvalidArgument"),
    ],
)
def test_what_s3_does_not_do_here_is_refused(  # noqa: PLR0917 - what is asked, and what is answered
    url: str, client: Any, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    """Part of an object, a copy, a body that was damaged; what is there stays as it is."""
    client("s3").create_bucket(Bucket="refuses")
    client("s3").put_object(Bucket="refuses", Key="k", Body=b"old")
    body = b"new" if method in ("PUT", "POST") else None

    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(f"{url}{path}", body, headers, method=method))

    assert error.value.code == status
    assert f"<Code>{code}</Code>" in error.value.read().decode()
    assert client("s3").get_object(Bucket="refuses", Key="k")["Body"].read() == b"old"


def test_a_body_that_comes_in_chunks_is_put_together(url: str, client: Any) -> None:
    """As newer clients send streams: each piece after its length, checksums behind the last."""
    client("s3").create_bucket(Bucket="chunks")
    body = b"5\r\nhello\r\n6;chunk-signature=x\r\n world\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n"
    headers = {"Content-Encoding": "aws-chunked", "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/chunks/k", body, headers, method="PUT")).close()

    assert client("s3").get_object(Bucket="chunks", Key="k")["Body"].read() == b"hello world"


def test_services_and_faults_that_are_motos_alone_are_named(url: str, client: Any) -> None:
    """Whoever needs them reads which stand-in has them."""
    with pytest.raises(botocore.exceptions.ClientError, match="which are moto's"):
        client("sns").create_topic(Name="order.fifo")
    with pytest.raises(botocore.exceptions.ClientError, match="use moto's"):
        client("sns").list_topics()
    with pytest.raises(botocore.exceptions.ClientError, match="does not know monitoring"):
        client("cloudwatch").list_metrics()
    status, _, answer = post(url, "", b'{"service": "sqs", "mode": "hang", "seconds": 1}', "/cch/faults")

    assert (status, "moto" in answer["message"]) == (404, True)


# --- clients that hang up ----------------------------------------------------------------------------------------


def test_a_client_that_hangs_up_takes_no_message_with_it(url: str, client: Any) -> None:
    """A triggerer that was killed while it waited: the next one gets the message at once."""
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName="patient")["QueueUrl"]
    body = json.dumps({"QueueUrl": queue, "WaitTimeSeconds": 20}).encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {SQS}ReceiveMessage\r\nContent-Length: {len(body)}\r\n\r\n"
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        connection.sendall(head.encode() + body)
        eventually("the poll", lambda: received_polls(url) >= 1)
    sqs.get_queue_attributes(QueueUrl=queue)  # the server has seen the end of the connection before it answers this

    sqs.send_message(QueueUrl=queue, MessageBody="x")

    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "x"


def received_polls(url: str) -> int:
    with urllib.request.urlopen(f"{url}/cch/calls") as answer:
        found: int = json.load(answer).get("AmazonSQS.ReceiveMessage.ReceiveMessage", 0)
    return found
