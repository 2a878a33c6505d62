"""Alarms for what a person must look at, and a dashboard."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from cch_infra.functions import Functions
from cch_infra.messaging import Messaging
from cch_infra.shared import INDEXES, Names

_FIVE_MINUTES = cdk.Duration.minutes(5)
#: Seconds that a command or a reply may wait: the router takes one within a second.
_OLD = 300


class Alarms(Construct):
    """Alarms that all tell one topic; ``all`` of them, for a dashboard."""

    def __init__(self, scope: Construct, names: Names, topic: sns.ITopic) -> None:
        super().__init__(scope, "Alarms")
        self._names = names
        self._action = actions.SnsAction(topic)
        self.all: list[cloudwatch.IAlarm] = []

    def add(self, name: str, metric: cloudwatch.IMetric, what_to_do: str, threshold: float = 1) -> None:
        """Alarm when the metric reaches the threshold within five minutes; no data is fine."""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._names.prefix}{name}",
            alarm_description=what_to_do,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        self.all.append(alarm)


class Observation(Construct):
    """``topic`` of alarms; dead letters, old messages, failing and throttled functions, throttled table."""

    def __init__(
        self, scope: Construct, names: Names, messaging: Messaging, functions: Functions, alarm_email: str
    ) -> None:
        super().__init__(scope, "Observation")
        self._names, self._messaging, self._functions = names, messaging, functions
        self.topic = sns.Topic(self, "Topic", topic_name=f"{names.prefix}alarms", enforce_ssl=True)
        if alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(alarm_email))
        self.alarms = Alarms(self, names, self.topic)
        self._watch_queues()
        self._watch_functions()
        self._watch_table()
        self._dashboard()

    def _short(self, name: str) -> str:
        return name.removeprefix(self._names.prefix)

    def _watch_queues(self) -> None:
        for queue in self._messaging.dead:
            self.alarms.add(
                f"dead-letters-{self._short(_queue_name(queue))}",
                queue.metric_approximate_number_of_messages_visible(period=_FIVE_MINUTES, statistic="Maximum"),
                "Somebody must look at these messages: docs/operations.md, fates of messages.",
            )
        for queue in (self._messaging.commands, self._messaging.replies):
            self.alarms.add(
                f"old-messages-{self._short(_queue_name(queue))}",
                queue.metric_approximate_age_of_oldest_message(period=_FIVE_MINUTES, statistic="Maximum"),
                "Nobody takes messages: is a triggerer running, and the DAG cch_commands not paused?",
                threshold=_OLD,
            )

    def _watch_functions(self) -> None:
        for function in self._functions.all:
            name = function.node.id
            self.alarms.add(
                f"errors-{name}",
                function.metric_errors(period=_FIVE_MINUTES),
                "The function failed: its log group has the reason.",
            )
            self.alarms.add(
                f"throttles-{name}",
                function.metric_throttles(period=_FIVE_MINUTES),
                "Lambda refused calls: look at the account's concurrency.",
            )

    def _watch_table(self) -> None:
        """Reads and writes of the table, and writes to its indexes, which hold back the table's own."""
        refused = {
            "reads": _throttled(self._names.table, "ReadThrottleEvents"),
            "writes": _throttled(self._names.table, "WriteThrottleEvents"),
            **{name: _throttled(self._names.table, "WriteThrottleEvents", name) for name in INDEXES},
        }
        self.alarms.add(
            "throttles-ledger",
            cloudwatch.MathExpression(
                expression=" + ".join(f"FILL({name}, 0)" for name in refused),
                using_metrics=refused,
                label="throttled",
                period=_FIVE_MINUTES,
            ),
            "DynamoDB throttles the ledger: all goes on later; look at the table's limits.",
        )

    def _dashboard(self) -> None:
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"{self._names.prefix}dashboard")
        both = (self._messaging.commands, self._messaging.replies)
        table = {"TableName": self._names.table}
        board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=self.alarms.all, width=24, height=6))
        board.add_widgets(
            _graph(
                "Age of the oldest message (s)", [queue.metric_approximate_age_of_oldest_message() for queue in both]
            ),
            _graph("Messages taken", [queue.metric_number_of_messages_deleted() for queue in both]),
            _graph("Requests sent", [queue.metric_number_of_messages_sent() for queue in self._messaging.requests]),
        )
        dead = [queue.metric_approximate_number_of_messages_visible() for queue in self._messaging.dead]
        units = [
            cloudwatch.Metric(namespace="AWS/DynamoDB", metric_name=name, dimensions_map=table, statistic="Sum")
            for name in ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
        ]
        board.add_widgets(
            _graph("Dead letters", dead),
            _graph("Ledger: units", units),
            _graph("Functions: duration (ms)", [function.metric_duration() for function in self._functions.all]),
        )


def _queue_name(queue: cdk.Resource) -> str:
    """The name that was asked for; the attribute itself is a reference that CloudFormation fills in."""
    return str(queue.node.default_child.queue_name)  # type: ignore[union-attr]


def _throttled(table: str, metric: str, index: str = "") -> cloudwatch.Metric:
    dimensions = {"TableName": table, **({"GlobalSecondaryIndexName": index} if index else {})}
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB", metric_name=metric, dimensions_map=dimensions, statistic="Sum", period=_FIVE_MINUTES
    )


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8)
