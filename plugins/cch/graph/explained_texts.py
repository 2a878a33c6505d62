"""The codes of times, texts, forms and names that do not fit (``CCH-G115`` and on)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around

TEXTS = (
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
