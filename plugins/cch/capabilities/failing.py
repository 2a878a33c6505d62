"""Whatever somebody's code raises is the failure of the node that called it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cch.errors import CapabilityError, CchError


@contextmanager
def as_failure(what: str) -> Iterator[None]:
    """Turn what the code inside raises into a :class:`CapabilityError` that begins with ``what``.

    In a thread it has to stand around the call itself: asyncio cannot carry a StopIteration out of one.
    """
    try:
        yield
    except CapabilityError:
        raise
    except CchError as error:
        raise CapabilityError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise CapabilityError(f"{what} failed: {type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:
        if _is_being_cancelled():
            raise
        raise CapabilityError(f"{what} failed: CancelledError: something that it waited for was cancelled") from error


def _is_being_cancelled() -> bool:
    """Whether somebody cancels the task in which this runs: otherwise a cancellation is the code's own."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.cancelling() > 0
