"""Expressions in definitions: JSONata, with every evaluation bounded and the same at every replay."""

__all__ = ["computing", "expression", "matching", "patterns"]
