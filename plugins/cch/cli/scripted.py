"""``cch run --scenario``: the scenario that a simulation runs, on a running stack."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cch.aws.session import client, explained
from cch.cli.simulations import load_scenario
from cch.envelope import event_command
from cch.errors import ServiceUnavailableError, WrongUseError
from cch.runtime.platform import Platform
from cch.simulation.scenario import Scenario, ScriptedEvent

#: Keys of a scenario that the mock plays.
_FOR_THE_MOCK = ("capabilities", "count_per")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A scenario for one instance; ``time_scale`` multiplies every ``after``, not the definition's own timeouts."""

    scenario: Scenario
    time_scale: float = 1.0

    @classmethod
    def read(cls, path: Path, time_scale: float) -> Staging:
        """:raises WrongUseError: no such file, or no mock to play it. :raises DefinitionError: it has problems."""
        if not os.environ.get("CCH_MOCK_URL"):
            raise WrongUseError('--scenario needs the mock: `cch up`, then eval "$(cch env)" (it sets CCH_MOCK_URL)')
        if time_scale <= 0:
            raise WrongUseError("--time-scale must be more than 0")
        return cls(scenario=load_scenario(path), time_scale=time_scale)

    def prepare(self, platform: Platform, instance: str) -> None:
        """Give the mock its script for this instance, and put the scenario's objects into S3.

        :raises ServiceUnavailableError: the mock or S3 does not answer, or refuses.
        """
        query = urllib.parse.urlencode({"instance": instance, "time_scale": self.time_scale})
        script = {key: self.scenario.raw[key] for key in _FOR_THE_MOCK if key in self.scenario.raw}
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's own setting
            f"{os.environ['CCH_MOCK_URL']}/scenario?{query}", data=json.dumps(script).encode(), method="PUT"
        )
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310
                pass
        except urllib.error.HTTPError as error:
            told = error.read().decode("utf-8", "replace")[:500]
            error.close()
            raise ServiceUnavailableError(f"the mock refuses the scenario: {told}") from None
        except OSError as error:
            raise ServiceUnavailableError(
                f"the mock at {os.environ['CCH_MOCK_URL']} does not answer: {error}"
            ) from None
        for uri, content in self.scenario.objects.items():
            self._put(platform, uri, json.dumps(content))

    def _put(self, platform: Platform, uri: str, text: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with explained(uri):
            s3 = client("s3", platform.settings)
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=text.encode())

    async def play_events(self, platform: Platform, instance: str) -> None:
        """Send the scenario's events at their times."""
        queue = await platform.queues.find(platform.settings.names.command_queue)
        assert queue is not None
        passed = 0.0
        for event in sorted(self.scenario.events, key=lambda event: event.after):
            await asyncio.sleep((event.after - passed) * self.time_scale)
            passed = event.after
            await queue.send(self._body(platform, instance, event))

    def _body(self, platform: Platform, instance: str, event: ScriptedEvent) -> str:
        return event_command(
            instance=instance,
            command_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instance}/{event.id}")),
            payload=event.payload,
            address=event.address,
            status=event.status,
            now=platform.clock(),
        )


def seen_outside(expect: dict[str, Any]) -> dict[str, Any]:
    """The expectations that hold in real time too: not the length; and items of a map go on in any order.

    Nobody keeps what requests brought: of those that are described, the number counts.
    """
    kept = {key: value for key, value in expect.items() if key in ("status", "visited", "context", "requests")}
    if isinstance(kept.get("requests"), dict):
        kept["requests"] = {
            key: len(value) if isinstance(value, list) else value for key, value in kept["requests"].items()
        }
    visited = kept.get("visited") or ()
    flat = [name for each in visited for name in (each["any"] if isinstance(each, dict) else [each])]
    if any("[" in str(name) for name in flat):
        kept["visited"] = [{"any": flat}]
    return kept
