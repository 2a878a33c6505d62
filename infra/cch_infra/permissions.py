"""What Airflow may do: the program's own calls, on the resources of this environment, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import aws_iam as iam
from constructs import Construct

from cch_infra.functions import Functions
from cch_infra.messaging import Messaging
from cch_infra.reasons import excuse, objects
from cch_infra.shared import BY_DIGEST, INDEXES, UNADDRESSED, Names
from cch_infra.storage import Storage

#: Where the ledger puts what is too large for it (cch.ledger.payloads): of an instance, and of nobody.
_PAYLOADS = "payloads/"
#: Where instances may be archived (CCH_ARCHIVE=s3://<event data bucket>/archive); another bucket is allowed by hand.
_ARCHIVE = "archive/"


class Permissions(Construct):
    """``policy``: to be attached to the role that Airflow runs with."""

    def __init__(
        self, scope: Construct, names: Names, storage: Storage, messaging: Messaging, functions: Functions
    ) -> None:
        super().__init__(scope, "Permissions")
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            managed_policy_name=f"{names.prefix}airflow-policy",
            description="What CCH needs of the role that Airflow runs with",
            statements=[*_ledger(storage), *_queues(messaging), *_objects(storage), *_tasks(functions)],
        )
        excuse(
            self.policy,
            "AwsSolutions-IAM5",
            "Objects are named at run time; the wildcards stay within this environment's own buckets and folders.",
            (
                objects(storage.definitions, "*"),
                objects(storage.eventdata, "*"),
                objects(storage.definitions, f"{BY_DIGEST}*"),
                *(objects(storage.eventdata, f"{folder}*") for folder in (_PAYLOADS, UNADDRESSED, _ARCHIVE)),
            ),
        )


def allow(sid: str, service: str, actions: Iterable[str], resources: Iterable[str]) -> iam.PolicyStatement:
    """Actions of one service, without its prefix, on resources."""
    return iam.PolicyStatement(
        sid=sid, actions=[f"{service}:{action}" for action in actions], resources=list(resources)
    )


def _ledger(storage: Storage) -> Iterable[iam.PolicyStatement]:
    table = storage.table.attr_arn
    actions = ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")
    yield allow("Ledger", "dynamodb", actions, [table])
    yield allow("Lists", "dynamodb", ["Query"], [f"{table}/index/{name}" for name in INDEXES])


def _queues(messaging: Messaging) -> Iterable[iam.PolicyStatement]:
    taken = [queue.queue_arn for queue in (messaging.commands, messaging.replies)]
    sent = [queue.queue_arn for queue in (*messaging.requests, *messaging.rejected)]
    yield allow("Take", "sqs", ["ReceiveMessage", "DeleteMessage", "GetQueueUrl", "GetQueueAttributes"], taken)
    yield allow("Tell", "sns", ["Publish"], [messaging.lifecycle.topic_arn])
    yield allow("Send", "sqs", ["SendMessage", "GetQueueUrl", "GetQueueAttributes"], sent)


def _objects(storage: Storage) -> Iterable[iam.PolicyStatement]:
    definitions, eventdata = storage.definitions, storage.eventdata
    # Without it S3 says "forbidden" where "there is no such object" is meant.
    yield allow("Find", "s3", ["ListBucket"], [definitions.bucket_arn, eventdata.bucket_arn])
    yield allow("Read", "s3", ["GetObject"], [definitions.arn_for_objects("*"), eventdata.arn_for_objects("*")])
    folders = (_PAYLOADS, UNADDRESSED, _ARCHIVE)
    written = [definitions.arn_for_objects(f"{BY_DIGEST}*"), *(eventdata.arn_for_objects(f"{f}*") for f in folders)]
    yield allow("Write", "s3", ["PutObject"], written)
    # The payloads of an instance go with it. What nobody's messages brought goes by the bucket's lifecycle rule.
    yield allow("Expire", "s3", ["DeleteObject"], [eventdata.arn_for_objects(f"{_PAYLOADS}*")])


def _tasks(functions: Functions) -> Iterable[iam.PolicyStatement]:
    if functions.tasks:
        yield allow("Tasks", "lambda", ["InvokeFunction"], [task.function_arn for task in functions.tasks])
