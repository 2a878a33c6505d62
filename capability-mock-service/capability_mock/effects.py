"""What has taken effect, in a file that outlives a killed mock: one line for each command id."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from capability_mock.messages import Request


class Effects:
    """A command id takes effect when it is seen for the first time, and never again. Thread-safe."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._known = {line["commandId"] for line in read_effects(path)}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def take(self, request: Request) -> bool:
        """Note the request's effect; False if it has been there before."""
        line = {
            "commandId": request.command_id,
            "requestKey": request.request_key,
            "capability": request.capability,
            "instance": request.instance,
        }
        with self._lock:
            if request.command_id in self._known:
                return False
            # One write: it is there as a whole or not at all.
            os.write(self._file, (json.dumps(line) + "\n").encode())
            self._known.add(request.command_id)
            return True


def read_effects(path: Path) -> list[dict[str, str]]:
    """The lines of a file of effects; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
