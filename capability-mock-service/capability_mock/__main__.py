"""The command: `python -m capability_mock`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from capability_mock.contracts import ContractError, Contracts
from capability_mock.control import Control, ControlServer
from capability_mock.desk import Desk
from capability_mock.effects import Effects
from capability_mock.exchange import Exchange
from capability_mock.loglines import set_up_logging
from capability_mock.names import Names
from capability_mock.queues import QueueError, connect
from capability_mock.record import Record
from capability_mock.scenario import Scenario, ScenarioError, load_scenario, time_scale_of
from capability_mock.script import Scripts
from capability_mock.service import Service, Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("capability_mock")

#: Exit codes: the service could not run; wrong use.
FAILED, WRONG_USE = 1, 2
#: Between two attempts to reach SQS at the start.
START_AGAIN = 1.0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="capability-mock",
        description="Answers the requests on every cch-<CCH_ENV>-<CCH_OWNER>-capability-*-request-queue.",
    )
    parser.add_argument("--scenario", metavar="FILE", help="scenario to start with (default: default answers)")
    parser.add_argument(
        "--contracts", type=Path, metavar="DIR", default=os.environ.get("CCH_MOCK_CONTRACTS"),
        help="folder of contracts: what their capabilities answer where no scenario says anything",
    )  # fmt: skip
    parser.add_argument("--time-scale", type=_time_scale, metavar="X", help="factor for every 'after' of --scenario")
    parser.add_argument("--control-port", type=int, default=0, metavar="PORT", help="0 (default): any free port")
    parser.add_argument("--control-host", default="127.0.0.1", metavar="HOST", help="default: 127.0.0.1")
    parser.add_argument("--ready-file", type=Path, metavar="PATH", help="JSON with pid and control_url, once polling")
    parser.add_argument(
        "--ack", choices=("late", "early"), default="late",
        help="when a delayed request is deleted: after its reply (default), or as soon as it is scheduled "
        "(lost when the mock is killed)",
    )  # fmt: skip
    parser.add_argument("--wait-seconds", type=_within(0, 20), default=1, metavar="S", help="long poll (default 1)")
    parser.add_argument(
        "--visibility-seconds", type=_within(2, 43200), metavar="S",
        default=os.environ.get("CCH_MOCK_VISIBILITY_SECONDS", "60"),
        help="how long a received request stays hidden; extended twice in that time (default 60)",
    )  # fmt: skip
    parser.add_argument(
        "--discover-seconds", type=_within(1, 3600), default=10, metavar="S",
        help="between two looks for new queues (default 10)",
    )  # fmt: skip
    parser.add_argument(
        "--effects", type=Path, metavar="FILE", default=os.environ.get("CCH_MOCK_EFFECTS"),
        help="append a line for each new command id; a mock that was killed goes on with its file",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="log every call of the control API")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT, then stops within 2 s.

    Exit codes: 0 stopped, 1 cannot run, 2 wrong use.
    """
    chosen = parse_arguments(arguments)
    set_up_logging(verbose=chosen.verbose)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.append(number))
    names = Names.from_environment(os.environ)
    try:
        scenario = load_scenario(chosen.scenario, time_scale=chosen.time_scale) if chosen.scenario else Scenario()
        contracts = Contracts(chosen.contracts)
        queues = connect(names)
    except (ScenarioError, ContractError) as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USE
    except QueueError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED

    record = Record()
    timing = Timing(
        wait=chosen.wait_seconds,
        visibility=chosen.visibility_seconds,
        discover=float(chosen.discover_seconds),
    )
    effects = Effects(chosen.effects) if chosen.effects else None
    desk = Desk(
        scripts=Scripts(scenario),
        record=record,
        names=names,
        clock=time.monotonic,
        effects=effects,
        contracts=contracts,
    )
    exchange = Exchange(
        desk=desk,
        queues=queues,
        record=record,
        clock=time.monotonic,
        visibility=timing.visibility,
        ack_early=chosen.ack == "early",
    )
    service = Service(exchange=exchange, queues=queues, timing=timing)
    control = Control(desk=desk, record=record, exchange=exchange, service=service, queues=queues)
    try:
        server = ControlServer(control, host=chosen.control_host, port=chosen.control_port)
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"cannot listen on {chosen.control_host}:{chosen.control_port}: {error}\n")
        return FAILED
    if chosen.ready_file:
        chosen.ready_file.unlink(missing_ok=True)  # one that a killed mock left behind
    server.start()
    try:
        if not _start(service, signals):
            return 0 if signals else FAILED
        log.info("ready", extra={"control_url": server.url, "prefix": names.request_queue_prefix})
        _write_ready_file(chosen.ready_file, server.url)
        while not signals:
            time.sleep(0.1)
        log.info("stopping", extra={"signal": signal.Signals(signals[0]).name})
    finally:
        server.stop()
        service.stop()
        if chosen.ready_file:
            chosen.ready_file.unlink(missing_ok=True)
    log.info("stopped")
    return 0


def _start(service: Service, signals: list[int]) -> bool:
    """Waits for an SQS that is not there yet; False without credentials, or when told to stop."""
    while not signals:
        try:
            service.start()
        except QueueError as error:
            log.warning("SQS does not answer", extra={"why": str(error)})
            if error.no_credentials:
                return False
            time.sleep(START_AGAIN)
        else:
            return True
    return False


def _write_ready_file(path: Path | None, control_url: str) -> None:
    """In one step, so that a reader never sees half of it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.{os.getpid()}")
        half.write_text(json.dumps({"pid": os.getpid(), "control_url": control_url}) + "\n", encoding="utf-8")
        half.replace(path)


def _time_scale(text: str) -> float:
    try:
        return time_scale_of(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0") from None


class _within:  # noqa: N801 - used as argparse's `type`, where it reads as a function
    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if not self._least <= value <= self._most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self._least} to {self._most}")
        return value


if __name__ == "__main__":
    sys.exit(main())
