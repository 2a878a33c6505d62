"""The codes of contracts of capabilities, and of definitions that do not keep them (``CCH-K001`` to ``K106``)."""

from __future__ import annotations

from cch.graph.explanation import Explanation, around, written

_HEAD = "id: screening#party\ntitle: Screen a party\n"
#: The contract to which the definitions below are held.
_SCREENING = _HEAD + written("""
    enforce: fail
    request:
      type: object
      required: [party]
      properties: {party: {type: object}, country: {type: string}}
      additionalProperties: false
    replies:
      SUCCESS:
        type: object
        required: [verdict]
        properties: {verdict: {enum: [CLEAR, HELD]}}
        additionalProperties: false
    errors: {BUSY: Another attempt may succeed., UNKNOWN_PARTY: No such party.}
    answers: {usual: 10m, longest: 1d}
    idempotency: none
""")


def _asking(keys: str) -> str:
    return around(f"""
        Start:
          type: async_request
          capability_id: screening#party
          {keys}
          on_response: Done
          on_failure: Failed
        Failed: {{type: end, status: failed}}
        Done: {{type: end}}
    """, top="""
        initial_context: {party: {type: object}, country: {type: string}, score: {type: number}}
        timeout: 9d
    """)  # fmt: skip


def _contract(rest: str) -> str:
    return _HEAD + written(rest)


CONTRACTS = (
    Explanation(
        code="CCH-K001",
        title="An example that its own contract does not allow",
        why="People and the mock go by examples. One of the two is wrong: the example, or the schema.",
        form="contract",
        wrong=_contract("""
            replies: {SUCCESS: {type: object, required: [verdict]}}
            examples:
              - reply: {payload: {verdicts: CLEAR}}
        """),
        right=_contract("""
            replies: {SUCCESS: {type: object, required: [verdict]}}
            examples:
              - reply: {payload: {verdict: CLEAR}}
        """),
        at="reply: {payload",
    ),
    Explanation(
        code="CCH-K002",
        title="Two contracts for one capability",
        why="Nobody could tell which one a request has to keep.",
        form="contract",
        beside=_HEAD,
        wrong=_HEAD,
        right="id: screening#parcel\ntitle: Screen a parcel\n",
        at="id: screening",
    ),
    Explanation(
        code="CCH-K003",
        title="Times of an answer that do not fit",
        why="The usual time is at most the longest one, and both are lengths of time.",
        form="contract",
        wrong=_HEAD + "answers: {usual: 2d, longest: 1h}\n",
        right=_HEAD + "answers: {usual: 1h, longest: 2d}\n",
        at="usual: 2d",
    ),
    Explanation(
        code="CCH-K004",
        title="No answer can be made from the schema",
        why="Where no scenario says what a capability answers, the mock and `cch simulate` answer an example, or else "
        "what the schema describes. A pattern, for example, describes no text that could be made.",
        severity="warning",
        form="contract",
        wrong=_contract("""
            replies:
              SUCCESS: {type: object, required: [id], properties: {id: {type: string, pattern: "^P-[0-9]+$"}}}
        """),
        right=_contract("""
            replies:
              SUCCESS: {type: object, required: [id], properties: {id: {type: string, pattern: "^P-[0-9]+$"}}}
            examples: [{reply: {payload: {id: P-7}}}]
        """),
        at="SUCCESS: {type",
    ),
    Explanation(
        code="CCH-K005",
        title="A pattern that contracts cannot have",
        why="Replies are checked where thousands of instances wait. A pattern that looks ahead or behind, or refers "
        "back, may take hours for one text.",
        form="contract",
        wrong=_HEAD + 'request: {type: object, properties: {code: {type: string, pattern: "^(?!0)[0-9]+$"}}}\n',
        right=_HEAD + 'request: {type: object, properties: {code: {type: string, pattern: "^[1-9][0-9]*$"}}}\n',
        at="pattern",
    ),
    Explanation(
        code="CCH-K101",
        title="A request that the capability does not take",
        why="The contract names the keys that the capability takes and those that it needs. This is an error under "
        "`enforce: fail`, because the node is certain to fail; else, and where other keys are allowed, a warning.",
        is_contracted=True,
        beside=_SCREENING,
        wrong=_asking("input: {party: '{% party %}', score: '{% score %}'}"),
        right=_asking("input: {party: '{% party %}', country: '{% country %}'}"),
        at="score: '{%",
    ),
    Explanation(
        code="CCH-K102",
        title="A key that no reply brings",
        why="The node asks for a key, or an expression of its `output` reads one, that the contract of the capability "
        "does not have. This is an error under `enforce: fail` if replies may have no other keys; else a warning.",
        is_contracted=True,
        beside=_SCREENING,
        wrong=_asking("output: {screening: '{% $reply.veredict %}'}"),
        right=_asking("output: {screening: '{% $reply.verdict %}'}"),
        at="screening: '{%",
    ),
    Explanation(
        code="CCH-K103",
        title="A value of a type that the capability does not take",
        why="What a constant, `initial_context`, a form or another contract says of the value is something else than "
        "what the contract takes.",
        is_contracted=True,
        beside=_SCREENING,
        wrong=_asking("input: {party: ACME}"),
        right=_asking("input: {party: {name: ACME}}"),
        at="party: ACME",
    ),
    Explanation(
        code="CCH-K104",
        title="A code that the capability never gives",
        why="`retry.on` names a code that the contract does not have, so the node is not tried again.",
        severity="warning",
        is_contracted=True,
        beside=_SCREENING.replace("none", "visit"),
        wrong=_asking("retry: {max_attempts: 2, on: [BUSSY]}"),
        right=_asking("retry: {max_attempts: 2, on: [BUSY]}"),
        at="BUSSY",
    ),
    Explanation(
        code="CCH-K105",
        title="A timeout shorter than the usual answer",
        why="Most requests would fail, although the capability works on them.",
        severity="warning",
        is_contracted=True,
        beside=_SCREENING,
        wrong=_asking("timeout: 10s"),
        right=_asking("timeout: 1d"),
        at="timeout: 10s",
    ),
    Explanation(
        code="CCH-K106",
        title="Another attempt where the capability knows no repetition",
        why="The contract says `idempotency: none`. An attempt whose answer came too late has done its work, and the "
        "next one does it again.",
        severity="warning",
        is_contracted=True,
        beside=_SCREENING,
        wrong=_asking("retry: {max_attempts: 2}"),
        right=_asking("timeout: 1d"),
        at="retry",
    ),
)
