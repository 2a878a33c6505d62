"""What the pictures show: instances of the samples in every state, on a stack of their own."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path
from typing import Any

from cch.aws.tables import encode_item
from cch.ledger.figures import Figures
from cch.ledger.rollups import RollupKey, day_of, stored
from cch.runtime.platform import now_ms
from tests.e2e.conftest import TABLE, Stack, eventually, reply_message

ENRICH, CREATE = "import#enrich_consignment", "declaration_communicator#create"
MISSING = {
    "status": "ERROR",
    "payload": {"messages": [{"code": "HS_CODE_MISSING", "summary": "Line 3 has no commodity code"}]},
}
ENRICHED = {"after": "2s", "payload": {"consignmentImportEnrichedId": "enr-20417"}}
NEVER = {"never": True}
PARCELS = 240


class Scenes:
    """Starts instances and waits until each is where the pictures want it; their ids by name."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.ids: dict[str, str] = {}

    def make(self) -> None:
        self._stack.cch("publish", str(Path(__file__).with_name("release_v1.yaml")))
        eventually("the DAG", lambda: self._stack.api("GET", "/dags/release_v1")[0] == 200)
        self._flight()
        self._loop()
        self._in_parallel()
        self._for_a_person()
        self._in_all_states()
        self._orphan()
        self._figures()
        self._incidents()
        self._held()
        self._reached("flight", "WAITING", "Screen")

    def _start(self, name: str, workflow: str, key: str, context: dict[str, Any], answers: dict[str, Any]) -> str:
        instance = self.ids[name] = str(uuid.uuid4())
        self._stack.mock_scenario(instance, {"capabilities": answers})
        return self._stack.start(workflow, context, instance, correlation_id=key)

    def _reached(self, name: str, state: str, node: str) -> None:
        def look() -> bool:
            nodes = self._stack.status(self.ids[name]).get("nodes", ())
            return any(one["name"] == node and one["state"] == state for one in nodes)

        eventually(f"{name} at {node}", look)

    def _flight(self) -> None:
        """A map of which most items are done, some are held and some wait."""
        parcels = [{"parcelId": f"P-{number + 1:04d}", "goods": "phone case"} for number in range(PARCELS)]
        odd = {17: "SUSPICIOUS", 58: "SUSPICIOUS", 131: "SUSPICIOUS"}
        special = [{"branch": f"P-{n:04d}", "payload": {"verdict": verdict}} for n, verdict in odd.items()]
        special += [{"branch": f"P-{n:04d}", **NEVER} for n in (2, 5, 44, 203, 238)]
        screening = [{"after": "1s", "payload": {"verdict": "CLEAR"}}, *special]
        context = {"flightNumber": "LX 138", "parcels": parcels}
        self._start("flight", "parcel_flight_v1", "LX138-0301", context, {"screening#parcel": screening})

    def _loop(self) -> None:
        """A person has corrected something once, and it was not enough."""
        answers = {ENRICH: [MISSING, MISSING], CREATE: [NEVER]}
        instance = self._start(
            "loop", "import_correction_v1", "MEDU7710042", {"consignmentId": "CN-88213", "lines": 4}, answers
        )
        self._reached("loop", "WAITING", "Wait_For_Correction")
        self._stack.cch("event", instance, "--set", 'messages=[{"code": "HS_CODE", "value": "8517.13"}]')
        eventually("the second turn", lambda: len(self._stack.requests(instance)) == 2)
        self._reached("loop", "WAITING", "Wait_For_Correction")

    def _in_parallel(self) -> None:
        """Two branches side by side, and an end."""
        answers = {
            "export#requirements": [{"after": "9s", "payload": {"be_export_requirements": {"documents": ["N380"]}}}],
            "screening#licence": [{"after": "4s", "payload": {"licence_number": "BE-7741"}}],
            "declaration_communicator#submit_export": [{"after": "6s", "payload": {"mrn": "26BE0001A7"}}],
        }
        context = {
            "shipmentId": "SHP-2026-0417", "originCountry": "BE", "destinationCountry": "US",
            "goods": {"description": "Pumps", "packages": 12, "weightKg": 2140.5},
        }  # fmt: skip
        instance = self._start("parallel", "export_be_parallel_v1", "SHP-2026-0417", context, answers)
        eventually("its end", lambda: self._stack.status(instance).get("status") == "completed")

    def _for_a_person(self) -> None:
        for number, (bill, container) in enumerate(
            (("MSCU4410291", "MSCU 441029-1"), ("HLCU2209130", "HLCU 220913-0"))
        ):
            context = {"billOfLading": bill, "container": container, "value": 18500 + number, "perishable": False}
            name = f"person {number}"
            self._start(name, "release_v1", bill, context, {"authority#hold": [{"payload": {"holdReason": "X-ray"}}]})
            self._reached(name, "WAITING", "Decide")

    def _in_all_states(self) -> None:
        waits = {ENRICH: [ENRICHED], CREATE: [NEVER]}
        for bill in ("MAEU5530177", "MEDU7710108", "ONEY9042217"):
            self._start(bill, "import_correction_v1", bill, {"consignmentId": f"CN-{bill[-5:]}"}, waits)
        done = {ENRICH: [ENRICHED], CREATE: [{"payload": {"declarationId": "D-1"}}]}
        for bill in ("MEDU7709981", "CMAU1180452", "MAEU5529300"):
            self._start(bill, "import_correction_v1", bill, {"consignmentId": f"CN-{bill[-5:]}"}, done)
        cancelled = self._start("cancelled", "release_v1", "EGLV1402277", {
            "billOfLading": "EGLV1402277", "container": "EGHU 140227-7", "value": 900, "perishable": True,
        }, {"authority#hold": [NEVER]})  # fmt: skip
        self._reached("cancelled", "WAITING", "Ask_Customs")
        self._cancel(cancelled, "the shipper withdrew it")
        for bill in ("OOLU3300871", "OOLU3300911", "TGHU2290014"):
            self._refused(bill, {"status": "ERROR", "payload": {"messages": [{"code": "UNKNOWN_BILL"}]}})
        self._refused("MSKU9011735", {"status": "ERROR", "payload": {"messages": [{"code": "BAD_TARIFF"}]}})
        self._reached("MAEU5530177", "WAITING", "Create_Declaration")

    def _refused(self, bill: str, answer: dict[str, Any]) -> None:
        context = {"billOfLading": bill, "container": f"{bill[:4]} 330087-1", "value": 12000, "perishable": False}
        failed = self._start("failed", "release_v1", bill, context, {"authority#hold": [answer]})
        eventually("a failure", lambda: self._stack.status(failed).get("status") == "failed")

    def _figures(self) -> None:
        """What a month of instances would have left."""
        workflow = "import_correction_v1"
        digest = self._stack.item(f"INST#{self.ids['loop']}", "META")["definition_digest"]
        now, chance = now_ms(), random.Random(7)
        for day in range(1, 31):
            figures = Figures()
            ends = chance.randint(60, 240) if day % 7 > 1 else chance.randint(5, 30)
            for _ in range(ends):
                _one_of_a_month(figures, chance, day)
            key = RollupKey(workflow, day_of(now - day * 86_400_000), digest)
            self._stack.client("dynamodb").put_item(TableName=TABLE, Item=encode_item(stored(key, figures, 1, [])))

    def _incidents(self) -> None:
        """The dispatcher has counted what failed."""
        path = "/cch/api/v1/incidents"
        eventually("incidents", lambda: '"failed"' in str(self._stack.call("GET", path)[1]).replace("'", '"'))

    def _held(self) -> None:
        """Customs are down: what waits for them is held, all at once."""
        for bill in ("MAEU5530177", "MEDU7710108", "ONEY9042217"):
            self._reached(bill, "WAITING", "Create_Declaration")
        self.ids["held"] = self.ids["ONEY9042217"]
        begun = self._stack.cch(
            "batch", "start", "hold", "--workflow", "import_correction_v1", "--waiting-for", CREATE,
            "--reason", "Customs are down until Monday", "--rate", "10", "--yes", "--json",
        )  # fmt: skip
        self.ids["batch"] = json.loads(begun.stdout)["id"]

    def _cancel(self, instance: str, reason: str) -> None:
        path = f"/cch/api/v1/instances/{instance}/cancel"
        status, answer, _ = self._stack.call("POST", path, {"reason": reason})
        assert status == 200, answer

    def _orphan(self) -> None:
        """A reply that names a request which nobody sent, and two that name nobody at all."""
        for instance, capability in (
            (self.ids["MAEU5530177"], CREATE), (str(uuid.uuid4()), "screening#licence"), (str(uuid.uuid4()), CREATE),
        ):  # fmt: skip
            reply = reply_message(instance, capability, {"declarationId": "D-77"}, inReplyTo=str(uuid.uuid4()))
            message = self._stack.send("orchestrator-reply-queue", reply)
            self._stack.fate("orchestrator-reply-queue", message)


