"""The typed graph of a definition, its checks, and the plan of Airflow tasks. Pure: no Airflow, no AWS, no clock.

Other packages use the public names of these modules: :func:`cch.graph.plan.plan_of` makes the plan of a definition,
which has the graph and its regions; :func:`cch.graph.checks.check` says what is wrong with a text.
:mod:`cch.graph.codes` has the explanation of each code; the modules that it is made of are for this package alone.
"""

__all__ = [
    "blocks",
    "build",
    "checks",
    "codes",
    "contracted",
    "differences",
    "findings",
    "mermaid",
    "model",
    "plan",
    "planners",
    "regions",
    "scopes",
]
