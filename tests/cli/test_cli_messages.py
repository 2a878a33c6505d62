"""``cch messages``: what found nobody is listed, shown, and given to somebody."""

from __future__ import annotations

import asyncio
import json

import pytest

from cch.ledger.messages import message_id


@pytest.fixture
def held(office):
    """A reply under a name that nobody asked, for an instance that waits; its message's id and the open request's."""
    del office.answers["import#enrichment"]
    office.start("run-1", until="waiting")

    async def work(platform):
        queue = await platform.queues.find(platform.settings.names.reply_queue)
        command = {
            "type": "ASYNC_RESP", "id": "r-1", "source": "them", "timestamp": "2026-01-05T08:00:00Z",
            "payload": {"uri": "s3://b/x.json"},
        }  # fmt: skip
        await queue.send(json.dumps({"workflowInstanceId": "run-1", "command": command}))
        while not (found := await platform.ledger.messages.unmatched("held")):
            await asyncio.sleep(0.005)
        (request,) = await platform.ledger.requests.of_box((await platform.ledger.instances.head("run-1")).box())
        return message_id(found[0].key), request.command_id

    return office.do(work)


def test_a_held_message_is_listed_and_shown(office, cch, held):
    """With its id, the reason, and the request that it may be given to."""
    message, request = held

    listed = json.loads(cch("messages", "list", "--json").stdout)["messages"]
    shown = json.loads(cch("messages", "show", message, "--json").stdout)
    text = cch("messages", "show", message).stdout

    assert [(each["id"], each["state"], each["instance_id"]) for each in listed] == [(message, "held", "run-1")]
    assert "no request to 'them'" in listed[0]["reason"]
    assert [(each["id"], each["needs_force"]) for each in shown["candidates"]] == [(request, True)]
    assert json.loads(shown["body"])["command"]["id"] == "r-1"
    assert request in text


@pytest.mark.parametrize(("options", "number"), [((), 1), (("--state", "orphan"), 0), (("--instance", "other"), 0)])
def test_the_list_is_filtered(office, cch, held, options, number):
    """By state and instance."""
    assert len(json.loads(cch("messages", "list", "--json", *options).stdout)["messages"]) == number


def test_a_person_attaches_it(office, cch, held):
    """What speaks against it needs force; then the instance goes on, and repeating it changes nothing."""
    message, request = held

    refused = cch("messages", "attach", message, "--to", request)
    done = cch("messages", "attach", message, "--to", request, "--force")
    again = cch("messages", "attach", message, "--to", request, "--force", "--json")

    assert (refused.exit_code, "needs force" in refused.stderr) == (1, True)
    assert (done.exit_code, done.stdout) == (0, f"message {message} was given to {request} of instance run-1\n")
    assert json.loads(again.stdout)["state"] == "matched"


def test_what_is_not_there_is_wrong_use(office, cch, held):
    """The message, and the request."""
    message, _ = held

    assert cch("messages", "show", "q:1").exit_code == 2
    assert "cch messages list" in cch("messages", "show", "q:1").stderr
    assert cch("messages", "attach", message, "--to", "nothing").exit_code == 2


def test_status_shows_what_is_held_for_longer_than_a_minute(office, cch, held, monkeypatch):
    """With what would make it match, and the command that attaches it."""
    message, request = held
    monkeypatch.setattr("cch.runtime.lingering.LINGERS_AFTER", 0)

    (found,) = json.loads(cch("status", "run-1", "--json").stdout)["held"]
    text = cch("status", "run-1").stdout

    assert found["id"] == message
    assert request in found["would_match"]
    assert found["attach"] == f"cch messages attach {message} --to {request} --force"
    assert "held for longer than a minute" in text


def test_what_was_held_a_moment_ago_is_not_worth_a_word(office, cch, held):
    """It may be early by a race."""
    assert json.loads(cch("status", "run-1", "--json").stdout)["held"] == []
