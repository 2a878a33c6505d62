"""Identities as values: what a scope, a step, a box and an address are called, in one text form each.

The forms are stored and sent, and a change of one is a new *scheme*: an instance keeps the scheme that it was created
with to its end, so that everything it opens later fits what it opened before.
"""

from cch.identity.address import THE_INSTANCE, Address, branch_text, shown
from cch.identity.box import Box
from cch.identity.event import event_identity
from cch.identity.scheme import FIRST_SCHEME, NEWEST_SCHEME, UnknownSchemeError, require_known
from cch.identity.scope import ROOT, ItemStep, Scope, map_key
from cch.identity.step import NAMESPACE, Keys, Step

__all__ = [
    "FIRST_SCHEME",
    "NAMESPACE",
    "NEWEST_SCHEME",
    "ROOT",
    "THE_INSTANCE",
    "Address",
    "Box",
    "ItemStep",
    "Keys",
    "Scope",
    "Step",
    "UnknownSchemeError",
    "branch_text",
    "event_identity",
    "map_key",
    "require_known",
    "shown",
]
