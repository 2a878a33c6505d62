"""kill -9, and everything still comes to its end, once."""

from __future__ import annotations

import signal
import uuid

from cch.stack.local import AIRFLOW_SERVICES
from tests.e2e.conftest import Stack

CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}
WORKFLOW = "import_vn_memphis_v1"
#: Instances with an open request when the blow falls.
MANY = 12


def start_many_that_wait(stack: Stack) -> list[str]:
    instances = [str(uuid.uuid4()) for _ in range(MANY)]
    slow = {"capabilities": {"import#enrichment": [{"after": "12s"}]}}
    for instance in instances:
        stack.mock_scenario(instance, slow)
        stack.start(WORKFLOW, CONTEXT, instance)
    stack.eventually("all requests at the mock", lambda: all(stack.requests(instance) for instance in instances))
    return instances


def assert_all_once(stack: Stack, instances: list[str]) -> None:
    for instance in instances:
        done = stack.finished(instance)
        assert done["status"] == "completed", done
        assert done["visited"] == ["Prepare_Import_Enrichment", "Process_Import_Enrichment_Response", "End_Workflow"]
        assert len({request["commandId"] for request in stack.requests(instance)}) == 1
        assert stack.run_ended(WORKFLOW, instance) == "success"
    answer = stack.cch("ledger", "check", check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_kill_the_triggerer(stack: Stack) -> None:
    """Requests are open, the triggerer dies, replies come; the stack starts another one, which finishes all."""
    instances = start_many_that_wait(stack)

    before = stack.local.processes.pid("triggerer")
    stack.local.processes.signal("triggerer", signal.SIGKILL)
    stack.eventually("another triggerer", lambda: stack.local.processes.pid("triggerer") not in (None, before))

    assert_all_once(stack, instances)


def test_kill_the_whole_of_airflow(stack: Stack) -> None:
    """Scheduler, triggerer, DAG processor and API server die at once; after a restart every instance completes."""
    instances = start_many_that_wait(stack)

    stack.local.processes.stop(AIRFLOW_SERVICES, signal.SIGKILL)
    stack.local.start(lambda _line: None)

    assert_all_once(stack, instances)
