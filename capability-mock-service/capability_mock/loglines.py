"""Log lines for programs and people: one event, one line, `key=value` at its end."""

from __future__ import annotations

import json
import logging
import time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """`2026-01-05T08:00:00Z INFO capability_mock.service polling queue queue=…`; a traceback stays in the
    line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        keys = [f"{key}={_value(value)}" for key, value in vars(record).items() if key not in _STANDARD]
        return " ".join([*text.splitlines(), *keys]) if keys else " ".join(text.splitlines())


def _value(value: object) -> str:
    text = str(value)
    return text if text and not any(char.isspace() or char in '"=' for char in text) else json.dumps(text)


def set_up_logging(*, verbose: bool = False) -> None:
    """Sends everything to stderr; `verbose` adds one line for each HTTP call of the control API."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("capability_mock").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
