"""Where an instance stands while nobody executes any of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cch.errors import CchError
from cch.graph.plan import Plan
from cch.interpreter.amendments import Amendments
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import JournalState, flow_of
from cch.ledger.records import InstanceView, MapItem, RequestRecord
from cch.ledger.waits import WaitRecord


class RefusedChangeError(CchError):
    """The instance cannot be changed so from where it stands."""

    code = "CCH-L007"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an instance stands, as far as the ledger tells.

    ``journals``: of its regions that have begun, by the name under which they are recorded. ``requests`` and ``waits``:
    what is open, also of items of maps; ``items``: those that have begun.
    """

    plan: Plan
    view: InstanceView
    journals: Mapping[str, JournalState]
    requests: Sequence[RequestRecord] = ()
    waits: Sequence[WaitRecord] = ()
    items: Sequence[MapItem] = ()

    def recorded(self) -> Iterator[tuple[str, Sequence[Outcome]]]:
        """The visits of the root that count, by the region that has recorded them."""
        under_way = self.unfinished
        yield from ((exit_.region, exit_.outcomes) for exit_ in self.view.exits if exit_.region not in under_way)
        yield from ((region, tuple(self.journals[region].outcomes.values())) for region in under_way)

    @property
    def outcomes(self) -> list[Outcome]:
        """All visits of the root that count."""
        return [outcome for _, outcomes in self.recorded() for outcome in outcomes]

    @property
    def unfinished(self) -> list[str]:
        """Regions that have begun and have not left, by the name under which they are recorded."""
        left = {exit_.region: exit_.task_instance for exit_ in self.view.exits if not exit_.unfinished}
        return [
            region
            for region, state in self.journals.items()
            if region not in left or state.task_instance > left[region]
        ]

    def flow(self, plan: Plan, amendments: Amendments) -> TokenFlow:
        """Its tokens, read by a plan."""
        return flow_of(plan, self.view.instance.context, self.outcomes, amendments)
