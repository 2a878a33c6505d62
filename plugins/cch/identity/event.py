"""The sender's id of an event, by which a repetition is recognised."""

from __future__ import annotations

import hashlib

from cch.identity.scheme import FIRST_SCHEME

#: Longest id, in bytes, that stands in a key as it is: sort keys hold 1,024, and a source has up to 800.
_LONGEST_ID = 200


def event_identity(source: str, event_id: str, scheme: int) -> str:
    """Sort key of an event. An id that is too long for a key is named by its hash.

    The source's length keeps both apart; the first scheme relies on sources without ``#``.
    """
    fits = len(event_id.encode()) <= _LONGEST_ID
    shown = event_id if fits else hashlib.sha256(event_id.encode()).hexdigest()
    if scheme == FIRST_SCHEME:
        return f"EID#{source}#{shown}"
    return f"EID#{len(source)}#{'=' if fits else '~'}{source}#{shown}"
