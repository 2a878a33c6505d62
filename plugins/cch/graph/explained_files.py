"""The codes of files that cannot be read, or that the schema does not allow (``CCH-D…``)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around, written

FILES = (
    Explanation(
        code="CCH-D001",
        title="The file is not YAML",
        why="Nothing of the file can be used before it can be read: one mapping, in YAML, saved as UTF-8. The place "
        "is where reading stopped; the mistake may stand a line or two before it.",
        wrong=written("""
            workflow_id: example_v1
            workflow_name: Import: first try
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        right=written("""
            workflow_id: example_v1
            workflow_name: "Import: first try"
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        at=": first try",
    ),
    Explanation(
        code="CCH-D002",
        title="A key appears twice",
        why="YAML readers keep one of the two and say nothing, so a node or a setting would be lost without a trace.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Record}
            Record: {type: set_state, static_outputs: {step: first}, on_success: Done}
            Record : {type: set_state, static_outputs: {step: second}, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Record}
            Record: {type: set_state, static_outputs: {step: first}, on_success: Record_Again}
            Record_Again: {type: set_state, static_outputs: {step: second}, on_success: Done}
            Done: {type: end}
        """),
        at="Record :",
    ),
    Explanation(
        code="CCH-D003",
        title="The file is too large or too deep",
        why="A definition has at most 1 MiB and 50 levels; once its anchors are written out 200,000 values and 4 MiB; "
        "2,000 nodes, which name others at most 10,000 times. An anchor that contains itself would never end.",
        wrong=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              on_success: Done
              retry: &patient {max_attempts: 3, delay: 5s, x-then: *patient}
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              on_success: Again
              retry: &patient {max_attempts: 3, delay: 5s}
            Again:
              type: sync_call
              capability_id: duty#record
              on_success: Done
              retry: *patient
            Done: {type: end}
        """),
        at="&patient",
    ),
    Explanation(
        code="CCH-D004",
        title="A value that JSON does not have",
        why="Contexts and messages are JSON: text, numbers, true, false, null, lists, and mappings with plain keys. "
        "Infinity, tags and keys made of lists could not be sent to anyone.",
        wrong=around("""
            Start: {type: set_state, static_outputs: {limit: .inf}, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: set_state, static_outputs: {limit: 1000000}, on_success: Done}
            Done: {type: end}
        """),
        at=".inf",
    ),
    Explanation(
        code="CCH-D007",
        title="A tag on a mapping or list",
        why="Tags ask a YAML reader to make something of the value that only it knows. Here they have no effect, and "
        "what the author meant would be lost. A definition that is already served with one goes on being served.",
        wrong=around("""
            Start: {type: set_state, static_outputs: !customs {released: true}, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: set_state, static_outputs: {released: true}, on_success: Done}
            Done: {type: end}
        """),
        at="!customs",
    ),
    Explanation(
        code="CCH-D027",
        title="A JSON Schema that cannot be used",
        why="The schema of a key in `initial_context`, or a `payload_schema`, is applied at every start or event. A "
        "type that there is not, a bad pattern, a misspelt keyword or a reference that leads out of the definition "
        "would refuse everything, or check nothing. Nothing is ever fetched from elsewhere.",
        wrong=around("""
            Start: {type: end}
        """, top="""
            initial_context:
              shipmentId: {type: sting}
        """),
        right=around("""
            Start: {type: end}
        """, top="""
            initial_context:
              shipmentId: {type: string}
        """),
        at="type: sting",
    ),
    Explanation(
        code="CCH-D028",
        title="A reserved workflow_id",
        why="Ids that begin with `cch_` are kept for the platform's own DAGs, such as the dispatcher `cch_commands`: a "
        "workflow under its name would end all starts.",
        wrong=written("""
            workflow_id: cch_commands
            workflow_name: Commands
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        right=written("""
            workflow_id: commands_v1
            workflow_name: Commands
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        at="workflow_id",
    ),
    Explanation(
        code="CCH-D029",
        title="A time zone that there is not",
        why="Zones have the names of the IANA database, such as `Europe/Brussels` or `UTC`. The node would fail.",
        wrong=around("""
            Start:
              type: scheduled_request
              capability_id: filing#submit
              schedule_parameters: {date_context_key: arrival, timezone: Brussels}
              timeout: 2d
              on_response: Done
              on_failure: Done
            Done: {type: end}
        """, top="""
            initial_context: [arrival]
        """),
        right=around("""
            Start:
              type: scheduled_request
              capability_id: filing#submit
              schedule_parameters: {date_context_key: arrival, timezone: Europe/Brussels}
              timeout: 2d
              on_response: Done
              on_failure: Done
            Done: {type: end}
        """, top="""
            initial_context: [arrival]
        """),
        at="timezone: Brussels",
    ),
    Explanation(
        code="CCH-D021",
        title="An unknown key",
        why="A misspelt key would have no effect, and nobody would notice. Notes of your own may stand under keys that "
        "begin with `x-`.",
        wrong=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              on_sucess: Done
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              on_success: Done
              x-owner: team duty
            Done: {type: end}
        """),
        at="on_sucess",
    ),
    Explanation(
        code="CCH-D022",
        title="A required key is missing",
        why="The node (or the definition) cannot do its work without it. The place is what the key is missing in.",
        wrong=around("""
            Start:
              type: log_error
              default_error_code: NO_PACKS
              on_success: Done
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: log_error
              default_error_code: NO_PACKS
              default_message: There is nothing to file
              on_success: Done
            Done: {type: end}
        """),
        at="Start:\n    type",
    ),
    Explanation(
        code="CCH-D023",
        title="Not one of the allowed values",
        why="Some keys take a word from a fixed list, such as `type`; the hint says which.",
        wrong=around("""
            Start: {type: asynch_request, capability_id: import#enrichment, on_response: Done, on_failure: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: async_request, capability_id: import#rate, timeout: 1d, on_response: Done, on_failure: Done}
            Done: {type: end}
        """),
        at="type: asynch_request",
    ),
    Explanation(
        code="CCH-D024",
        title="A value of the wrong type",
        why="Text stands where a number is needed, one value where a list is needed, or the like.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, input_keys: shipmentId, on_success: Done}
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
        at="input_keys: shipmentId",
    ),
    Explanation(
        code="CCH-D025",
        title="A value of a form that is not allowed",
        why="Ids, node names and durations have a fixed form, because they become names of DAGs, tasks and queues, or "
        "are computed with. Durations are `30s`, `15m`, `2h`, `3d` or ISO 8601 such as `PT15M`.",
        wrong=around("""
            Start: {type: event_wait, timeout: 5 minutes, on_event: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: event_wait, timeout: 5m, on_event: Done}
            Done: {type: end}
        """),
        at="timeout: 5 minutes",
    ),
    Explanation(
        code="CCH-D026",
        title="Something else that the schema does not allow",
        why="An empty list, a number out of its range, a name that is too long, or keys that do not fit together. The "
        "message says which.",
        wrong=around("""
            Start: {type: fork, branches: []}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: fork, branches: [Done]}
            Done: {type: end}
        """),
        at="branches: []",
    ),
    Explanation(
        code="CCH-D030",
        title="A scenario that cannot be played",
        why="A misspelt key in a scenario would leave out an answer or an expectation, and the test would prove less "
        "than it seems to.",
        form="scenario",
        wrong=written("""
            name: released after a day
            capabilities:
              declarationcommunicator#submit_import_filing:
                - {payload: {submissionStatus: SUCCESS}, after: 2m}
            events:
              - {afer: 26h, payload: {customStatus: RELEASED}}
            expect: {status: completed}
        """),
        right=written("""
            name: released after a day
            capabilities:
              declarationcommunicator#submit_import_filing:
                - {payload: {submissionStatus: SUCCESS}, after: 2m}
            events:
              - {after: 26h, payload: {customStatus: RELEASED}}
            expect: {status: completed}
        """),
        at="afer",
    ),
)  # fmt: skip

