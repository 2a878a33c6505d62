"""The codes of keys, ways and waits that do not fit (``CCH-G012`` to ``G114``)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around

FINDINGS = (
    Explanation(
        code="CCH-G012",
        title="A key of a type that the node cannot use",
        why="A map needs a list, a schedule a date as text, `s3#read_jsonpath` the URI of an object as text. What "
        "`initial_context`, a form or a constant says of the key is something else.",
        wrong=around("""
            Start: {type: map_fork, input_list_key: parcels, branch_key: id, branch_entry_node: One}
            One: {type: end_branch}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: {parcels: {type: integer}}
        """),
        right=around("""
            Start: {type: map_fork, input_list_key: parcels, branch_key: id, branch_entry_node: One}
            One: {type: end_branch}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: {parcels: {type: array}}
        """),
        at="input_list_key",
    ),
    Explanation(
        code="CCH-G013",
        title="A branch that no join waits for",
        why="`end_branch` leads to the join that lists its branch. Without one the way ends there, and the instance "
        "may fail with ENDED_NOWHERE.",
        wrong=around("""
            Start: {type: condition, condition_on_key: risk, branches: {high: Held, _default: Done}}
            Held: {type: end_branch}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        right=around("""
            Start: {type: condition, condition_on_key: risk, branches: {high: Held, _default: Done}}
            Held: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        at="Held: {type",
    ),
    Explanation(
        code="CCH-G014",
        title="A library function or parameter that there is not",
        why="The call would fail each time. docs/language.md lists the functions with their parameters.",
        wrong=around("""
            Start:
              type: library_call
              library_function_id: core#calculate_timedelta
              parameters: {date_context_key: planned, timedelta: {day: -10}}
              output_key: due
              on_success: Done
            Done: {type: end}
        """, top="""
            initial_context: [planned]
        """),
        right=around("""
            Start:
              type: library_call
              library_function_id: core#calculate_timedelta
              parameters: {date_context_key: planned, timedelta: {days: -10}}
              output_key: due
              on_success: Done
            Done: {type: end}
        """, top="""
            initial_context: [planned]
        """),
        at="day:",
    ),
    Explanation(
        code="CCH-G109",
        title="A key that only some ways bring",
        severity="warning",
        why="On the way that the message names, the node reads a key that is not there: a request goes out without it, "
        "and an expression or a call fails. Ways of handled failures are not counted.",
        wrong=around("""
            Start: {type: condition, condition_on_key: risk, branches: {high: Inspect, _default: File}}
            Inspect: {type: sync_call, capability_id: cargo#inspect, output_keys: [report], on_success: File}
            File: {type: sync_call, capability_id: entry#file, input_keys: [report], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        right=around("""
            Start: {type: condition, condition_on_key: risk, branches: {high: Inspect, _default: None_Needed}}
            Inspect: {type: sync_call, capability_id: cargo#inspect, output_keys: [report], on_success: File}
            None_Needed: {type: set_state, static_outputs: {report: null}, on_success: File}
            File: {type: sync_call, capability_id: entry#file, input_keys: [report], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [risk]
        """),
        at="report], on_success: Done",
    ),
    Explanation(
        code="CCH-G110",
        title="A join that forgets a branch",
        severity="warning",
        why="The join goes on without waiting for that branch, which arrives all the same.",
        wrong=around("""
            Start: {type: fork, branches: [Weigh, Price, Screen]}
            Weigh: {type: sync_call, capability_id: cargo#weigh, on_success: All}
            Price: {type: sync_call, capability_id: duty#estimate, on_success: All}
            Screen: {type: sync_call, capability_id: party#screen, on_success: All}
            All: {type: join, join_branches: [Weigh, Price], on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: fork, branches: [Weigh, Price, Screen]}
            Weigh: {type: sync_call, capability_id: cargo#weigh, on_success: All}
            Price: {type: sync_call, capability_id: duty#estimate, on_success: All}
            Screen: {type: sync_call, capability_id: party#screen, on_success: All}
            All: {type: join, join_branches: [Weigh, Price, Screen], on_success: Done}
            Done: {type: end}
        """),
        at="join_branches",
    ),
    Explanation(
        code="CCH-G111",
        title="A failure that is tried again without a pause",
        severity="warning",
        why="Whatever was wrong is still wrong a millisecond later. The loop runs as fast as it can until max_visits.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Done, on_failure: Start}
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              retry: {max_attempts: 5, delay: 1m}
              on_success: Done
            Done: {type: end}
        """),
        at="on_failure",
    ),
    Explanation(
        code="CCH-G112",
        title="A way into or out of the body of a map",
        severity="warning",
        why="The body is run for each item by itself. A way out of it does not reach what comes after the map, and a "
        "way into it has no item.",
        wrong=around("""
            Start: {type: map_fork, input_list_key: parcels, branch_key: id, branch_entry_node: Screen}
            Screen: {type: sync_call, capability_id: party#screen, on_success: All}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [parcels]
        """),
        right=around("""
            Start: {type: map_fork, input_list_key: parcels, branch_key: id, branch_entry_node: Screen}
            Screen: {type: sync_call, capability_id: party#screen, on_success: Screened}
            Screened: {type: end_branch}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [parcels]
        """),
        at="on_success: All",
    ),
    Explanation(
        code="CCH-G113",
        title="A way back over a join into one of its branches",
        severity="warning",
        why="The join waits for each of its branches again, and the others never come a second time: the way "
        "ends there.",
        wrong=around("""
            Start: {type: fork, branches: [Weigh, Price]}
            Weigh: {type: sync_call, capability_id: cargo#weigh}
            Price: {type: sync_call, capability_id: duty#estimate, output_keys: [duty]}
            Both: {type: join, join_branches: [Weigh, Price], on_success: Decide}
            Decide: {type: condition, condition_on_key: duty, branches: {"0": Price, _default: Done}}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: fork, branches: [Weigh, Price]}
            Weigh: {type: sync_call, capability_id: cargo#weigh}
            Price: {type: sync_call, capability_id: duty#estimate, output_keys: [duty]}
            Both: {type: join, join_branches: [Weigh, Price], on_success: Decide}
            Decide: {type: condition, condition_on_key: duty, branches: {"0": Start, _default: Done}}
            Done: {type: end}
        """),
        at='"0": Price',
    ),
    Explanation(
        code="CCH-G114",
        title="Two waits that take each other's events",
        severity="warning",
        why="An event goes to any wait of the instance that it fits. Waits side by side need keys by which "
        "events differ.",
        wrong=around("""
            Start: {type: fork, branches: [Customs, Carrier]}
            Customs: {type: event_wait, event_key: status_text, timeout: 5d, on_event: Customs_End, on_timeout: Failed}
            Customs_End: {type: end_branch}
            Carrier: {type: event_wait, event_key: status_text, timeout: 5d, on_event: Carrier_End, on_timeout: Failed}
            Carrier_End: {type: end_branch}
            Both: {type: join, join_branches: [Customs, Carrier], on_success: Done}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            x-ignore: ["CCH-G102: a silent partner ends it"]
        """),
        right=around("""
            Start: {type: fork, branches: [Customs, Carrier]}
            Customs: {type: event_wait, event_key: customs_text, timeout: 5d, on_event: Customs_End, on_timeout: Failed}
            Customs_End: {type: end_branch}
            Carrier: {type: event_wait, event_key: carrier_text, timeout: 5d, on_event: Carrier_End, on_timeout: Failed}
            Carrier_End: {type: end_branch}
            Both: {type: join, join_branches: [Customs, Carrier], on_success: Done}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            x-ignore: ["CCH-G102: a silent partner ends it"]
        """),
        at="Carrier: {type",
    ),
)  # fmt: skip
