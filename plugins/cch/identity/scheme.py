"""Which forms an instance's identities have: fixed when it is created, stored with it."""

from __future__ import annotations

from cch.errors import CchError

#: Instances without a stored scheme: texts joined by ``/`` and ``#``, calls without scope or generation.
FIRST_SCHEME = 1
#: What new instances get: every text is injective, and keys hold the scope and the generation (docs/adr/0020).
NEWEST_SCHEME = 2


class UnknownSchemeError(CchError):
    """A later release made this instance; this process leaves it alone until it is updated."""

    code = "CCH-L003"


def require_known(scheme: int, instance: str) -> None:
    """:raises UnknownSchemeError: the instance's identities have forms that this release does not know."""
    if not FIRST_SCHEME <= scheme <= NEWEST_SCHEME:
        raise UnknownSchemeError(
            f"instance {instance} has identities of scheme {scheme}, and this release knows {NEWEST_SCHEME} at most:"
            " it is left alone until this process runs the release that made it, or a later one"
        )
