"""``cch ledger check``: a ledger that balances, and one finding for every way to doctor it."""

from __future__ import annotations

import asyncio
import functools
import json

import pytest
from cli_office import reply_to

from cch.identity import Box
from cch.ledger.audit import audit
from cch.ledger.records import MessageRecord
from cch.ledger.store import Change
from cch.messaging.queue import Received
from cch.runtime.inspection import Inspector


@pytest.fixture
def findings(office):
    """What the audit finds now, without its pause."""

    def look():
        async def work(platform):
            result = await audit(platform.ledger, Inspector(platform).plan, pause=0)
            return [(finding.where, finding.what) for finding in result.findings]

        return office.do(work)

    return look


@pytest.fixture
def doctor(office):
    """Changes attributes of the one item whose PK begins so; None removes."""

    def change(prefix, sk=None, **attributes):
        async def work():
            items = [i for i in await office.store.scan(prefix) if sk is None or i["SK"].startswith(sk)]
            assert len(items) == 1, items
            key = (items[0]["PK"], items[0]["SK"])
            setting = {name: value for name, value in attributes.items() if value is not None}
            removing = [name for name, value in attributes.items() if value is None]
            await office.store.update(key, Change(set=setting, remove=removing))
            return key[0]

        return asyncio.run(work())

    return change


def reply_message(office):
    """PK of the reply's message: the command's is the other one."""
    items = asyncio.run(office.store.scan("MSG#"))
    return next(item["PK"] for item in items if item["kind"] == "ASYNC_RESP")


def delete(office, pk, sk="-"):
    asyncio.run(office.store.delete((pk, sk)))


def test_a_clean_ledger_balances(office, cch, findings):
    """After a run, and during one, nothing is found; every message is counted once."""
    office.start("run-1")
    del office.answers["import#enrichment"]
    office.start("run-2", until="waiting")

    text, data = cch("ledger", "check"), json.loads(cch("ledger", "check", "--json").stdout)

    assert findings() == []
    assert text.exit_code == 0
    assert "the ledger balances: 3 messages received" in text.stdout
    assert data["messages"] == {"received": 3, "matched": 3}
    assert data["requests"] == {"answered": 1, "open": 1}
    assert data["instances"] == {"completed": 1, "running": 1}
    assert data["ok"] is True


def test_an_empty_ledger_balances(office, cch):
    """Nothing received is no fault."""
    assert cch("ledger", "check").exit_code == 0


def test_findings_fail_and_say_how_to_mend(office, cch, monkeypatch, doctor):
    """Exit code 1, as a table for people and as JSON for programs."""
    office.start("run-1")
    doctor(reply_message(office), fate="lost")
    monkeypatch.setattr("cch.cli.auditing.audit", functools.partial(audit, pause=0))

    text, data = cch("ledger", "check"), cch("ledger", "check", "--json")

    found = json.loads(data.stdout)
    assert (text.exit_code, data.exit_code) == (1, 1)
    assert "how to mend" in text.stdout
    assert "does not balance" in text.stderr
    assert found["ok"] is False
    assert all(finding["mend"] for finding in found["findings"])


def test_a_fate_that_does_not_exist(office, findings, doctor):
    """A message outside all sums is found."""
    office.start("run-1")
    key = doctor(reply_message(office), fate="lost")

    assert (key, "the message has the fate 'lost', which does not exist: it is in no sum") in findings()


def test_a_matched_reply_without_its_request(office, findings):
    """The message points at a request that is gone."""
    office.start("run-1")
    key = asyncio.run(office.store.scan("REQ#"))[0]["PK"]
    delete(office, key)

    ((where, what),) = findings()
    assert where == reply_message(office)
    assert "which is not there" in what


def test_a_matched_reply_that_its_request_does_not_know(office, findings, doctor):
    """The two point at different partners: both sides are found."""
    office.start("run-1")
    doctor("REQ#", answered_by="MSG#queue#other")

    found = findings()

    assert [where[:4] for where, _ in found] == ["MSG#", "REQ#"]
    assert "answered by MSG#queue#other" in found[0][1]
    assert "is not there and does not point back" in found[1][1]


def test_an_answered_request_whose_message_is_something_else(office, findings, doctor):
    """The message exists, but says that it was late."""
    office.start("run-1")
    doctor(reply_message(office), fate="late")

    ((where, what),) = findings()
    assert where.startswith("REQ#")
    assert "is late and does not point back" in what


