"""``make compose-test``: builds the images, runs the services of docker-compose.yaml from them, and the main job there.

Two triggerers and two workers; one triggerer is killed while instances wait. Needs root, buildah and debootstrap.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.compose import images
from tests.compose.file import Service, env_file, services
from tests.compose.machines import Container, build_network, clean

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = "import_vn_memphis_v1"
CONTEXT = {"shipmentId": "SHP-1", "originCountry": "VN", "destinationCountry": "US"}
#: Instances that wait when the triggerer is killed, and how long for.
MANY, WAIT = 8, "75s"
_BEGAN = time.monotonic()


def say(text: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _BEGAN:6.1f} s  {text}\n")
    sys.stdout.flush()


def build() -> None:
    """The stand-ins, and on them the images of the Dockerfile."""
    say("stand-ins for the base images")
    images.stand_ins()
    for target, tag in (("airflow", "cch-airflow:local"), ("local", "cch-airflow-local:local")):
        say(f"the image {tag}")
        images.bud(ROOT / "Dockerfile", target, f"localhost/{tag}")


def until(what: str, look: Callable[[], Any], patience: float = 240) -> Any:
    """The first true value of ``look``."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(2)
    return found


class Compose:
    """The running services."""

    def __init__(self, wanted: list[Service], logs: Path) -> None:
        self.services = {service.name: service for service in wanted}
        addresses = build_network([name for service in wanted for name in service.containers()])
        #: As Docker's own name server: a service is found by its name, each of its containers by its hostname.
        hosts = {**{service.name: addresses[service.containers()[0]] for service in wanted}, **addresses}
        self.hosts = hosts
        self.containers = {
            name: Container(name, service, hosts, logs) for service in wanted for name in service.containers()
        }

    def of(self, service: str) -> list[Container]:
        return [self.containers[name] for name in self.services[service].containers()]

    def up(self) -> None:
        for service in self.services.values():
            for other, condition in service.after.items():
                until(f"{other}: {condition}", lambda other=other, how=condition: self._met(other, how))
            say(f"start {service.name}" + (f" ({service.replicas})" if service.replicas > 1 else ""))
            for container in self.of(service.name):
                container.start()

    def _met(self, name: str, condition: str) -> bool:
        if condition == "service_completed_successfully":
            (container,) = self.of(name)
            assert container.ended() in (None, 0), f"{name} failed:\n{container.tail()}"
            return container.ended() == 0
        assert condition == "service_healthy", condition
        return all(self._well(container) for container in self.of(name))

    def _well(self, container: Container) -> bool:
        assert container.ended() is None, f"{container.name} ended:\n{container.tail()}"
        if well := container.healthy():
            return well
        (container.logs / f"{container.name}.check").write_text(container.complaint)
        return False

    def wait_until_healthy(self) -> None:
        for container in self.containers.values():
            if container.service.check:
                until(f"{container.name} is healthy", lambda container=container: self._well(container), 300)

    def ask(self, address: str, method: str = "GET", body: Any = None, token: str = "") -> Any:
        """JSON of an answer; ``address`` is ``service:port/path``."""
        name, rest = address.split(":", 1)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.hosts[name]}:{rest}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{address}: {error.code} {error.read()[:500]!r}") from None
        return json.loads(text) if text else None


def main_job(compose: Compose) -> None:
    """Many instances wait, a triggerer dies, all complete, and the books balance."""
    login = {"username": "admin", "password": "admin"}
    token = compose.ask("api-server:8080/auth/token", "POST", login)["access_token"]

    def api(path: str, method: str = "GET", body: Any = None) -> Any:
        return compose.ask(f"api-server:8080/cch/api/v1{path}", method, body, token)

    say("start instances that wait")
    instances = [str(uuid.uuid4()) for _ in range(MANY)]
    for instance in instances:
        slow = {"capabilities": {"import#enrichment": [{"after": WAIT}]}}
        compose.ask(f"mock:8790/scenario?instance={instance}", "PUT", slow)
        start = {"workflow_id": WORKFLOW, "context": CONTEXT, "instance_id": instance}
        until("the start", lambda start=start: _started(api, start), 90)

    def requests(instance: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = compose.ask(f"mock:8790/requests?instance={instance}&limit=100")["requests"]
        return found

    until("all requests at the mock", lambda: all(requests(instance) for instance in instances))
    waits = Counter(until("a triggerer", lambda each=each: _triggerer(compose, token, each)) for each in instances)
    ((name, many),) = waits.most_common(1)
    say(f"kill -9 {name}, in which {many} of {MANY} wait")
    compose.containers[name].kill()

    def state(instance: str) -> str:
        found: str = api(f"/instances/{instance}")["state"]
        return found

    ended = ("SUCCEEDED", "FAILED", "CANCELLED")
    until("the end of all", lambda: all(state(each) in ended for each in instances), 400)
    say("all instances have ended")
    assert [state(instance) for instance in instances] == ["SUCCEEDED"] * MANY
    assert all(len({each["commandId"] for each in requests(instance)}) == 1 for instance in instances)
    answer = compose.of("worker")[0].run("cch", "ledger", "check")
    say(f"cch ledger check: {answer.stdout.strip()}")
    assert answer.returncode == 0, answer.stderr


def _triggerer(compose: Compose, token: str, instance: str) -> str:
    """The container in which an instance waits; "" if it does not wait yet."""
    path = f"api-server:8080/api/v2/dags/{WORKFLOW}/dagRuns/{instance}/taskInstances"
    jobs = [task["triggerer_job"] for task in compose.ask(path, token=token)["task_instances"]]
    return next((job["hostname"] for job in jobs if job), "")


def _started(api: Callable[..., Any], start: dict[str, Any]) -> bool:
    try:
        api("/instances", "POST", start)
    except AssertionError as error:  # its DAG is not there yet
        if "404" in str(error):
            return False
        raise
    return True


def serve() -> None:
    """Inside the namespaces: everything from the network on."""
    logs = images.WORK / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    clean()
    compose = Compose(services(ROOT / "docker-compose.yaml", env_file(ROOT / ".env")), logs)
    try:
        compose.up()
        say("wait until all are healthy")
        compose.wait_until_healthy()
        main_job(compose)
        say("done")
    finally:
        for container in compose.containers.values():
            if container.process is not None and container.ended() is None:
                container.kill()
        clean()


def main() -> None:
    if "--inside" in sys.argv:
        serve()
        return
    build()
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    sys.exit(subprocess.call([*apart, sys.executable, "-m", "tests.compose", "--inside"], cwd=ROOT, env={**os.environ}))


if __name__ == "__main__":
    main()
