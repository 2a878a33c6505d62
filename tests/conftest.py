"""How the tests are shared out between pytest's workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

_STACKS = 2
_ON_STACKS = sorted(f"tests/e2e/{path.name}" for path in Path(__file__).parent.glob("e2e/test_*.py"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The files of tests that need the stack are dealt out among a few stacks, each of which one worker starts once.

    They mostly wait, so two of them take half of the time; xdist begins with them, and with the others when they end.
    (xdist's own groups change the ids of tests, which pytest 9 no longer lets it do.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class StacksApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return f"stack {_ON_STACKS.index(file) % _STACKS}" if file in _ON_STACKS else nodeid

    return StacksApart(config, log)
