"""``cch doctor`` finds what is wrong with an environment, and says how to mend it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from workshop import NOW, Workshop

from cch.aws.provision import provision
from cch.aws.session import client
from cch.capabilities import bind_http, registry
from cch.checkup.airflow import judge_capacity
from cch.checkup.findings import Findings
from cch.checkup.resources import look_at_resources
from cch.checkup.running import look_at_running
from cch.ledger.versions import HookReport, Pinning
from cch.names import Names
from cch.settings import Settings

_numbers = itertools.count(1)


@pytest.fixture
def environment(aws_environment: None) -> Iterator[Settings]:
    """A complete environment of its own in AWS's stand-in."""
    settings = Settings(names=Names(env="doctor", owner=f"n{next(_numbers)}"))
    provision(settings)
    yield settings
    for service in ("sts", "sqs", "dynamodb", "s3", "sns"):
        client(service, settings).close()


def examine(settings: Settings) -> dict[str, tuple[str, str]]:
    """Where → (level, what), of everything that is neither in order nor only a note."""
    found = Findings()
    look_at_resources(settings, found)
    assert all(finding.mend for finding in found.all if finding.level in ("warning", "error"))
    return {f.area: (f.level, f.what) for f in found.all if f.level in ("warning", "error")}


def url(settings: Settings, queue: str) -> str:
    return str(client("sqs", settings).get_queue_url(QueueName=queue)["QueueUrl"])


def test_what_provision_makes_is_in_order(environment: Settings) -> None:
    """Nothing is found, and the report says what was looked at."""
    assert examine(environment) == {}
    found = Findings()
    look_at_resources(environment, found)
    assert {f.area for f in found.all} >= {"credentials", environment.names.table, environment.names.command_queue}


def test_missing_queues(environment: Settings) -> None:
    """The reply queue is needed, the fallback queue only by services without one."""
    names = environment.names
    for queue in (names.reply_queue, names.fallback_queue):
        client("sqs", environment).delete_queue(QueueUrl=url(environment, queue))

    assert examine(environment) == {
        names.reply_queue: ("error", "there is no such queue"),
        names.fallback_queue: (
            "warning", "there is no such queue: requests to services without a queue of their own fail",
        ),
    }  # fmt: skip


def test_a_queue_that_was_made_by_hand(environment: Settings) -> None:
    """SQS's own defaults are named one by one."""
    names = environment.names
    attributes = {"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"}
    queue = url(environment, names.reply_queue)
    client("sqs", environment).delete_queue(QueueUrl=queue)
    client("sqs", environment).create_queue(QueueName=names.reply_queue, Attributes=attributes)

    found = Findings()
    look_at_resources(environment, found)
    said = [f.what for f in found.all if f.area == names.reply_queue]
    assert any("VisibilityTimeout is 30, less than 60" in what for what in said)
    assert any("MessageRetentionPeriod is 345600" in what for what in said)
    assert any("no dead-letter queue" in what for what in said)


def test_stranded_messages(environment: Settings) -> None:
    """What is on a dead-letter queue needs somebody."""
    dead = environment.names.dead_letter_queue(environment.names.command_queue)
    client("sqs", environment).send_message(QueueUrl=url(environment, dead), MessageBody="x")

    assert examine(environment) == {dead: ("error", "1 message that nobody could take")}


@pytest.mark.parametrize(
    ("aws_url", "name"), [("moto", "events"), ("quick", "events"), ("moto", "events.fifo")], indirect=["aws_url"]
)
def test_the_topic_is_tried(environment: Settings, name: str) -> None:
    """An event is published; one that is refused is said."""
    fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    arn = client("sns", environment).create_topic(Name=name, Attributes=fifo)["TopicArn"]
    found = Findings()

    look_at_resources(replace(environment, lifecycle_topic=arn), found)

    assert ("ok", arn, "takes events") in [(f.level, f.area, f.what) for f in found.all]
    assert examine(replace(environment, lifecycle_topic=f"{arn[:-4]}gone"))[f"{arn[:-4]}gone"][0] == "error"


def test_nothing_is_there(environment: Settings) -> None:
    """Another owner's name: each resource is missing for itself."""
    other = Settings(names=Names(env="doctor", owner="nobody"), lifecycle_topic="my-topic")
    found = examine(other)

    names = other.names
    assert {names.table, names.definitions_bucket, names.eventdata_bucket, names.command_queue} <= set(found)
    assert found["CCH_LIFECYCLE_TOPIC"] == ("error", "'my-topic' is no ARN")


# --- what runs --------------------------------------------------------------------------------------------------

WORKFLOW = """
workflow_id: sick_v1
workflow_name: Sick
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Call}
  Call: {type: sync_call, capability_id: nobody-has-it, on_success: Done}
  Done: {type: end}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, {"sick_v1": WORKFLOW.replace("nobody-has-it", "core-process-response")})


async def look(shop: Workshop) -> dict[str, tuple[str, str]]:
    found = Findings()
    await look_at_running(shop.platform, found)
    return {f.area: (f.level, f.what) for f in found.all if f.level in ("warning", "error")}


async def router(shop: Workshop, seen: int = NOW, waiters: int = 7, commands: int = 1) -> None:
    await shop.ledger.mailboxes.count("r1", {"waiters": waiters, "commands": commands}, seen)


async def test_a_healthy_airflow(shop: Workshop) -> None:
    """A router that takes commands, no start that waits."""
    await router(shop)

    assert await look(shop) == {}
    assert await look_at_running(shop.platform, Findings()) == 7


@pytest.mark.parametrize(
    ("capacity", "waiters", "said"),
    [(10_000, 6_999, None), (10_000, 7_000, "is 10000, and 7000 waits fill it"), (1_000, 3, "is 1000")],
)
def test_room_in_the_triggerers(capacity: int, waiters: int, said: str | None) -> None:
    """A full triggerer does not even send; Airflow's default is soon full."""
    found = Findings()
    judge_capacity(capacity, waiters, found)

    assert next((f.what for f in found.all if f.level == "warning"), None) == said


