"""``cch migrate`` and the commands that mend: what they ask the server, and what they say."""

from __future__ import annotations

import functools
import json

import httpx
import pytest

from cch.cli import migrating, server

VIEW = {"before": ["Ask"], "after": ["Then"], "kept": [], "superseded": ["r-1"], "notes": ["a note"], "set_aside": []}


class Api:
    """Answers as the server does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict]] = []
        self.logins = 0
        self.busy = 0
        self.refusal: dict | None = None

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
        if path == "/instances":
            first = "cursor" not in request.url.params
            items = [{"id": "i-1"}, {"id": "i-2"}] if first else [{"id": "i-3"}]
            return httpx.Response(200, json={"items": items, "next_cursor": "c" if first else None})
        if self.refusal is not None:
            return httpx.Response(409, json=self.refusal)
        if self.busy:
            self.busy -= 1
            return httpx.Response(409, json={"code": "busy", "detail": "Ask is on a worker."})
        if path.endswith(("hold", "release", "cancel")):
            return httpx.Response(200, json={"state": "RUNNING"})
        done = not body.get("dry_run")
        return httpx.Response(200, json={**VIEW, "moved": done, "done": done})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    answers = Api()
    client = functools.partial(httpx.Client, transport=httpx.MockTransport(answers))
    monkeypatch.setattr(server.httpx, "Client", client)
    monkeypatch.setattr(migrating.time, "sleep", lambda _: None)
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


def test_all_instances_of_a_version_are_moved_page_by_page_and_the_busy_ones_again(cch, api):
    """Each is moved once; a table groups what became of them."""
    api.busy = 2
    result = cch("migrate", "import_v1", "--all", "--from", "3", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [each["outcome"] for each in found["instances"]] == ["moved"] * 3
    moves = [path for _, path, _ in api.asked if path.endswith("/move")]
    assert sorted(moves) == sorted(["/instances/i-1/move"] * 2 + ["/instances/i-2/move"] * 2 + ["/instances/i-3/move"])


def test_who_cannot_be_moved_is_told_with_the_reason_and_an_exit_code(cch, api):
    """The hints of the server are part of it."""
    api.refusal = {
        "code": "move_refused", "detail": "It cannot be moved: it stands before 'Ask'.",
        "errors": [{"location": "body.renames", "message": "Ask may be called Enquire there"}],
    }  # fmt: skip
    result = cch("migrate", "import_v1", "--all")

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
