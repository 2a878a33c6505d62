"""What instances keep of the batches that have changed them, so that no batch changes one twice.

A change names its batch in the gate behind which it is made, and in the record of what was done, which is written
before the gate is opened. So whoever stands behind a closed gate of his own sees what was done before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.runtime.standing_still import RefusedChangeError

if TYPE_CHECKING:
    from cch.ledger.ledger import Ledger
    from cch.ledger.records import ActionRecord


class DoneBeforeError(RefusedChangeError):
    """The batch has done to the instance what it is about to do."""

    code = "CCH-L008"


async def done_by(ledger: Ledger, instance_id: str, batch_id: str) -> ActionRecord | None:
    """What the batch has done to the instance; None: nothing yet."""
    records = await ledger.actions.of_instance(instance_id)
    return next((record for record in records if record.about.get("batch") == batch_id), None)


async def refuse_repetition(ledger: Ledger, instance_id: str, batch_id: str) -> None:
    """:raises DoneBeforeError: the batch has changed the instance already."""
    if await done_by(ledger, instance_id, batch_id) is not None:
        raise DoneBeforeError("this batch has changed the instance before")
