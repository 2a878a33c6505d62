"""Business values under ``status``, which every reply overwrites."""

from __future__ import annotations

from collections.abc import Iterator

from cch.definition.document import Document
from cch.definition.kinds import Requesting
from cch.definition.schema import did_you_mean
from cch.errors import Problem
from cch.graph.model import STATUS, Graph

#: What a reply makes of it.
REPLIES = frozenset({"SUCCESS", "ERROR"})
#: Labels that fit that; null: none has come yet.
_OF_REPLIES = REPLIES | {"_default", "null"}
_HINT = "keep the business value under another key"


def _written(graph: Graph) -> set[str] | None:
    """The texts that nodes write under ``status``; None if a call may write any."""
    texts: set[str] = set()
    for node in graph.nodes.values():
        written = any(write.text == STATUS for write in node.writes())
        if node.effect == "calls" and (written or node.writes_anything):
            return None
        texts |= {str(value) for key, value in node.constants.items() if key == STATUS}
    return texts


def meant_status(label: str) -> str:
    """Which of a reply's labels is meant, as a hint; "" if none."""
    return did_you_mean(label.upper(), REPLIES)


def overwritten_status(graph: Graph, document: Document) -> Iterator[Problem]:
    """Where a reply takes away what an author, or the reply itself, means by ``status``."""
    asking = [name for name, node in graph.nodes.items() if isinstance(node, Requesting)]
    for name in asking:
        written = document.data["nodes"][name]
        key = "request_output_keys" if "request_output_keys" in written else "output_keys"
        for index, output in enumerate(written.get(key) or ()):
            if output == STATUS:
                message = f"what {name!r} is answered as 'status' is lost: the reply sets it to SUCCESS or ERROR"
                yield document.problem(("nodes", name, key, index), "CCH-G108", message, _HINT, warning=True)
    written_texts = _written(graph)
    for name, node in graph.nodes.items():
        if not graph.decides_by_status(name) or written_texts is None:
            continue
        known = _OF_REPLIES | written_texts
        others = [label for label in node.labels if label not in known and not meant_status(label)]
        before = next((asker for asker in asking if name in graph.ahead[asker]), None)
        if others and before is not None:
            message = (
                f"{name!r} looks for {others[0]!r:.60}, but the reply to {before!r} sets status to SUCCESS or ERROR"
            )
            yield document.problem(
                ("nodes", name, "condition_on_key"), "CCH-G108", message, _HINT, warning=True
            )  # fmt: skip
