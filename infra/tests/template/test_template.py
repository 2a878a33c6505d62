"""What the templates promise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Match, Template

from cch_infra.choices import Choices
from cch_infra.shared import FAILED, INDEXES, Names, table_specification

PREFIX = "cch-dev-local-"


@pytest.fixture(scope="module")
def template(dev: Path) -> Template:
    return Template.from_string((dev / "cch-dev-local.template.json").read_text())


@pytest.fixture(scope="module")
def production(prod: Path) -> Template:
    return Template.from_string((prod / "cch-prod-local.template.json").read_text())


@pytest.fixture(scope="module")
def managed(prod: Path) -> Template:
    return Template.from_string((prod / "cch-prod-local-airflow.template.json").read_text())


def properties(template: Template, kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template.find_resources(kind).values()]


def named(template: Template, kind: str, key: str) -> dict[str, dict[str, Any]]:
    return {each[key]: each for each in properties(template, kind)}


def test_every_bucket_is_private_encrypted_and_versioned(template: Template) -> None:
    """Nobody outside sees an object, and none is lost by overwriting it."""
    buckets = properties(template, "AWS::S3::Bucket")

    assert len(buckets) == 3
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert bucket["BucketEncryption"]


def test_only_what_belongs_to_no_instance_goes_by_its_age(template: Template) -> None:
    """The payloads of an instance are deleted with it, by the program, which therefore may do so."""
    (eventdata,) = (bucket for bucket in properties(template, "AWS::S3::Bucket") if "eventdata" in bucket["BucketName"])
    rules = eventdata["LifecycleConfiguration"]["Rules"]

    assert [rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule] == ["unaddressed/"]


def test_the_table_has_the_program_s_form(template: Template) -> None:
    """Keys, indexes and TTL as the program declares them; recovery and encryption besides."""
    form = table_specification(f"{PREFIX}workflow-state-table")

    template.has_resource_properties(
        "AWS::DynamoDB::Table",
        {
            **form,
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
        },
    )


def test_every_queue_that_is_worked_off_has_a_dead_letter_queue(template: Template) -> None:
    """A message that nobody can take ends where an alarm looks, and never without an end."""
    queues = named(template, "AWS::SQS::Queue", "QueueName")
    names = Names()
    capabilities = [
        names.capability_queue(name) for name in ("import", "export", "screening", "declaration-communicator")
    ]
    worked_off = [names.command_queue, names.reply_queue, names.fallback_queue, *capabilities]
    rejected = [names.rejected_queue(names.command_queue), names.rejected_queue(names.reply_queue)]

    assert set(queues) == {*worked_off, *map(names.dead_letter_queue, worked_off), *rejected}
    for name in worked_off:
        assert queues[name]["RedrivePolicy"]["maxReceiveCount"] == 100
    assert all(queue["MessageRetentionPeriod"] == 14 * 24 * 3600 for queue in queues.values())
    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())


def test_capabilities_are_chosen(production: Template) -> None:
    """Only the services that have been named have a queue, beside the fallback."""
    queues = named(production, "AWS::SQS::Queue", "QueueName")

    requests = {name for name in queues if name.endswith("-request-queue")}
    assert requests == {
        "cch-prod-local-capability-import-request-queue",
        "cch-prod-local-capability-fallback-request-queue",
    }


def test_the_mock_answers_every_request_queue(template: Template, production: Template) -> None:
    """One event source a queue, which reports failed messages one by one; none in production."""
    template.resource_properties_count_is(
        "AWS::Lambda::EventSourceMapping", {"FunctionResponseTypes": ["ReportBatchItemFailures"]}, 5
    )
    production.resource_count_is("AWS::Lambda::EventSourceMapping", 0)


def test_alarms_look_at_what_a_person_must_know(template: Template, production: Template) -> None:
    """Dead letters of every queue, old commands and replies, functions, table; all tell one topic."""
    alarms = named(template, "AWS::CloudWatch::Alarm", "AlarmName")

    kinds = {re.sub(r"^cch-dev-local-(dead-letters|old-messages|errors|throttles)-.*", r"\1", name) for name in alarms}
    assert kinds == {"dead-letters", "old-messages", "errors", "throttles"}
    assert sum("dead-letters" in name for name in alarms) == 9
    assert {f"{PREFIX}old-messages-orchestrator-{kind}-queue" for kind in ("command", "reply")} < set(alarms)
    assert all(alarm["AlarmActions"] for alarm in alarms.values())
    # The table, and each of its indexes: one that is throttled holds back the table's own writes.
    assert len(alarms[f"{PREFIX}throttles-ledger"]["Metrics"]) == len(INDEXES) + 3
    production.has_resource_properties(
        "AWS::SNS::Subscription", {"Protocol": "email", "Endpoint": "on-call@example.com"}
    )


def test_failed_workflows_are_counted_by_what_the_program_logs(managed: Template) -> None:
    """The words are the program's own, in the log group where MWAA puts the logs of tasks."""
    managed.has_resource_properties(
        "AWS::Logs::MetricFilter",
        {"FilterPattern": f'"{FAILED}"', "LogGroupName": "airflow-cch-prod-local-airflow-Task"},
    )
    managed.has_resource_properties("AWS::CloudWatch::Alarm", {"AlarmName": "cch-prod-local-failed-workflows"})


