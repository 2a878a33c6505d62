"""``cch migrate`` and the commands that mend: what they ask the server, and what they say."""

from __future__ import annotations

import functools
import json

import httpx
import pytest

from cch.cli import batching, migrating, server

VIEW = {"before": ["Ask"], "after": ["Then"], "kept": [], "superseded": ["r-1"], "notes": ["a note"], "set_aside": []}

EXAMPLE = {
    "workflow_id": "w", "correlation_id": "k", "possible": True, "refused": "", "before": ["Ask"], "after": ["Then"],
}  # fmt: skip
BATCH = {
    "id": "b-1", "state": "running", "action": {"kind": "retry"}, "search": {}, "by": "ada", "reason": "why",
    "created": "2026-01-05T08:00:00Z", "ended": None, "total": 3, "done": 0, "skipped": 0, "refused": 0, "failed": 0,
    "left": 3, "not_allowed": 0, "workflows": ["w"], "rate": 10.0,
}  # fmt: skip


class Api:
    """Answers as the server does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict]] = []
        self.logins = 0
        self.busy = 0
        self.holds: list[dict] = []
        self.refusal: dict | None = None
        self.matching, self.changed, self.looks, self.away = 3, 0, 0, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.logins += 1
            given = json.loads(request.content)
            return httpx.Response(201 if given["password"] == "right" else 401, json={"access_token": "t"})
        if request.headers["Authorization"] != "Bearer t":
            return httpx.Response(401, json={})
        path = request.url.path.removeprefix("/cch/api/v1")
        body = json.loads(request.content) if request.content else {}
        self.asked.append((request.method, path, body))
        if path.startswith("/batches"):
            return self.batches(path.removeprefix("/batches"), request.url.params, body)
        if self.refusal is not None:
            return httpx.Response(409, json=self.refusal)
        if self.busy:
            self.busy -= 1
            return httpx.Response(409, json={"code": "busy", "detail": "Ask is on a worker."})
        if path.startswith("/holds"):
            return httpx.Response(200, json={"items": self.holds} if request.method == "GET" else self.holds[0])
        if path.endswith(("hold", "release", "cancel")):
            return httpx.Response(200, json={"state": "RUNNING"})
        done = not body.get("dry_run")
        return httpx.Response(200, json={**VIEW, "moved": done, "done": done})

    def batches(self, path: str, query: httpx.QueryParams, body: dict) -> httpx.Response:
        """Three instances match, one of which is refused; the batch takes two looks."""
        if path == "/preview":
            examples = [
                {**EXAMPLE, "id": "i-1"}, {**EXAMPLE, "id": "i-2", "possible": False, "refused": "it is held"},
            ]  # fmt: skip
            seen = {"count": self.matching, "not_allowed": 1, "workflows": {"w": 3}, "statuses": {"running": 3}}
            return httpx.Response(200, json={**seen, "examples": examples[: body.get("examples", 5)]})
        if self.refusal is not None and not path:
            return httpx.Response(409, json=self.refusal)
        if not path and body and self.changed:
            self.changed -= 1
            return httpx.Response(409, json={"code": "count_changed", "detail": "4 instances match now, not 3."})
        if path.endswith("/results"):
            first = "cursor" not in query
            items = [("i-1", "done", ""), ("i-2", "refused", "it is held")] if first else [("i-3", "done", "")]
            found = [{"instance_id": i, "result": r, "reason": w} for i, r, w in items]
            return httpx.Response(200, json={"items": found, "next_cursor": "c" if first else None})
        if not path and not body:
            return httpx.Response(200, json={"items": [BATCH], "next_cursor": None})
        self.looks += bool(path)
        if path.endswith(("pause", "resume", "stop")):
            return httpx.Response(200, json={**BATCH, "state": "paused"})
        if self.away and path:
            self.away -= 1
            return httpx.Response(503, json={"code": "service_unavailable"})
        over = {"state": "done", "done": 2, "refused": 1, "left": 0} if self.looks > 1 else {}
        return httpx.Response(201 if body else 200, json={**BATCH, **over})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    answers = Api()
    client = functools.partial(httpx.Client, transport=httpx.MockTransport(answers))
    monkeypatch.setattr(server.httpx, "Client", client)
    monkeypatch.setattr(migrating.time, "sleep", lambda _: None)
    monkeypatch.setattr(batching.time, "sleep", lambda _: None)
    monkeypatch.setenv("CCH_API_URL", "http://airflow.test/")
    monkeypatch.setenv("CCH_API_USER", "ada")
    monkeypatch.setenv("CCH_API_PASSWORD", "right")
    monkeypatch.delenv("CCH_API_TOKEN", raising=False)
    return answers


def test_one_instance_is_moved(cch, api):
    """With renames and a reason; what goes on and what does not is said."""
    result = cch("migrate", "i-1", "--to", "4", "--rename", "Ask=Enquire", "--reason", "wrong key")

    assert result.exit_code == 0, result.stderr
    assert api.asked == [
        ("POST", "/instances/i-1/move",
         {"version": "4", "renames": {"Ask": "Enquire"}, "reason": "wrong key", "dry_run": False}),
    ]  # fmt: skip
    assert "i-1: moved" in result.stdout
    assert "superseded: r-1" in result.stdout
    assert "note: a note" in result.stdout


def test_all_instances_of_a_version_are_moved_in_a_batch(cch, api):
    """Whoever matches; if others do by then, once more. The results come page by page."""
    api.changed = 2
    result = cch("migrate", "import_v1", "--all", "--from", "3", "--rename", "A=B", "--per-second", "5", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [each["outcome"] for each in found["instances"]] == ["moved", "refused", "moved"]
    confirmed = [body for method, path, body in api.asked if (method, path) == ("POST", "/batches")]
    assert len(confirmed) == 3
    assert len({body["id"] for body in confirmed}) == 3
    assert confirmed[-1]["search"] == {
        "workflow_id": "import_v1", "state": ["PENDING", "RUNNING", "WAITING"], "version": "3",
    }  # fmt: skip
    assert confirmed[-1]["action"] == {"kind": "move", "version": "", "renames": {"A": "B"}}
    assert (confirmed[-1]["rate"], confirmed[-1]["expected"]) == (5.0, 3)


def test_a_dry_run_of_all_looks_at_them_and_begins_nothing(cch, api):
    """Where each would go, or why not."""
    result = cch("migrate", "import_v1", "--all", "--dry-run")

    assert result.exit_code == 1
    assert "Ask → Then" in result.stdout
    assert "it is held" in result.stdout
    assert [path for _, path, _ in api.asked] == ["/batches/preview"]


def test_a_busy_instance_is_tried_again(cch, api):
    """Until its step has ended."""
    api.busy = 2
    assert cch("migrate", "i-1").exit_code == 0
    assert [path for _, path, _ in api.asked] == ["/instances/i-1/move"] * 3


def test_who_cannot_be_moved_is_told_with_the_reason_and_an_exit_code(cch, api):
    """The hints of the server are part of it."""
    api.refusal = {
        "code": "move_refused", "detail": "It cannot be moved: it stands before 'Ask'.",
        "errors": [{"location": "body.renames", "message": "Ask may be called Enquire there"}],
    }  # fmt: skip
    result = cch("migrate", "i-1")

    assert result.exit_code == 1
    assert "stands before" in " ".join(result.stdout.split())
    assert "Enquire" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrate", "i-1", "--from", "3"], "--from needs --all"),
        (["migrate", "i-1", "--rename", "Ask"], "write Old=New"),
        (["migrate", "i-1", "--rename", "A=B", "--rename", "A=C"], "names 'A' twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(cch, api, arguments, words):
    """Exit code 2, and the option is named."""
    result = cch(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert api.asked == []


def test_without_an_address_or_a_login_the_environment_is_explained(cch, api, monkeypatch):
    """Which variable is missing; a wrong password is named as one."""
    monkeypatch.setenv("CCH_API_PASSWORD", "wrong")
    assert "does not let 'ada' in" in " ".join(cch("hold", "i-1").stderr.split())
    monkeypatch.delenv("CCH_API_USER")
    assert "CCH_API_TOKEN" in cch("hold", "i-1").stderr
    monkeypatch.delenv("CCH_API_URL")
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    assert "CCH_API_URL" in cch("hold", "i-1").stderr
    monkeypatch.setenv("CCH_API_URL", "http://airflow.test")
    monkeypatch.setenv("CCH_API_TOKEN", "old")
    assert "too old" in cch("hold", "i-1").stderr


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["retry", "i", "Ask", "--visit", "2"], "/instances/i/retry", {"node": "Ask", "visit": 2}),
        (["complete", "i", "Ask", "--set", "n=7"], "/instances/i/decide",
         {"verdict": "completed", "payload": {"n": 7}}),
        (["complete", "i", "Ask", "--as", "skipped"], "/instances/i/decide", {"verdict": "skipped", "payload": {}}),
        (["patch", "i", "--set", "a.b=1", "--at", "Ask"], "/instances/i/patch",
         {"patch": {"a": {"b": 1}}, "nodes": ["Ask"]}),
        (["hold", "i", "-r", "why"], "/instances/i/hold", {"reason": "why"}),
        (["release", "i"], "/instances/i/release", {"reason": ""}),
        (["cancel", "i"], "/instances/i/cancel", {"reason": ""}),
    ],
)  # fmt: skip
def test_each_command_asks_its_route(cch, api, arguments, path, body):
    """With what was given, and no more than one request."""
    result = cch(*arguments)

    assert result.exit_code == 0, result.stderr
    ((method, asked, given),) = api.asked
    assert (method, asked) == ("POST", path)
    assert {key: given[key] for key in body} == body


# --- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_is_previewed_confirmed_and_watched(cch, api):
    """The server is away for a moment meanwhile; the exit code says that it was not done to all."""
    api.away = 2
    result = cch(
        "batch", "start", "retry", "--workflow", "w", "--state", "failed", "--error-code", "E1", "--reason", "nonsense",
        "--rate", "2", "--yes",
    )  # fmt: skip

    assert result.exit_code == 1, result.stderr
    assert [(method, path) for method, path, _ in api.asked[:2]] == [("POST", "/batches/preview"), ("POST", "/batches")]
    wish = {
        "search": {"workflow_id": "w", "state": ["FAILED"], "error_code": "E1"}, "action": {"kind": "retry"},
        "reason": "nonsense",
    }  # fmt: skip
    given = api.asked[1][2]
    assert {key: given[key] for key in wish} == wish
    assert (given["expected"], given["rate"]) == (3, 2.0)
    text = " ".join(result.stdout.split())
    assert "3 instances: 3 of w; 3 running" in text
    assert "1 instance more that you may not change" in text
    assert "batch b-1: retry, done: 2 done, 1 refused" in text
    assert "not possible: it is held" in text


def test_a_dry_run_begins_nothing(cch, api):
    """It says what would be done, as JSON too."""
    assert cch("batch", "start", "hold", "--all", "--dry-run").exit_code == 0
    found = json.loads(cch("batch", "start", "hold", "--all", "--dry-run", "--json").stdout)

    assert found["count"] == 3
    assert {path for _, path, _ in api.asked} == {"/batches/preview"}
    assert api.asked[0][2]["search"] == {"all": True}


def test_who_says_no_has_changed_nothing(cch, api):
    """The question names the number; without an answer nothing is begun."""
    result = cch("batch", "start", "cancel", "-w", "w")

    assert result.exit_code == 1
    assert "cancel 3 instances?" in result.stderr
    assert [path for _, path, _ in api.asked] == ["/batches/preview"]


def test_if_nobody_matches_nothing_is_begun(cch, api):
    """Exit code 2."""
    api.matching = 0
    result = cch("batch", "start", "hold", "-w", "w", "--yes")

    assert result.exit_code == 2
    assert "no instance matches" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (["retry", "--node", "Ask"], {"kind": "retry", "node": "Ask"}),
        (["complete", "--node", "Ask", "--set", "n=7", "--edge", "up"],
         {"kind": "decide", "verdict": "completed", "node": "Ask", "payload": {"n": 7}, "edge": "up"}),
        (["complete", "--as", "skipped"], {"kind": "decide", "verdict": "skipped"}),
        (["patch", "--set", "a.b=1", "--at", "Ask"], {"kind": "patch", "patch": {"a": {"b": 1}}, "nodes": ["Ask"]}),
        (["release"], {"kind": "release"}),
        (["move", "--to", "4", "--rename", "A=B"], {"kind": "move", "version": "4", "renames": {"A": "B"}}),
    ],
)  # fmt: skip
def test_each_action_has_its_options(cch, api, arguments, action):
    """As for one instance; nobody is asked for what was not given."""
    result = cch("batch", "start", *arguments, "-w", "w", "--yes", "--no-watch")

    assert result.exit_code == 0, result.stderr
    assert api.asked[1][2]["action"] == action
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hold", "--node", "Ask"], "--node does not belong to hold"),
        (["retry", "--to", "3"], "--to does not belong to retry"),
        (["retry", "--set", "a=1"], "--set or --payload does not belong to retry"),
        (["patch"], "nothing to add"),
        (["move", "--rename", "A"], "write Old=New"),
        (["explode"], "explode"),
        (["hold", "--rate", "0"], "rate"),
    ],
)
def test_options_of_another_action_are_refused(cch, api, arguments, words):
    """Exit code 2, before anybody is asked."""
    result = cch("batch", "start", *arguments, "-w", "w", "--yes")
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert api.asked == []


def test_batches_are_listed_shown_and_steered(cch, api):
    """With what has become of their instances, in groups."""
    assert "b-1" in cch("batch", "list").stdout
    shown = cch("batch", "show", "b-1")
    found = json.loads(cch("batch", "show", "b-1", "--result", "refused", "--json").stdout)

    assert shown.exit_code == 0
    assert "2 done, 1 refused" in shown.stdout
    assert "it is held" in shown.stdout
    assert len(found["results"]) == 3
    for command in ("pause", "resume", "stop"):
        assert "paused" in cch("batch", command, "b-1").stdout
        assert api.asked[-1][:2] == ("POST", f"/batches/b-1/{command}")


HELD = {
    "kind": "capability", "name": "a#b", "by": "ada", "since": "2026-01-05T08:00:00Z", "reason": "it is down",
    "released": None, "rate": 0.0, "batch": "b-1", "held": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["hold", "--capability", "a#b"], "/holds", {"kind": "capability", "name": "a#b", "reason": ""}),
        (["hold", "-w", "w"], "/holds", {"kind": "workflow", "name": "w", "reason": ""}),
        (
            ["release", "--capability", "a#b", "--rate", "5"], "/holds/release",
            {"kind": "capability", "name": "a#b", "reason": "", "rate": 5.0},
        ),
    ],
)  # fmt: skip
def test_a_workflow_or_a_capability_is_held_and_released(cch, api, arguments, path, body):
    """The answer says for how many, and which batch does it."""
    api.holds = [HELD]
    answer = cch(*arguments)

    assert api.asked[-1] == ("POST", path, body)
    assert "capability a#b: held by ada: it is down (3 instances are held for it; batch b-1)" in answer.stdout


def test_holds_are_listed(cch, api):
    """None, one in force, one that is being released."""
    assert "nothing is held as a whole" in cch("holds").stdout
    api.holds = [HELD, {**HELD, "kind": "workflow", "name": "w", "released": "2026-01-05T09:00:00Z", "rate": 5.0}]
    assert "workflow w: being released, 5 a second" in cch("holds").stdout


@pytest.mark.parametrize(
    "arguments", [["hold"], ["hold", "i-1", "-w", "w"], ["release", "-w", "w", "--capability", "c"]]
)
def test_one_thing_is_held_at_a_time(cch, api, arguments):
    """Else nobody is asked."""
    answer = cch(*arguments)
    assert answer.exit_code == 2
    assert "name one: an instance, --workflow or --capability" in " ".join(answer.stderr.split())
    assert api.asked == []


def test_a_refusal_of_the_server_is_said(cch, api):
    """With its exit code: the command cannot be meant so, or it cannot be done now."""
    api.refusal = {"code": "count_changed", "detail": "4 instances match now, not 3: look again."}
    changed = cch("batch", "start", "hold", "-w", "w", "--yes")
    api.refusal = {"code": "node_unknown", "detail": "No instance that matches has a node 'X'."}
    unknown = cch("batch", "start", "retry", "--node", "X", "-w", "w", "--yes")

    assert (changed.exit_code, unknown.exit_code) == (1, 2)
    assert "4 instances match now" in changed.stderr
    assert "has a node 'X'" in unknown.stderr
