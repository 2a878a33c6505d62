"""The codes of definitions that are used as they are, and hardly mean what they say (``CCH-G…``)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around

WARNINGS = (
    Explanation(
        code="CCH-G003",
        title="A node does not say where to go after success",
        severity="warning",
        why="The path ends there without an `end`, quietly. Outside of a branch that a join lists, this is "
        "rarely meant.",
        wrong=around("""
            Start: {type: condition, condition_on_key: country, branches: {VN: Done, _default: Note}}
            Note: {type: set_state, static_outputs: {manual: true}}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: condition, condition_on_key: country, branches: {VN: Done, _default: Note}}
            Note: {type: set_state, static_outputs: {manual: true}, on_success: Done}
            Done: {type: end}
        """),
        at="Note: {type",
    ),
    Explanation(
        code="CCH-G101",
        title="A node that no way leads to",
        severity="warning",
        why="It never runs. Often the node is fine, and the way to it was forgotten.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Done}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Done, on_failure: Failed}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """),
        at="Failed: {type",
    ),
    Explanation(
        code="CCH-G102",
        title="A branch may leave past its join",
        severity="warning",
        why="If it does, the join does not fire and what stands behind it does not run, while the rest of the instance "
        "goes on. Some workflows want exactly that; most want every way of the branch to reach the join.",
        wrong=around("""
            Start: {type: fork, branches: [Inspect, Price]}
            Inspect:
              type: condition
              condition_on_key: risk
              branches: {high: Done, _default: Inspected}
            Inspected: {type: end_branch}
            Price: {type: sync_call, capability_id: duty#estimate}
            Both: {type: join, join_branches: [Inspect, Price], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        right=around("""
            Start: {type: fork, branches: [Inspect, Price]}
            Inspect:
              type: condition
              condition_on_key: risk
              branches: {high: Flag, _default: Inspected}
            Flag: {type: set_state, static_outputs: {flagged: true}, on_success: Inspected}
            Inspected: {type: end_branch}
            Price: {type: sync_call, capability_id: duty#estimate}
            Both: {type: join, join_branches: [Inspect, Price], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        at="Inspect:\n    type",
    ),
    Explanation(
        code="CCH-G103",
        title="Nothing handles an ERROR reply",
        severity="warning",
        why="Without `on_failure`, and without a condition on `status` right behind the request, an ERROR reply goes "
        "the same way as a SUCCESS. `error_reply: response` says that this is meant.",
        wrong=around("""
            Start: {type: async_request, capability_id: import#rate, timeout: 1d, on_response: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: async_request, capability_id: import#rate, timeout: 1d, on_response: Done, on_failure: Failed}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """),
        at="Start: {type",
    ),
    Explanation(
        code="CCH-G104",
        title="A key that nothing before the node brings",
        why="Either the key is misspelt, or `initial_context`, the outputs of an earlier node or its `brings` do not "
        "name it. It is a warning where a node before may bring any key, and another key is spelt alike.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, input_keys: [shipmentID], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [shipmentId]
        """),
        right=around("""
            Start: {type: sync_call, capability_id: duty#estimate, input_keys: [shipmentId], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [shipmentId]
        """),
        at="shipmentID",
    ),
    Explanation(
        code="CCH-G105",
        title="A key that only a parallel branch writes",
        severity="warning",
        why="A node sees what the nodes on its own way have written; parallel branches see each other after their "
        "join. A condition would read null here, whatever the other branch does.",
        wrong=around("""
            Start: {type: fork, branches: [Weigh, Decide]}
            Weigh: {type: sync_call, capability_id: cargo#weigh, output_keys: [heavy]}
            Decide: {type: condition, condition_on_key: heavy, branches: {"true": By_Sea, _default: By_Air}}
            By_Sea: {type: set_state, static_outputs: {mode: sea}}
            By_Air: {type: set_state, static_outputs: {mode: air}}
            Both: {type: join, join_branches: [Weigh, Decide], on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: fork, branches: [Weigh, Price]}
            Weigh: {type: sync_call, capability_id: cargo#weigh, output_keys: [heavy]}
            Price: {type: sync_call, capability_id: duty#estimate, output_keys: [duty]}
            Both: {type: join, join_branches: [Weigh, Price], on_success: Decide}
            Decide: {type: condition, condition_on_key: heavy, branches: {"true": By_Sea, _default: By_Air}}
            By_Sea: {type: set_state, static_outputs: {mode: sea}, on_success: Done}
            By_Air: {type: set_state, static_outputs: {mode: air}, on_success: Done}
            Done: {type: end}
        """),
        at="condition_on_key: heavy",
    ),
    Explanation(
        code="CCH-G106",
        title="A capability that nobody serves",
        severity="warning",
        form="environment",
        why="Reported by `cch publish`, which knows the environment. A `sync_call` or `library_call` names something "
        "that nothing is bound to by the settings of this shell (`CCH_CAPABILITY_MODULES`, `CCH_CAPABILITY_BINDINGS`), "
        "or neither the capability's queue nor the fallback queue exists. The node would fail.",
        wrong=around("""
            Start: {type: sync_call, capability_id: core-proces-response, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: core-process-response, on_success: Done}
            Done: {type: end}
        """),
        at="capability_id",
    ),
    Explanation(
        code="CCH-G107",
        title="A wait without any limit",
        severity="warning",
        why="If the reply or the event never comes, the instance waits until somebody cancels it. A `timeout` of the "
        "node says when to go on without it; one at the top of the definition ends the whole instance.",
        wrong=around("""
            Start: {type: event_wait, event_key: released, on_event: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: event_wait, event_key: released, timeout: 30d, on_event: Done, on_timeout: Overdue}
            Overdue: {type: end, status: failed}
            Done: {type: end}
        """),
        at="Start: {type",
    ),
    Explanation(
        code="CCH-G108",
        title="A business status that a reply overwrites",
        severity="warning",
        why="Every reply sets `status` in the context to SUCCESS or ERROR, also where an earlier node, or the reply "
        "itself, has a business value of that name. The condition then never sees that value.",
        wrong=around("""
            Start: {type: async_request, capability_id: import#rate, timeout: 1d, on_response: Decide, on_failure: Done}
            Decide: {type: condition, condition_on_key: status, branches: {RELEASED: Done, _default: Held}}
            Held: {type: end, status: failed}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: async_request, capability_id: import#rate, timeout: 1d, on_response: Decide, on_failure: Done}
            Decide: {type: condition, condition_on_key: customsStatus, branches: {RELEASED: Done, _default: Held}}
            Held: {type: end, status: failed}
            Done: {type: end}
        """),
        at="condition_on_key: status",
    ),
)  # fmt: skip
