"""Whatever somebody's code raises is the failure of the node that called it."""

from __future__ import annotations

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
