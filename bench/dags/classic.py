"""The classic way, by hand: one SqsPublish and one deferrable SqsSensor a request.

Flattered: each node has a reply queue of its own and takes any reply, so that no poller hides another's message;
a correct version would have to filter, and would lose replies to visibility timeouts. It polls every second instead
of every minute (the operator's default).
"""

import json
import os
from datetime import UTC, datetime, timedelta

from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import chain

#: The mock answers at once, so that a reply that has not come by then has been lost.
_ASKS_AGAIN = timedelta(minutes=1)


class QuickSqsSensor(SqsSensor):
    """Polls every second; the operator itself offers no way to change its trigger's 60 s.

    A retry sends the request again: the try before may have taken its reply, and the queue has deleted it. Then it may
    also have taken somebody else's, who waits in vain: whoever has waited for a minute asks again.
    """

    template_fields = (*SqsSensor.template_fields, "request_queue", "request")

    def __init__(self, *, request_queue: str, request: str, **kwargs):
        super().__init__(**kwargs)
        self.request_queue = request_queue
        self.request = request

    def execute(self, context):
        if context["ti"].try_number > 1:
            SqsHook(aws_conn_id=self.aws_conn_id).send_message(queue_url=self.request_queue, message_body=self.request)
        trigger = SqsSensorTrigger(
            sqs_queue=self.sqs_queue, max_messages=1, wait_time_seconds=1, waiter_delay=1, aws_conn_id=self.aws_conn_id
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=_ASKS_AGAIN)

    def resume_execution(self, next_method, next_kwargs, context):
        """As any operator does: a sensor makes a timeout an error that no retry follows."""
        return BaseOperator.resume_execution(self, next_method, next_kwargs, context)


_QUEUES = f"{os.environ.get('AWS_ENDPOINT_URL', '')}/123456789012/cch-dev-local"


def _body(capability: str, reply_queue: str) -> str:
    header = {
        "workflowInstanceId": "{{ run_id }}",
        "correlationId": "{{ run_id }}",
        "commandId": f"{{{{ run_id }}}}-{reply_queue}",
        "replyToQueueUrl": f"{_QUEUES}-{reply_queue}",
        "source": "classic",
        "timestamp": datetime(2026, 1, 5, tzinfo=UTC).isoformat(),
    }
    return json.dumps({"header": header, "body": {"capability_id": capability, "context": {}}})


def _ask(number: int) -> tuple[SqsPublishOperator, QuickSqsSensor]:
    queue = f"bench-replies-{number}"
    to, body = f"{_QUEUES}-capability-import-request-queue", _body("import#enrichment", queue)
    publish = SqsPublishOperator(task_id=f"publish_{number}", sqs_queue=to, message_content=body)
    wait = QuickSqsSensor(
        task_id=f"wait_{number}", sqs_queue=f"{_QUEUES}-{queue}", request_queue=to, request=body, deferrable=True
    )
    return publish, wait


#: What a run of the classic way needs to survive a busy API server and reply queue.
_RETRIES = {"retries": 20, "retry_delay": timedelta(seconds=1)}

with DAG(
    "bench_classic", schedule=None, max_active_runs=1000, max_active_tasks=1000, is_paused_upon_creation=False,
    default_args=_RETRIES,
):  # fmt: skip
    chain(
        *_ask(1),
        BranchPythonOperator(task_id="condition", python_callable=lambda: "set_state"),
        PythonOperator(task_id="set_state", python_callable=lambda: {"stage": "enriched"}),
        *_ask(2),
        EmptyOperator(task_id="end"),
    )