async def test_no_triggerer(shop: Workshop) -> None:
    """Routers that have not reported for long are dead."""
    await router(shop, seen=NOW - 101_000)

    assert (await look(shop))["router"][0] == "error"


async def test_commands_are_not_taken(shop: Workshop) -> None:
    """The dispatcher's DAG is paused: replies are taken, commands are not."""
    await router(shop, commands=0)

    assert await look(shop) == {"router": ("error", "none takes commands")}


async def test_an_airflow_that_does_not_keep_runs_on_their_versions(shop: Workshop) -> None:
    """The reason is the one that the dispatcher has reported; where runs are kept there is nothing to say."""
    await router(shop)
    await shop.ledger.versions.report_pinning(Pinning(pins=False, seen=NOW, reason="Airflow 9 is another"))
    bad = await look(shop)
    await shop.ledger.versions.report_pinning(Pinning(pins=True, seen=NOW))

    assert bad == {"versions": ("warning", "live instances may not keep their versions: Airflow 9 is another")}
    assert await look(shop) == {}


async def test_which_hooks_are_active(shop: Workshop) -> None:
    """Each that Airflow lacks something for has its reason; one is switched off, and nobody tested this Airflow."""
    reasons = {"idle runs": "", "portions": "Airflow 3.9.0 is another", "portals": "it is switched off ([cch] x)"}
    hooks = HookReport(airflow="3.9.0", of="-", asked=NOW, reasons=reasons)
    await router(shop)
    await shop.ledger.versions.report_pinning(Pinning(pins=True, seen=NOW, hooks=hooks))

    found = Findings()
    await look_at_running(shop.platform, found)

    said = [(each.level, each.what) for each in found.all if each.area == "hooks"]
    assert said == [
        ("ok", "idle runs: active"),
        ("warning", "portions: not active, Airflow 3.9.0 is another"),
        ("note", "portals: not active, it is switched off ([cch] x)"),
        ("note", "Airflow 3.9.0 was not tested; what each hook needs was tried out, and decides"),
    ]


async def test_a_start_that_waits_for_long(shop: Workshop) -> None:
    """It is named, with what the dispatcher said."""
    await router(shop)
    await shop.ledger.mailboxes.enqueue_start("i-1", "sick_v1", NOW - 181_000)

    assert await look(shop) == {
        "dispatcher": ("error", "instance i-1 of sick_v1 waits for its run: nobody has tried"),
    }


@pytest.mark.parametrize(("off", "level"), [(0, None), (2_500, None), (3_500, "warning"), (-32_000, "error")])
async def test_clocks(shop: Workshop, monkeypatch: pytest.MonkeyPatch, off: int, level: str | None) -> None:
    """AWS's time has whole seconds; 30 s apart, timeouts are not trusted any more."""
    await router(shop)

    async def server_time() -> int:
        return NOW + off

    monkeypatch.setattr(shop.platform.ledger.store, "server_time", server_time, raising=False)

    assert (await look(shop)).get("clock", (None, ""))[0] == level


async def test_capabilities_that_nobody_has(tmp_path: Path) -> None:
    """A request without a queue, a call that nothing is bound to: each with its node."""
    shop = Workshop(tmp_path, {"sick_v1": WORKFLOW}, capabilities=())
    await router(shop)

    found = await look(shop)

    assert found["sick_v1, node Ask"] == ("error", "no queue takes requests to a#ask")
    assert found["sick_v1, node Call"][0] == "error"


async def test_a_call_that_the_triggerer_would_make_if_a_setting_bound_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a setting is known where tasks are laid out; what is Python is no matter."""
    monkeypatch.setattr(registry, "_capabilities", dict(registry._capabilities))
    bind_http("by-code", "http://127.0.0.1:9/")
    said: dict[str, list[str]] = {}
    for capability, bindings in (
        ("by-code", ""),
        ("by-code", '{"by-code": "http://there"}'),
        ("core-process-response", ""),
    ):
        shop = Workshop(tmp_path / str(len(said)), {"sick_v1": WORKFLOW.replace("nobody-has-it", capability)})
        await router(shop)
        for is_on in (False, True):
            shop.platform.settings = replace(shop.settings, capability_bindings=bindings, calls_in_triggerer=is_on)
            found = Findings()
            await look_at_running(shop.platform, found)
            key = f"{capability} {bindings} {is_on}"
            said[key] = [each.what for each in found.all if each.what.startswith("a worker calls")]

    assert {key: what for key, what in said.items() if what} == {
        "by-code  True": ["a worker calls by-code, because code binds it"]
    }


async def test_a_broken_definition(shop: Workshop) -> None:
    """Its problems are told with their codes."""
    await router(shop)
    (shop.folder / "definitions" / "broken_v1.yaml").write_text("workflow_id: broken_v1\nnodes: {}\n")

    assert (await look(shop))["definition broken_v1"][0] == "error"