def test_the_sample_s_tasks_have_three_runtimes(template: Template) -> None:
    """Node.js, Python and a container image; Airflow may call each of them, by the name that the program uses."""
    functions = named(template, "AWS::Lambda::Function", "FunctionName")
    tasks = {name.removeprefix(PREFIX): each for name, each in functions.items() if "orchestra" in name}

    assert {name: each.get("Runtime", each.get("PackageType")) for name, each in tasks.items()} == {
        "orchestra-b1": "nodejs22.x", "orchestra-b3": "python3.12", "orchestra-c": "Image",
    }  # fmt: skip


def test_the_policy_allows_the_program_s_own_calls_only(template: Template) -> None:
    """No action with a wildcard, no resource outside this environment, nothing that deletes a resource."""
    (policy,) = properties(template, "AWS::IAM::ManagedPolicy")
    statements = policy["PolicyDocument"]["Statement"]
    allowed = {action for each in statements for action in _many(each["Action"])}

    assert {each["Effect"] for each in statements} == {"Allow"}
    expected = {
        "dynamodb": "GetItem BatchGetItem PutItem UpdateItem DeleteItem Query",
        "sqs": "ReceiveMessage DeleteMessage SendMessage GetQueueUrl GetQueueAttributes",
        "s3": "ListBucket GetObject PutObject DeleteObject",
        "lambda": "InvokeFunction",
        "sns": "Publish",
    }
    assert allowed == {f"{service}:{action}" for service, actions in expected.items() for action in actions.split()}
    resources = [resource for each in statements for resource in _many(each["Resource"])]
    assert all(isinstance(resource, dict) for resource in resources), "every resource is one of this stack's"


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_production_keeps_its_data(template: Template, production: Template) -> None:
    """Buckets and the table outlive the stack in production, and go with it in development."""
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        production.all_resources(kind, {"DeletionPolicy": "Retain"})
        template.all_resources(kind, {"DeletionPolicy": "Delete"})


def test_managed_airflow_runs_in_private_subnets(managed: Template) -> None:
    """The environment knows its owner, and its role can be taken by this environment alone."""
    managed.has_resource_properties(
        "AWS::MWAA::Environment",
        {
            "AirflowVersion": "3.3.1",
            "SourceBucketArn": Match.any_value(),
            "AirflowConfigurationOptions": Match.object_like({"cch.env": "prod", "cch.owner": "local"}),
        },
    )
    managed.resource_count_is("AWS::EC2::NatGateway", 1)
    (role,) = (each for each in properties(managed, "AWS::IAM::Role") if each.get("RoleName"))
    for statement in role["AssumeRolePolicyDocument"]["Statement"]:
        assert set(statement["Condition"]) == {"StringEquals", "ArnLike"}


def test_the_same_sources_make_the_same_template(dev: Path) -> None:
    """The package of the mock has nothing of this machine in it, so that nothing is deployed again without need."""
    packed = [asset for asset in dev.glob("asset.*") if (asset / "capability_mock").is_dir()]

    assert len(packed) == 1
    assert {path.name for path in packed[0].iterdir()} == {"capability_mock", "yaml", "_yaml"}


@pytest.mark.parametrize("context", [{"mwaa": "perhaps"}, {"owner": "UPPER"}])
def test_a_choice_that_cannot_be_is_refused(context: dict[str, str]) -> None:
    """A wrong value is an error that names itself, and never the default."""
    app = cdk.App(context=context)

    with pytest.raises(ValueError, match=next(iter(context.values()))):
        Choices.of(app.node)