READINGS = (
    Explanation(
        code="CCH-D005",
        title="A value that somebody might have meant otherwise",
        severity="warning",
        why="Without quotes this is a number, and as a number it is written in another way: the zero at the end of "
        "a tariff code, or the digits that a double cannot hold, would be gone. Quotes keep the text as it stands.",
        wrong=around("""
            Start: {type: set_state, static_outputs: {hts: 8471.30}, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: set_state, static_outputs: {hts: "8471.30"}, on_success: Done}
            Done: {type: end}
        """),
        at="8471.30",
    ),
    Explanation(
        code="CCH-D006",
        title="Something that older instances read otherwise",
        severity="warning",
        why="Scalars are read as JSON writes them, and everything else is text. Instances that began before this was "
        "the rule go on to their end by YAML 1.1, where `NO` is false, `0101` is 65 and `22:30:00` is 81000. The same "
        "is said of paths with dots in places where these were part of the key, of JSONPath expressions that may match "
        "several values, and of a `timeout` of 0s. Write what cannot be read in two ways.",
        wrong=around("""
            Start: {type: set_state, static_outputs: {originCountry: NO}, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: set_state, static_outputs: {originCountry: "NO"}, on_success: Done}
            Done: {type: end}
        """),
        at="NO}",
    ),
)  # fmt: skip