def test_an_answer_that_nobody_used(office, findings):
    """The region has left, but none of its outcomes cites the answered request."""
    office.start("run-1")
    delete(office, "RGN#run-1#-#Enrich", "00000001")

    ((where, what),) = findings()
    assert where.startswith("REQ#")
    assert "region Enrich has ended and no outcome used the answer" in what


def test_an_answer_to_an_earlier_attempt_is_used_by_the_later_one(office, findings):
    """A retry leaves answered requests behind whose visit went on: no finding."""
    from cli_office import ENRICH

    retried = ENRICH.replace("    on_response: Mark\n", "    on_response: Mark\n    retry: {max_attempts: 2}\n")
    office.publish("enrich_v1.yaml", retried)
    office.answers["import#enrichment"] = ("ERROR", {"messages": [{"code": "X"}]})
    office.start("run-1")

    requests = asyncio.run(office.store.scan("REQ#"))
    assert [request["state"] for request in requests] == ["answered", "answered"]
    assert findings() == []


def test_an_answer_that_a_live_region_may_still_use(office, findings):
    """Without an exit the region lives: the answer may be committed any moment."""
    office.start("run-1")
    delete(office, "RGN#run-1#-#Enrich", "00000001")
    delete(office, "INST#run-1", "EXIT#Enrich")

    assert findings() == []


def test_an_open_request_of_an_ended_instance(office, findings, doctor):
    """Nobody waits for it."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    doctor("INST#run-1", "META", status="failed", live=None, ended=1)

    ((where, what),) = findings()
    assert where.startswith("REQ#")
    assert what == "the request is open, but its instance run-1 has ended"


def test_a_pointer_that_forgot_to_close(office, findings, doctor):
    """The box says open, the request says answered: the next reply of that source would find two."""
    office.start("run-1")
    doctor("BOX#run-1", "REQ#", state="open")

    ((where, what),) = findings()
    assert where.startswith("BOX#run-1#- / REQ#import#enrichment#")
    assert "is open, but it is answered" in what


def test_a_redelivered_reply_closes_the_pointer_that_was_forgotten(office, findings, doctor):
    """The router died between the message's fate and the pointer: SQS delivers again, and the box is right."""
    office.start("run-1")
    doctor("BOX#run-1", "REQ#", state="open")
    _, queue, message_id = reply_message(office).split("#")
    body = reply_to(office.sent[0], "SUCCESS", {})
    again = Received(queue=queue, message_id=message_id, receipt="r", body=body, sent=1)

    office.do(lambda platform: platform.router.intake.handle([again]))

    assert findings() == []


@pytest.mark.parametrize("fate", ["held", "claimed"])
def test_a_reply_that_waits_in_an_ended_instance(office, findings, fate):
    """Held or claimed messages must not outlive their instance."""
    office.start("run-1")
    record = MessageRecord(
        key="MSG#replies#early", fate="held", kind="ASYNC_RESP", reason="", instance="run-1", source="x", branch="",
        command_id="c", received=1, claimed_for="", body="{}",
    )  # fmt: skip
    asyncio.run(office.ledger.messages.hold(record, Box(record.instance)))
    if fate == "claimed":
        asyncio.run(office.ledger.messages.claim(record, "some-request"))

    assert findings() == [("MSG#replies#early", f"a reply is still {fate}, but its instance run-1 has ended")]


def test_an_instance_that_forgot_to_end(office, findings, doctor):
    """All regions have left, but the instance is still running."""
    office.start("run-1")
    doctor("INST#run-1", "META", status="running")

    assert findings() == [("INST#run-1", "its regions have left it completed, but the instance is running")]


def test_a_start_that_nobody_will_make(office, findings, doctor):
    """Pending without a note in the inbox: no dispatcher will ever see it."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")
    doctor("INST#run-1", "META", status="pending")

    ((where, what),) = findings()
    assert where == "INST#run-1"
    assert "nothing will start it" in what


def test_what_heals_between_two_looks_is_no_finding(office, monkeypatch):
    """Two items that belong together may be read at different times: only what stays is reported."""
    from cch.ledger import audit as module
    from cch.ledger.audit import Audit, Finding

    passing = Finding(what="a", where="x", mend="m")
    staying = Finding(what="b", where="y", mend="m")
    looks = iter([(passing, staying), (staying,)])

    async def look(ledger, plan_of):
        return Audit(messages={}, requests={}, instances={}, findings=next(looks))

    monkeypatch.setattr(module, "_look", look)
    result = asyncio.run(audit(office.ledger, None, pause=0))

    assert result.findings == (staying,)
