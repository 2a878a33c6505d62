"""The codes of what ``validate`` and ``publish`` find, and what keeps nothing from being served."""

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
    Explanation(
        code="CCH-G115",
        title="A limit of time that does not fit",
        severity="warning",
        why="It is never met, or met at once, so a way that the author has drawn is never taken.",
        wrong=around("""
            Start:
              type: async_request
              capability_id: import#enrichment
              timeout: 10d
              on_response: Done
              on_failure: Failed
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            timeout: 5d
        """),
        right=around("""
            Start:
              type: async_request
              capability_id: import#enrichment
              timeout: 2d
              on_response: Done
              on_failure: Failed
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            timeout: 5d
        """),
        at="timeout: 10d",
    ),
    Explanation(
        code="CCH-G116",
        title="A retry that is never used, or never for this reason",
        severity="warning",
        why="One attempt is no repetition, and a code that nothing raises repeats nothing.",
        wrong=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              retry: {max_attempts: 3, delay: 5s, "on": [TIMEOUT]}
              on_success: Done
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              timeout: 1m
              retry: {max_attempts: 3, delay: 5s, "on": [TIMEOUT]}
              on_success: Done
            Done: {type: end}
        """),
        at="TIMEOUT",
    ),
    Explanation(
        code="CCH-G117",
        title="A text that looks like a template",
        severity="warning",
        why="Fixed values are taken as they are. Expressions stand in `outputs`, `input`, `output`, `when` and "
        "`items`.",
        wrong=around("""
            Start: {type: set_state, static_outputs: {note: "entry of {{ shipmentId }}"}, on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [shipmentId]
        """),
        right=around("""
            Start: {type: set_state, outputs: {note: "{% 'entry of ' & shipmentId %}"}, on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [shipmentId]
        """),
        at="note:",
    ),
    Explanation(
        code="CCH-G118",
        title="A capability in two spellings",
        severity="warning",
        why="They are two capabilities to the platform, and requests to one of them may have nobody who serves them.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Again}
            Again: {type: sync_call, capability_id: duty#Estimate, on_success: Last}
            Last: {type: sync_call, capability_id: duty#estimate, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Again}
            Again: {type: sync_call, capability_id: duty#estimate, on_success: Last}
            Last: {type: sync_call, capability_id: duty#estimate, on_success: Done}
            Done: {type: end}
        """),
        at="capability_id: duty#Estimate",
    ),
    Explanation(
        code="CCH-G119",
        title="A form that cannot bring what is needed",
        severity="warning",
        why="A person fills in what the schema describes. What it does not describe or require may be missing.",
        wrong=around("""
            Start:
              type: event_wait
              timeout: 5d
              event_key: decision
              payload_schema: {type: object, properties: {comment: {type: string}}}
              on_event: Done
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: event_wait
              timeout: 5d
              event_key: decision
              payload_schema:
                type: object
                required: [decision]
                properties: {decision: {type: string}, comment: {type: string}}
              on_event: Done
            Done: {type: end}
        """),
        at="event_key",
    ),
    Explanation(
        code="CCH-G120",
        title="A way that nothing takes",
        severity="advice",
        why="The node cannot fail, or its failure goes another way. Whoever reads the definition looks for a reason.",
        wrong=around("""
            Start: {type: set_state, static_outputs: {stage: NEW}, on_success: Done, on_failure: Failed}
            Failed: {type: end, status: failed}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: set_state, static_outputs: {stage: NEW}, on_success: Done}
            Done: {type: end}
        """),
        at="on_failure",
    ),
    Explanation(
        code="CCH-G121",
        title="A key that nobody reads, spelt like one that is read",
        severity="warning",
        why="The value goes under a name that nobody looks for, and whoever needs it finds an older one, or none.",
        wrong=around("""
            Start: {type: sync_call, capability_id: a#b, output_keys: [dutyRate], on_success: File, on_failure: Unknown}
            Unknown: {type: set_state, static_outputs: {duty_rate: 0}, on_success: File}
            File: {type: sync_call, capability_id: entry#file, input_keys: [dutyRate], on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: a#b, output_keys: [dutyRate], on_success: File, on_failure: Unknown}
            Unknown: {type: set_state, static_outputs: {dutyRate: 0}, on_success: File}
            File: {type: sync_call, capability_id: entry#file, input_keys: [dutyRate], on_success: Done}
            Done: {type: end}
        """),
        at="duty_rate",
    ),
)  # fmt: skip
