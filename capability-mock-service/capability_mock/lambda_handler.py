"""The mock as an AWS Lambda function behind the capability queues (SQS event source).

Settings (environment): `CCH_MOCK_SCENARIO`, a path in the package or the YAML itself; `CCH_MOCK_CONTRACTS`, a
folder of contracts in the package; `CCH_ENV`, `CCH_OWNER`. The event source mapping needs
`ReportBatchItemFailures`. Lambda deletes a request when the handler did not report it, so after its reply was
accepted by SQS; a reply that could not be sent is reported and its request comes again.

What differs from the service: a delay is given to SQS (`DelaySeconds`), whole seconds, at most 900: a
longer one is cut to that and logged. Calls are counted and command ids remembered per execution
environment: give the function a reserved concurrency of 1 where a script has more than one answer. A reply
that is to be out of order is the last of its batch.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capability_mock.contracts import Contracts
from capability_mock.desk import Decision, Desk
from capability_mock.messages import RequestError
from capability_mock.names import Names
from capability_mock.queues import Outgoing, Queues, connect
from capability_mock.record import Record
from capability_mock.scenario import Scenario, load_scenario, parse_scenario
from capability_mock.script import Scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)

#: Seconds SQS can delay a message (quota).
MOST_DELAY = 900

#: Kept in a warm execution environment, so that command ids are remembered there. Lambda keeps no more of
#: them than one a request; the record is small because nobody can read it.
RECORD_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mock:
    desk: Desk
    queues: Queues
    setting: str


_mock: _Mock | None = None


def handler(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Answers the requests of one SQS event; returns `{"batchItemFailures": [{"itemIdentifier": …}]}`.

    Raises ScenarioError when the scenario is bad: the whole batch then comes again.
    """
    mock = _warm()
    failures: list[str] = []
    decisions: list[tuple[str, Decision, str]] = []
    for message in event.get("Records", ()):
        try:
            trace = message.get("messageAttributes", {}).get("traceparent", {}).get("stringValue", "")
            decisions.append((message["messageId"], mock.desk.decide(message["body"]), trace))
        except RequestError as error:
            log.warning("not a request; dropped: %s", error)
    decisions.sort(key=lambda item: item[1].out_of_order)
    by_queue: dict[str, list[tuple[str, Outgoing]]] = {}
    for message_id, decision, trace in decisions:
        if decision.reply is not None:
            outgoing = Outgoing(body=decision.reply, delay=_delay(decision), traceparent=trace)
            by_queue.setdefault(decision.request.reply_queue, []).extend([(message_id, outgoing)] * decision.sendings)
    for queue, copies in by_queue.items():
        failed = mock.queues.send(queue, [outgoing for _, outgoing in copies])
        failures += [copies[index][0] for index in failed]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in sorted(set(failures))]}


def scenario_from(setting: str) -> Scenario:
    """The scenario that `CCH_MOCK_SCENARIO` means: nothing, the YAML itself, or a path. Raises
    ScenarioError.
    """
    if not setting.strip():
        return Scenario()
    if "\n" in setting or ": " in setting or setting.lstrip().startswith("{"):
        return parse_scenario(setting, file="CCH_MOCK_SCENARIO")
    return load_scenario(setting)


def _warm() -> _Mock:
    """The mock of this execution environment; a changed setting makes a new one."""
    global _mock  # noqa: PLW0603 - what Lambda offers to keep something between two calls
    setting = os.environ.get("CCH_MOCK_SCENARIO", "")
    if _mock is None or _mock.setting != setting:
        names = Names.from_environment(os.environ)
        desk = Desk(
            scripts=Scripts(scenario_from(setting)),
            record=Record(requests_kept=RECORD_KEPT),
            names=names,
            clock=time.monotonic,
            contracts=Contracts(Path(folder) if (folder := os.environ.get("CCH_MOCK_CONTRACTS")) else None),
        )
        _mock = _Mock(desk=desk, queues=connect(names), setting=setting)
    return _mock


def _delay(decision: Decision) -> int:
    seconds = max(0, round(decision.ready_at - time.monotonic()))
    if seconds > MOST_DELAY:
        log.warning("a delay of %d s is cut to the %d s that SQS can delay", seconds, MOST_DELAY)
    return min(seconds, MOST_DELAY)
