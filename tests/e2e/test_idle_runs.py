"""The scheduler leaves out a run that only waits, and sees at once when it goes on."""

from __future__ import annotations

import time
import uuid

from tests.e2e.conftest import Stack
from tests.e2e.test_language import event, waits_at


def looked_at(stack: Stack, instance: str) -> str:
    _, run = stack.api("GET", f"/dags/import_correction_v1/dagRuns/{instance}")
    return str(run["last_scheduling_decision"])


def test_a_waiting_run_is_not_examined_until_something_happens(stack: Stack) -> None:
    """The time of the scheduler's last decision stands still; an event brings the run to its end as quickly as ever."""
    instance = str(uuid.uuid4())
    enrich = [{"status": "ERROR", "payload": {"messages": [{"code": "HITL"}]}}, {"payload": {}}]
    stack.mock_scenario(instance, {"capabilities": {"import#enrich_consignment": enrich}})
    stack.start("import_correction_v1", {"consignmentId": "c-1"}, instance)
    stack.eventually("the wait for a person", lambda: waits_at(stack, instance, "Wait_For_Correction"))

    def stands_still() -> bool:
        before = looked_at(stack, instance)
        time.sleep(4.0)  # several rounds of the scheduler
        return looked_at(stack, instance) == before

    stack.eventually("a round without this run", stands_still)
    before = looked_at(stack, instance)
    stack.send("orchestrator-command-queue", event(instance, {"messages": []}))

    assert stack.finished(instance)["status"] == "completed"
    assert stack.run_ended("import_correction_v1", instance) == "success"
    assert looked_at(stack, instance) != before
