"""Fifty open pages of the dashboard, each on an instance of its own: asking every 3 s, and being told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.api import _register, environment_of
from bench.figures import Figures, percentile
from cch.stack.layout import free_port

PAGES = 50
#: Seconds of one measurement; seconds between two changes; and what a polling page waits between two looks.
_LASTS, _CHANGE_EVERY, _POLLS_EVERY = 30.0, 0.5, 3.0
_BASE = "/cch/api/v1"
_TOKEN = "token: "


def measure_pages() -> Figures:
    """What the API server computes and asks AWS, and how soon a page shows a change."""
    with tempfile.TemporaryDirectory(prefix="cch-bench-") as folder, _served(Path(folder)) as (environment, url):
        program = [sys.executable, "-m", "bench.pages", "look", url]
        answer = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(answer.stdout.splitlines()[-1])
    return Figures(
        title=f"{PAGES} open pages, each on an instance of its own, {1 / _CHANGE_EVERY:g} changes a second",
        columns=("seen after p50 (s)", "p95 (s)", "CPU (cores)", "AWS calls/s", "requests/s"),
        rows=[(label, values) for label, values in figures.items()],
        notes=("CPU: of the API server's process. A page that is told asks once for each change, and once at first.",),
    )


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[tuple[dict[str, str], str]]:
    """AWS's stand-in with 5,000 instances, and Airflow's API server; the pages' environment, and its address."""
    environment, port = environment_of(folder)
    aws = subprocess.Popen(
        [sys.executable, "-m", "bench.api", str(port)], env=environment, stdout=subprocess.PIPE, text=True
    )
    web = free_port()
    server = None
    try:
        assert aws.stdout is not None
        aws.stdout.readline()
        server = subprocess.Popen(
            [sys.executable, "-m", "bench.pages", "serve", str(web)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        lines = (line for line in server.stdout if line.startswith(_TOKEN))  # Airflow prints others
        token = next(lines).removeprefix(_TOKEN).strip()
        environment |= {"BENCH_TOKEN": token, "BENCH_SERVER": str(server.pid)}
        yield environment, f"http://127.0.0.1:{web}"
    finally:
        for process in (server, aws):
            if process is not None:
                process.terminate()
                process.wait()


def _serve(port: int) -> None:
    """Airflow's API server; says a token, once it is about to listen."""
    import uvicorn
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    _register()
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    print(f"{_TOKEN}{token}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def _computed(pid: str) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pages:
    """The pages, and what they have seen."""

    def __init__(self, client: Any, ids: list[str]) -> None:
        self._client = client
        self.ids = ids
        self.requests = 0
        self.changed: dict[str, float] = {}
        self.seen: list[float] = []
        self._tags: dict[str, str] = {}

    async def look(self, identifier: str) -> None:
        self.requests += 1
        path = f"{_BASE}/instances/{identifier}"
        answer = await self._client.get(path, headers={"If-None-Match": self._tags.get(identifier, "")})
        if answer.status_code == 200:
            self._tags[identifier] = answer.headers["ETag"]
            if answer.json()["state"] == "CANCELLED" and (at := self.changed.pop(identifier, 0.0)):
                self.seen.append(time.monotonic() - at)

    async def ask(self, identifier: str) -> None:
        await asyncio.sleep(random.random() * _POLLS_EVERY)
        while True:
            await self.look(identifier)
            await asyncio.sleep(_POLLS_EVERY)

    async def be_told(self, identifier: str) -> None:
        path = f"{_BASE}/watch?look=/instances/{identifier}"
        self.requests += 1
        async with self._client.stream("GET", path, timeout=None) as stream:
            async for line in stream.aiter_lines():
                if line in ("event: hello", "event: changed"):
                    await self.look(identifier)


async def _look(url: str) -> dict[str, list[float]]:
    import httpx

    from cch.aws.objects import S3Blobs
    from cch.aws.session import async_clients
    from cch.aws.tables import DynamoStore
    from cch.ledger.ledger import Ledger
    from cch.settings import load_settings

    settings = load_settings()
    figures: dict[str, list[float]] = {}
    aws = os.environ["AWS_ENDPOINT_URL"]
    headers = {"Authorization": f"Bearer {os.environ['BENCH_TOKEN']}"}
    limits = httpx.Limits(max_connections=200)
    async with contextlib.AsyncExitStack() as stack:
        (dynamodb,) = await async_clients(stack, settings, "dynamodb")
        ledger = Ledger(DynamoStore(dynamodb, settings.names.table), S3Blobs(settings))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60)
        )
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{_BASE}/instances")).status_code == 200:
                    break
            await asyncio.sleep(0.2)
        else:
            raise RuntimeError(f"the API server does not answer: {(await client.get(f'{_BASE}/instances')).text}")
        listed = [
            row["id"]
            for page in ("RUNNING", "WAITING")
            for row in (await client.get(f"{_BASE}/instances?state={page}&limit=200")).json()["items"]
        ]
        for number, (label, told) in enumerate((("asking every 3 s", False), ("being told", True))):
            ids = listed[number * PAGES : (number + 1) * PAGES]
            pages = Pages(client, ids)
            tasks = [asyncio.create_task(pages.be_told(i) if told else pages.ask(i)) for i in ids]
            await asyncio.sleep(5)
            pages.requests = 0
            urllib.request.urlopen(urllib.request.Request(f"{aws}/cch/calls", method="DELETE"))
            begun, cpu = time.monotonic(), _computed(os.environ["BENCH_SERVER"])
            for identifier in ids:
                if time.monotonic() - begun > _LASTS - 6:
                    break
                pages.changed[identifier] = time.monotonic()
                await ledger.instances.end(identifier, "cancelled", round(time.time() * 1000), "bench")
                await asyncio.sleep(_CHANGE_EVERY)
            await asyncio.sleep(max(0.0, begun + _LASTS - time.monotonic()))
            lasted = time.monotonic() - begun
            calls = sum(json.load(urllib.request.urlopen(f"{aws}/cch/calls")).values())
            figures[label] = [
                round(percentile(pages.seen, 0.5), 2), round(percentile(pages.seen, 0.95), 2),
                round((_computed(os.environ["BENCH_SERVER"]) - cpu) / lasted, 2), round(calls / lasted, 1),
                round(pages.requests / lasted, 1),
            ]  # fmt: skip
            assert not pages.changed, f"{len(pages.changed)} changes were not seen"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return figures


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        print(json.dumps(asyncio.run(_look(sys.argv[2]))))