def _one_of_a_month(figures: Figures, chance: random.Random, day: int) -> None:
    """One instance of the sample for corrections: most need none, some two; a bad day shows."""
    whole, failing = 0, chance.random() < (0.2 if day in (9, 10) else 0.03)
    turns = 1 + (chance.random() < 0.3) + (chance.random() < 0.1)

    def visit(node: str, way: str, target: str, median: float = 0, *, failed: bool = False) -> None:
        nonlocal whole
        each = figures.node(node)
        each.visits += 1
        each.failed += failed
        if median:
            took = round(chance.lognormvariate(0, 0.8) * median * 1000)
            each.took.add(took)
            whole += took
        if target:
            figures.ways[node, way, target] += 1

    for turn in range(turns):
        again = turn < turns - 1
        visit("Enrich_Consignment", "on_response", "Check_Enrichment", 95)
        visit("Check_Enrichment", *(("ERROR", "Wait_For_Correction") if again else ("SUCCESS", "Create_Declaration")))
        if again:
            visit("Wait_For_Correction", "on_event", "Clear_Status", 5400)
            visit("Clear_Status", "on_success", "Enrich_Consignment")
    way, target, end = ("on_failure", "Log_Failure", "Failed") if failing else ("on_response", "Done", "Done")
    visit("Create_Declaration", way, target, 240, failed=failing)
    if failing:
        visit("Log_Failure", "on_success", "Failed")
    visit(end, "", "", failed=failing)
    figures.ended["failed" if failing else "completed"] += 1
    if not failing:
        figures.took.add(whole)
