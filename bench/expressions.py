"""What expressions cost, and what one at its bounds does to others that wait in the same process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

from bench.figures import Figures
from cch.expressions.expression import FailedError, expression_of

CONTEXT = {
    "value": 1200,
    "risk": "LOW",
    "lines": [{"v": n, "agency": "FDA" if n % 7 == 0 else None} for n in range(1000)],
}
CHEAP = {
    "a condition of four terms": "value <= 2500 and risk = 'LOW' and $not(lines[0].agency) and $exists(lines)",
    "a sum over 1,000 lines": "$sum(lines.v)",
    "a filter of 1,000 lines": "$count(lines[agency])",
}
HOSTILE = {
    "a loop that meets the steps": "($f := function($n) { $f($n + 1) }; $f(1))",
    "a list that doubles": "$reduce([1..60], function($a, $b) { $append($a, $a) }, [1])",
    "a text that doubles": "$reduce([1..60], function($a, $b) { $a & $a }, 'aaa')",
    "a pattern that would backtrack": "$contains($pad('a', 200000, 'a') & 'b', /(a+)+$/)",
}
#: Wakes that are looked at, and the pause between them (s): a waiter that goes on when its time has come.
WAKES, PAUSE = 1_000, 0.002


def _evaluated(text: str) -> None:
    expression = expression_of(f"{{% {text} %}}")
    assert expression is not None
    try:
        expression.value(CONTEXT, {})
    except FailedError:
        pass


def _seconds(text: str, times: int) -> float:
    _evaluated(text)
    begun = time.perf_counter()
    for _ in range(times):
        _evaluated(text)
    return (time.perf_counter() - begun) / times


async def _wakes(beside: Callable[[], Awaitable[None]] | None) -> list[float]:
    """By how many seconds each of many timers was late."""
    other = asyncio.ensure_future(beside()) if beside else None
    late = []
    for _ in range(WAKES):
        due = time.perf_counter() + PAUSE
        await asyncio.sleep(PAUSE)
        late.append(time.perf_counter() - due)
    if other:
        other.cancel()
    return late


def _beside(text: str) -> list[float]:
    async def run() -> list[float]:
        with ThreadPoolExecutor(1) as pool:

            async def keep() -> None:
                loop = asyncio.get_running_loop()
                while True:
                    await loop.run_in_executor(pool, _evaluated, text)

            return await _wakes(keep if text else None)

    return asyncio.run(run())


def _row(label: str, late: list[float]) -> tuple[str, tuple[str, float, float, float]]:
    return label, ("", median(late) * 1000, quantiles(late, n=100)[98] * 1000, max(late) * 1000)


def measure_expressions() -> Figures:
    """Ms an evaluation, and by how many ms timers of one event loop are late beside one that goes on and on."""
    rows: list[tuple[str, tuple[object, ...]]] = [
        (label, (f"{_seconds(text, 20) * 1000:.3f}", "", "", "")) for label, text in {**CHEAP, **HOSTILE}.items()
    ]
    rows.append(_row("wakes beside nothing", _beside("")))
    rows += [_row(f"wakes beside {label}", _beside(text)) for label, text in HOSTILE.items()]
    return Figures(
        title="expressions, and the other waiters of a triggerer beside one that is at its bounds",
        columns=("ms each", "late p50 ms", "late p99 ms", "late max ms"),
        rows=tuple(rows),
        notes=(f"{WAKES} timers of {PAUSE * 1000:g} ms in one event loop; one thread evaluates without a pause",),
    )
