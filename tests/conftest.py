"""How the tests are shared out between pytest's workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

_STACKS = 2
#: File of tests that need a stack → which of the stacks it gets.
_STACK_OF = {
    f"tests/e2e/{name}": f"stack {number % _STACKS}"
    for number, name in enumerate(sorted(path.name for path in Path(__file__).parent.glob("e2e/test_*.py")))
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The files of tests that need the stack are dealt out among a few stacks, each of which one worker starts once.

    xdist begins with them, as they are the largest scopes, and goes on with the tests that need none.
    (xdist's own groups change the ids of tests, which pytest 9 no longer lets it do.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class StacksApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _STACK_OF.get(nodeid.partition("::")[0], nodeid)

    return StacksApart(config, log)
