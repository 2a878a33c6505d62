"""The workflows of these tests: two that everybody may see, one that is secret, one that is broken."""

from __future__ import annotations

ASK = """
workflow_id: open_ask
workflow_name: Ask and wait
description: Asks a capability, then a person.
tags: [customs]
entry_point: Ask
initial_context:
  bl: {type: string, minLength: 1, title: Bill of lading}
nodes:
  Ask:
    type: async_request
    title: Ask the authority
    capability_id: authority#ask
    on_response: Decide
    on_failure: Failed
  Decide:
    type: event_wait
    title: Decide
    description: Somebody decides.
    event_key: decision
    payload_schema: {type: object, required: [decision], properties: {decision: {type: string}}}
    on_event: Check
  Check:
    type: condition
    condition_on_key: decision
    branches: {again: Ask, _default: Done}
    on_failure: Failed
  Failed: {type: log_error, default_error_code: E1, default_message: it failed, on_success: Done}
  Done: {type: end}
"""

MAP = """
workflow_id: open_map
workflow_name: Packs
entry_point: Fan
initial_context: [packs]
nodes:
  Fan:
    type: map_fork
    input_list_key: packs
    branch_key: id
    branch_entry_node: Submit
    on_failure: Done
    execution: inline
  Submit: {type: async_request, capability_id: packs#submit, on_response: Pack_Done}
  Pack_Done: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""

SECRET = """
workflow_id: secret_ask
workflow_name: Secret
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: authority#ask, on_response: Done}
  Done: {type: end}
"""

BROKEN = """
workflow_id: open_broken
workflow_name: Broken
entry_point: Nowhere
nodes:
  Done: {type: end}
"""

GOOD = (ASK, MAP, SECRET)
FILES = {"open_ask.yaml": ASK, "open_map.yaml": MAP, "secret_ask.yaml": SECRET, "open_broken.yaml": BROKEN}
