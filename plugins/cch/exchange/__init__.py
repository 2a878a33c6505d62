"""What regions ask and what comes back: requests, waits for events, early and late answers, supersession.

:class:`Exchange` is the way in. A request's item and its pointer, a wait and its event are opened and closed here
only; who sends and receives over queues is :mod:`cch.messaging`.
"""

from cch.exchange.asking import Sent, Unsent
from cch.exchange.events import takes
from cch.exchange.exchange import Exchange
from cch.exchange.references import References
from cch.exchange.settled import Settled
from cch.exchange.waiters import Waiters, Wake
from cch.ledger.requests import Closed

__all__ = ["Closed", "Exchange", "References", "Sent", "Settled", "Unsent", "Waiters", "Wake", "takes"]
