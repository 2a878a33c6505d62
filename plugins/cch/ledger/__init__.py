"""What is stored, and who wins when two parties write (docs/adr/0007, docs/guarantees.md).

:class:`cch.ledger.ledger.Ledger` is the way in; other packages use the public names of these modules. They
reach the journal only through it.
"""

__all__ = [
    "audit",
    "batches",
    "belongings",
    "expiry",
    "failures",
    "figures",
    "gates",
    "histograms",
    "holds",
    "instances",
    "ledger",
    "leftovers",
    "listing",
    "mailboxes",
    "messages",
    "payloads",
    "records",
    "requests",
    "rollups",
    "store",
    "versions",
    "waiting",
    "waits",
]
