"""The codes of definitions whose nodes do not fit together (``CCH-G…``)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around, written

ERRORS = (
    Explanation(
        code="CCH-G001",
        title="A way leads to a node that does not exist",
        why="The instance would stop there without knowing where to go. It is mostly a misspelt name.",
        wrong=around("""
            Start: {type: entry, next: Dnoe}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: entry, next: Done}
            Done: {type: end}
        """),
        at="next: Dnoe",
    ),
    Explanation(
        code="CCH-G002",
        title="No way leads to an end",
        why="Such an instance can never be completed. `end_branch` closes a branch of a fork or map, not a workflow.",
        wrong=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Done}
            Done: {type: end_branch}
        """),
        right=around("""
            Start: {type: sync_call, capability_id: duty#estimate, on_success: Done}
            Done: {type: end}
        """),
        at="entry_point",
    ),
    Explanation(
        code="CCH-G004",
        title="A join can never fire",
        why="A join waits for every branch of its list. One that ends elsewhere, or that nothing starts, keeps it "
        "waiting forever, and nothing behind it runs.",
        wrong=around("""
            Start: {type: fork, branches: [Price, Weigh]}
            Price: {type: sync_call, capability_id: duty#estimate, on_success: Priced}
            Priced: {type: end_branch}
            Weigh: {type: sync_call, capability_id: cargo#weigh, on_success: Weighed}
            Weighed: {type: set_state, static_outputs: {weighed: true}, on_success: Done}
            Both: {type: join, join_branches: [Price, Weighed], on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: fork, branches: [Price, Weigh]}
            Price: {type: sync_call, capability_id: duty#estimate, on_success: Priced}
            Priced: {type: end_branch}
            Weigh: {type: sync_call, capability_id: cargo#weigh, on_success: Weighed}
            Weighed: {type: end_branch}
            Both: {type: join, join_branches: [Price, Weighed], on_success: Done}
            Done: {type: end}
        """),
        at="Weighed], on_success",
    ),
    Explanation(
        code="CCH-G005",
        title="A loop without a wait, a call or an exit",
        why="Without a request, a wait or a call nothing can change from round to round, and the loop only burns its "
        "`max_visits`; without a way out it always ends in that failure.",
        wrong=around("""
            Start:
              type: condition
              condition_on_key: released
              branches: {"true": Done, _default: Note}
            Note: {type: set_state, static_outputs: {waiting: true}, on_success: Start}
            Done: {type: end}
        """),
        right=around("""
            Start:
              type: condition
              condition_on_key: released
              branches: {"true": Done, _default: Wait}
            Wait: {type: event_wait, timeout: 7d, on_event: Start}
            Done: {type: end}
        """),
        at="Start:\n    type",
    ),
    Explanation(
        code="CCH-G006",
        title="The body of a map never ends",
        why="Each item runs through the body by itself and is done at an `end_branch`. The map starts the next items; "
        "a body that leads back to it would start the whole map again.",
        wrong=around("""
            Start:
              type: map_fork
              input_list_key: packs
              branch_key: packId
              branch_entry_node: Submit
            Submit: {type: async_request, capability_id: filing#submit, on_response: Start, on_failure: Start}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [packs]
            timeout: 7d
        """),
        right=around("""
            Start:
              type: map_fork
              input_list_key: packs
              branch_key: packId
              branch_entry_node: Submit
            Submit: {type: async_request, capability_id: filing#submit, on_response: Item_Done, on_failure: Item_Done}
            Item_Done: {type: end_branch}
            All: {type: join, join_branches: [Start], on_success: Done}
            Done: {type: end}
        """, top="""
            initial_context: [packs]
            timeout: 7d
        """),
        at="Start:\n    type",
    ),
    Explanation(
        code="CCH-G007",
        title="Two definitions have one workflow_id",
        why="The `workflow_id` is the DAG's id. Two files with one id are mostly a copy whose id was forgotten. If "
        "they are meant as tracks of one workflow, each started by its file's name, use `--tracks`.",
        beside=around("""
            Start: {type: end}
        """),
        wrong=written("""
            workflow_id: example_v1
            workflow_name: Export, copied from the example
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        right=written("""
            workflow_id: export_v1
            workflow_name: Export, copied from the example
            entry_point: Start
            nodes:
              Start: {type: end}
        """),
        at="workflow_id",
    ),
    Explanation(
        code="CCH-G008",
        title="A label that no value can have",
        why="A condition compares the label with the whole value: text as it is, booleans, null and numbers as JSON "
        "writes them. `True` or `1.50` without quotes, or a comparison such as `>= 80`, never match, and the instance "
        "would always take another way.",
        wrong=around("""
            Start: {type: condition, condition_on_key: risky, branches: {True: Inspect, _default: Done}}
            Inspect: {type: sync_call, capability_id: cargo#inspect, on_success: Done}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: condition, condition_on_key: risky, branches: {true: Inspect, _default: Done}}
            Inspect: {type: sync_call, capability_id: cargo#inspect, on_success: Done}
            Done: {type: end}
        """),
        at="True: Inspect",
    ),
    Explanation(
        code="CCH-G009",
        title="A path that can never match",
        why="Paths into the context have one key or index a step, with dots between: `orders.0.lines`. A dot that "
        "belongs to a key is written `\\.`. Keys that begin with `_` are never sent to a capability.",
        wrong=around("""
            Start: {type: condition, condition_on_key: "orders[0].hts", branches: {"9999": Done, _default: Done}}
            Done: {type: end}
        """),
        right=around("""
            Start: {type: condition, condition_on_key: orders.0.hts, branches: {"9999": Done, _default: Done}}
            Done: {type: end}
        """),
        at="condition_on_key",
    ),
    Explanation(
        code="CCH-G010",
        title="An expression that cannot be used",
        why="It is not JSONata, or uses a name or function that it may not use at its place. The column is inside the "
        "expression. Keys of the context are written without `$`.",
        wrong=around("""
            Start:
              type: condition
              choices: [{when: "{% value <= and risk = 'LOW' %}", next: Done}]
              default: Failed
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            initial_context: [value, risk]
        """),
        right=around("""
            Start:
              type: condition
              choices: [{when: "{% value <= 2500 and risk = 'LOW' %}", next: Done}]
              default: Failed
            Failed: {type: end, status: failed}
            Done: {type: end}
        """, top="""
            initial_context: [value, risk]
        """),
        at="risk = 'LOW'",
    ),
    Explanation(
        code="CCH-G011",
        title="Two keys say the same in two ways",
        why="`input` stands instead of `input_keys`, `output` instead of the output keys, `choices` instead of "
        "`condition_on_key` and `branches`, and `items` instead of `input_list_key`. With both, one would be ignored.",
        wrong=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              input_keys: [weight]
              input: {kilos: "{% weight %}"}
              on_success: Done
            Done: {type: end}
        """, top="""
            initial_context: [weight]
        """),
        right=around("""
            Start:
              type: sync_call
              capability_id: duty#estimate
              input: {kilos: "{% weight %}"}
              on_success: Done
            Done: {type: end}
        """, top="""
            initial_context: [weight]
        """),
        at="input_keys",
    ),
    Explanation(
        code="CCH-G900",
        title="A checked definition cannot be compiled",
        why="The checks found nothing and making the DAG failed all the same. That is a mistake of the platform: "
        "please report it with the definition. Other definitions are served meanwhile.",
    ),
)  # fmt: skip
