# ruff: noqa: E501
"""Mistakes that people make in definitions: what is changed in a good one, the code that is wanted, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """In ``definition``, ``old`` becomes ``new``; a problem ``code`` is wanted in the line that has ``at``."""

    definition: str
    old: str
    new: str
    code: str
    at: str = ""
    #: Messages about it at the most: a target that is gone takes others with it.
    most: int = 4

    @property
    def line_of(self) -> str:
        return self.at or self.new


CLEAR, CORRECT, EXPORT = "import_clearance_v1", "import_correction_v1", "export_filing_v1"
PARALLEL, FAN, FLIGHT = "export_be_parallel_v1", "orchestra_fan_out_v1", "parcel_flight_v1"
HOUSES, SCHEDULED, PACKS = "consolidation_v1", "scheduled_filing_v1", "filing_packs_v1"

NAMES_AND_KEYS = (
    Mistake(CLEAR, "next: Mark_Received", "next: Mark_Recieved", "CCH-G001"),
    Mistake(EXPORT, "on_timeout: Ask_Officer", "on_timeout: Ask_Offcer", "CCH-G001"),
    Mistake(PARALLEL, 'branches: {"true": Submit', 'branches: {"true": Sumbit', "CCH-G001"),
    Mistake(FAN, "join_branches: [B1, B2, B3]", "join_branches: [B1, B2, B33]", "CCH-G001"),
    Mistake(FLIGHT, "branch_entry_node: Screen\n", "branch_entry_node: Sreen\n", "CCH-G001", "Sreen"),
    Mistake(CORRECT, "entry_point: Enrich_Consignment", "entry_point: Enrich", "CCH-G001"),
    Mistake(CLEAR, "    on_response: Needs_Inspection", "    on_respone: Needs_Inspection", "CCH-D021"),
    Mistake(EXPORT, "    output_keys: [exchangeRate]", "    ouput_keys: [exchangeRate]", "CCH-D021"),
    Mistake(HOUSES, "    branch_key: lineId", "    branchkey: lineId", "CCH-D021"),
    Mistake(CLEAR, "    capability_id: screening#risk\n", "", "CCH-D022", "Assess_Risk:"),
    Mistake(SCHEDULED, "    output_key: dates.filing\n", "", "CCH-D022", "Ten_Days_Before:"),
    Mistake(CORRECT, "    type: event_wait", "    type: event_waits", "CCH-D023"),
    Mistake(FAN, "    type: fork", "    type: parallel", "CCH-D023"),
    Mistake(EXPORT, "timeout: 30m", "timeout: 30 minutes", "CCH-D024|CCH-D025|CCH-D026"),
    Mistake(FLIGHT, "concurrency: 200", "concurrency: many", "CCH-D024|CCH-D026"),
    Mistake(CLEAR, "max_attempts: 3", "max_attempts: 0", "CCH-D026"),
    Mistake(CORRECT, "max_visits: 50", "max_visits: -1", "CCH-D026"),
    Mistake(EXPORT, "error_reply: failure\n  Ask_Officer", "error_reply: fail\n  Ask_Officer", "CCH-D023", "error_reply: fail\n"),
    Mistake(CLEAR, "status: failed", "status: error", "CCH-D023"),
    Mistake(PARALLEL, "branches: [Declaration, Licence]", "branches: Declaration", "CCH-D024"),
)  # fmt: skip

DATA = (
    Mistake(CLEAR, "input_keys: [shipmentId, asnUri]", "input_keys: [shipmentID, asnUri]", "CCH-G104"),
    Mistake(CLEAR, "input_s3_uri_key: asnUri", "input_s3_uri_key: asnURI", "CCH-G104"),
    Mistake(CLEAR, "condition_on_key: risk.inspection", "condition_on_key: riks.inspection", "CCH-G104"),
    Mistake(EXPORT, "input_keys: [mrn]", "input_keys: [mnr]", "CCH-G104"),
    Mistake(EXPORT, "condition_on_key: decision.verdict", "condition_on_key: descision.verdict", "CCH-G104"),
    Mistake(EXPORT, "output_keys: [exchangeRate]", "output_keys: [exchangerate]", "CCH-G109|CCH-G104", "exchangeRate]"),
    Mistake(EXPORT, "condition_on_key: exportStatus", "condition_on_key: export_status", "CCH-G104"),
    Mistake(HOUSES, "input_list_key: houseBills", "input_list_key: housebills", "CCH-G104"),
    Mistake(HOUSES, "input_list_key: house.lines", "input_list_key: hose.lines", "CCH-G104"),
    Mistake(FLIGHT, "input_list_key: parcels", "input_list_key: parcel_list", "CCH-G104"),
    Mistake(FLIGHT, "input_keys: [flightNumber]", "input_keys: [flightNo]", "CCH-G104"),
    Mistake(FLIGHT, "condition_on_key: verdict", "condition_on_key: veredict", "CCH-G104"),
    Mistake(SCHEDULED, "parameters: {date_context_key: dates.discharge", "parameters: {date_context_key: date.discharge",
            "CCH-G104"),
    Mistake(SCHEDULED, "schedule_parameters: {date_context_key: dates.filing}",
            "schedule_parameters: {date_context_key: filingDate}", "CCH-G104"),
    Mistake(SCHEDULED, "input_s3_uri_key: consignmentURI", "input_s3_uri_key: consignmentUri", "CCH-G104"),
    Mistake(FAN, "input_keys: [shipmentId, prepared]", "input_keys: [shipmentId, preparde]", "CCH-G104"),
    Mistake(FAN, "output_keys: [classified]", "output_keys: [clasified]", "CCH-G104", "input_keys: [classified"),
    Mistake(FAN, "    input_keys: [prepared]\n    output_keys: [duty_estimate]",
            "    input_keys: [classified]\n    output_keys: [duty_estimate]", "CCH-G105", "input_keys: [classified]"),
    Mistake(PARALLEL, "input_keys: [shipmentId, destinationCountry]", "input_keys: [shipmentId, destination]", "CCH-G104"),
    Mistake(PARALLEL, "input_keys: [shipmentId, destinationCountry]", "input_keys: [shipmentId, be_export_requirements]",
            "CCH-G105"),
    Mistake(CLEAR, "input_keys: [shipmentId, clearance]", "input_keys: [shipmentId, inspection_slot]", "CCH-G104"),
    Mistake(CLEAR, "    request_output_keys: [entry_number]\n",
            "    input_keys: [shipmentId, inspection_slot]\n    request_output_keys: [entry_number]\n", "CCH-G109",
            "input_keys: [shipmentId, inspection_slot]"),
    Mistake(CLEAR, "input_keys: [shipmentId, asnUri]", "input_keys: [shipmentId, entry_number]", "CCH-G104"),
    Mistake(CLEAR, "  asnUri: {type: string", "  asnUri: {type: integer", "CCH-G012", "input_s3_uri_key"),
    Mistake(FLIGHT, "initial_context: [flightNumber, parcels]",
            "initial_context: {flightNumber: {type: string}, parcels: {type: object}}", "CCH-G012", "input_list_key"),
    Mistake(HOUSES, "initial_context: [masterBill, houseBills]",
            "initial_context: {masterBill: true, houseBills: {type: string}}", "CCH-G012", "input_list_key: houseBills"),
    Mistake(EXPORT, "static_outputs: {exchangeRate: OFFICIAL}", "static_outputs: {exchange_rate: OFFICIAL}", "CCH-G121"),
    Mistake(CLEAR, "initial_context:\n  shipmentId: {type: string, minLength", "initial_context:\n  shipmentNo: {type: string, minLength",
            "CCH-G104", "input_keys: [shipmentId, asnUri]"),
)  # fmt: skip

LABELS = (
    Mistake(CLEAR, "branches: {SUCCESS: Assess_Risk", "branches: {SUCESS: Assess_Risk", "CCH-G008"),
    Mistake(CORRECT, "ERROR: Wait_For_Correction", "EROR: Wait_For_Correction", "CCH-G008"),
    Mistake(CORRECT, "branches: {SUCCESS: Create_Declaration", "branches: {Success: Create_Declaration", "CCH-G008"),
    Mistake(EXPORT, "{CLEAR: Exchange_Rate, _default: Log_Refusal}", "{CLEAR: Exchange_Rate, default: Log_Refusal}", "CCH-G008"),
    Mistake(FLIGHT, "{CLEAR: Parcel_Done, _default: Hold}", "{CLEAR: Parcel_Done, else: Hold}", "CCH-G008"),
    Mistake(PARALLEL, '{"true": Submit', "{True: Submit", "CCH-G008"),
    Mistake(CLEAR, '"false": File_Entry', "False: File_Entry", "CCH-G008"),
    Mistake(PARALLEL, '{"true": Submit', '{"yes": Submit', "CCH-G008"),
    Mistake(PARALLEL, "static_outputs: {declaration: {ready: true}}", 'static_outputs: {declaration: {ready: "done"}}',
            "CCH-G008", '"true": Submit'),
    Mistake(CLEAR, "    on_response: Check_Reply\n    on_failure: Log_Failure",
            "    on_response: Check_Reply\n    on_failure: Log_Failure\n    error_reply: failure", "CCH-G008",
            "ERROR: Log_Failure"),
    Mistake(CORRECT, "    capability_id: import#enrich_consignment\n",
            "    capability_id: import#enrich_consignment\n    error_reply: failure\n", "CCH-G008", "ERROR: Wait"),
    Mistake(FLIGHT, "condition_on_key: verdict\n    branches: {CLEAR: Parcel_Done", "condition_on_key: verdict\n    branches: {'>= 80': Parcel_Done",
            "CCH-G008", ">= 80"),
)  # fmt: skip

STRUCTURE = (
    Mistake(PARALLEL, "join_branches: [Declaration, Licence_Done]", "join_branches: [Licence_Done]", "CCH-G110|CCH-G013"),
    Mistake(FAN, "join_branches: [B1, B2, B3]", "join_branches: [B1, B2]", "CCH-G110|CCH-G003", "join_branches: [B1, B2]"),
    Mistake(PARALLEL, "branches: [Declaration, Licence]", "branches: [Declaration]", "CCH-G004", "join_branches"),
    Mistake(FAN, "branches: [B1, B2, B3]", "branches: [B1, B2]", "CCH-G004", "join_branches"),
    Mistake(PACKS, "join_branches: [Screened, Noted]", "join_branches: [Screened]", "CCH-G110|CCH-G013"),
    Mistake(HOUSES, "on_response: House_Done", "on_response: Done", "CCH-G112"),
    Mistake(HOUSES, "on_success: House_Done", "on_success: All_Houses", "CCH-G112"),
    Mistake(FLIGHT, "on_success: Parcel_Done", "on_success: All_Parcels", "CCH-G112"),
    Mistake(FLIGHT, "CLEAR: Parcel_Done, _default: Hold", "CLEAR: File_Summary, _default: Hold", "CCH-G112"),
    Mistake(FLIGHT, "    on_response: Done\n", "    on_response: Screen\n", "CCH-G112", "on_response: Screen\n"),
    Mistake(CLEAR, "    on_response: Needs_Inspection\n    on_failure: Log_Failure",
            "    on_response: Needs_Inspection\n    on_failure: Assess_Risk", "CCH-G111",
            "on_failure: Assess_Risk"),
    Mistake(SCHEDULED, "    output_key: dates.filing\n    on_success: File\n    on_failure: Log_Failure",
            "    output_key: dates.filing\n    on_success: File\n    on_failure: Ten_Days_Before", "CCH-G111",
            "on_failure: Ten_Days_Before"),
    Mistake(FAN, "    on_success: C\n", "    on_success: B1\n", "CCH-G113|CCH-G005|CCH-G101|CCH-G002"),
    Mistake(PARALLEL, "_default: Give_Up}", "_default: Licence}", "CCH-G113"),
    Mistake(CLEAR, "    on_success: Done\n  Log_Failure", "  Log_Failure", "CCH-G003", "Mark_Filed:"),
    Mistake(EXPORT, "    type: set_state\n    title: Official rate of the month\n    static_outputs: {exchangeRate: OFFICIAL}\n    on_success: File",
            "    type: set_state\n    title: Official rate of the month\n    static_outputs: {exchangeRate: OFFICIAL}", "CCH-G003",
            "Official_Rate:\n"),
    Mistake(CLEAR, "_default: File_Entry}", "_default: File_Entry}\n  Orphan:\n    type: set_state\n    on_success: Done", "CCH-G101",
            "Orphan:"),
    Mistake(EXPORT, "next: Screen_Parties", "next: Exchange_Rate", "CCH-G101", "Screen_Parties:"),
    Mistake(CLEAR, "    type: end\n    status: failed\n  Done:\n    type: end",
            "    type: end_branch\n  Done:\n    type: end_branch", "CCH-G002|CCH-D021", "entry_point"),
    Mistake(FLIGHT, "  Parcel_Done:\n    type: end_branch", "  Parcel_Done:\n    type: set_state\n    on_success: Screen",
            "CCH-G006", "Screen_All:\n"),
)  # fmt: skip

TIMES_AND_TEXTS = (
    Mistake(CLEAR, "timeout: 3d\n", "timeout: 40d\n", "CCH-G115", "timeout: 40d"),
    Mistake(CORRECT, "timeout: 14d", "timeout: 90d", "CCH-G115"),
    Mistake(EXPORT, "    timeout: 30m\n", "", "CCH-G115|CCH-G116", "on_timeout: Ask_Officer|[TIMEOUT, TEMPORARY]"),
    Mistake(EXPORT, "    timeout: 2d\n", "", "CCH-G115", "on_timeout: Log_Failure"),
    Mistake(CLEAR, "timeout: 1h\n", "timeout: 0s\n", "CCH-G115", "timeout: 0s"),
    Mistake(CLEAR, "    timeout: 2h\n    retry: {max_attempts: 3, delay: 5s", "    retry: {max_attempts: 3, delay: 5s", "CCH-G116",
            "[TIMEOUT, TEMPORARY]"),
    Mistake(CLEAR, "[TIMEOUT, TEMPORARY]", "[TIME_OUT, TEMPORARY]", "CCH-G116"),
    Mistake(EXPORT, "[TIMEOUT, BUSY]", "[timeout, BUSY]", "CCH-G116"),
    Mistake(PARALLEL, "retry: {max_attempts: 2, delay: 10s}", "retry: {delay: 10s}", "CCH-D022"),
    Mistake(EXPORT, "max_delay: 1h", "max_delay: 1m", "CCH-G116"),
    Mistake(PARALLEL, "    timeout: 1d\n", "", "CCH-G107", "Submit:"),
    Mistake(FAN, "    timeout: 10m\n", "", "CCH-G107", "B2:\n"),
    Mistake(CLEAR, "static_outputs: {clearance: {stage: RECEIVED}, status: null}",
            'static_outputs: {clearance: {stage: "{{ stage }}"}, status: null}', "CCH-G117"),
    Mistake(SCHEDULED, "static_outputs: {filing: {state: FILED}}", 'static_outputs: {filing: {state: "$.state"}}', "CCH-G117"),
    Mistake(CORRECT, "static_outputs: {status: null}", 'static_outputs: {status: null, note: "{% messages %}"}', "CCH-G117"),
    Mistake(EXPORT, "default_message: The export was refused", 'default_message: "The export of ${shipmentId} was refused"',
            "CCH-G117"),
    Mistake(FAN, "capability_id: orchestra-b3", "capability_id: orchestra-B1", "CCH-G118"),
    Mistake(SCHEDULED, "library_function_id: s3#read_jsonpath", "library_function_id: s3#readjsonpath", "CCH-G014"),
    Mistake(SCHEDULED, "library_function_id: core#calculate_timedelta", "library_function_id: core#calculate_timdelta", "CCH-G014"),
    Mistake(SCHEDULED, "timedelta: {days: -10}", "timedelta: {day: -10}", "CCH-G014"),
    Mistake(SCHEDULED, "timedelta: {days: -10}", 'timedelta: {days: "-10"}', "CCH-G014"),
    Mistake(SCHEDULED, "input_s3_uri_key: consignmentURI", "s3_uri_key: consignmentURI", "CCH-G014"),
    Mistake(SCHEDULED, ", jsonpath_expression: $.plannedDischargeDate", "", "CCH-G014", "parameters: {input"),
    Mistake(SCHEDULED, "jsonpath_expression: $.plannedDischargeDate", 'jsonpath_expression: "$.lines[?("', "CCH-G009"),
    Mistake(CLEAR, 'jsonpath_expression: "$.billOfLading.master"', 'jsonpath_expression: "$.billOfLading["', "CCH-G009"),
    Mistake(CLEAR, "condition_on_key: risk.inspection", 'condition_on_key: "$.risk.inspection"', "CCH-G009"),
    Mistake(HOUSES, "input_list_key: house.lines", 'input_list_key: "house.lines[*]"', "CCH-G009"),
    Mistake(CLEAR, "input_keys: [shipmentId, clearance]", "input_keys: [shipmentId, _internalError]", "CCH-G009"),
    Mistake(CLEAR, "    on_success: Read_Bill", "    on_success: Read_Bill\n    on_failure: Log_Failure", "CCH-G120", "on_failure: Log_Failure"),
    Mistake(EXPORT, "    on_timeout: Log_Failure\n  Officer", "    on_timeout: Log_Failure\n    on_failure: Log_Failure\n  Officer",
            "CCH-G120", "on_failure: Log_Failure\n  Officer"),
    Mistake(EXPORT, "    event_key: decision\n", "    event_key: decision\n    payload_schema: {type: object, required: [verdict],"
            " properties: {verdict: {enum: [CLEAR, REFUSE]}}}\n", "CCH-G119", "event_key: decision"),
    Mistake(EXPORT, "    event_key: decision\n", "    event_key: decision\n    payload_schema: {type: object, required: [decision, comment],"
            " properties: {decision: {type: object}}}\n", "CCH-G119", "payload_schema: {type: object, required: [decision"),
    Mistake(EXPORT, "    event_key: decision\n", "    event_key: decision\n    payload_schema: {type: object, required: [decision],"
            " properties: {decision: {type: object, properties: {verdict: {enum: [OK, NO]}}, required: [verdict]}}}\n",
            "CCH-G008", "CLEAR: Exchange_Rate"),
    Mistake(EXPORT, "    event_key: decision\n", "    event_key: decision\n    payload_schema: {type: objekt}\n", "CCH-D026|CCH-D027|CCH-D023",
            "payload_schema"),
    Mistake(CLEAR, "asnUri: {type: string, pattern", "asnUri: {type: sting, pattern", "CCH-D027"),
    Mistake(CLEAR, 'pattern: "^s3://"', 'pattern: "^(s3://"', "CCH-D027"),
)  # fmt: skip

CONDITION = (
    "    condition_on_key: risk.inspection\n"
    '    branches: {"true": Book_Inspection, "false": File_Entry, "null": File_Entry, _default: File_Entry}\n'
)
VERDICT = "    condition_on_key: verdict\n    branches: {CLEAR: Parcel_Done, _default: Hold}\n"
LINES = "    input_list_key: house.lines\n"


def chosen(when: str, rest: str = "default: File_Entry") -> str:
    return f'    choices:\n      - {{when: "{when}", next: Book_Inspection}}\n    {rest}\n'


EXPRESSIONS = (
    Mistake(CLEAR, CONDITION, chosen("{% risk.inspection = %}"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% $exist(risk.inspection) %}"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("risk.inspection"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% riks.inspection %}"), "CCH-G104", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% $reply.risk.inspection %}"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% risk.inspection %}", "defualt: File_Entry"), "CCH-D021", "defualt"),
    Mistake(CLEAR, CONDITION, chosen("{% risk.inspection %}", "default: File_Entri"), "CCH-G001", "default: File_Entri"),
    Mistake(CLEAR, CONDITION, chosen("{% $now() > '2026' %}"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% $random() > 0.5 %}"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, chosen("{% risk.inspection"), "CCH-G010", "- {when:"),
    Mistake(CLEAR, CONDITION, "    condition_on_key: risk.inspection\n" + chosen("{% risk.inspection %}"), "CCH-G011",
            "condition_on_key: risk"),
    Mistake(FLIGHT, VERDICT, "    choices: [{when: \"{% verdikt = 'CLEAR' %}\", next: Parcel_Done}]\n    default: Hold\n",
            "CCH-G104", "choices"),
    Mistake(FLIGHT, "input_keys: [flightNumber]", 'input: {flight: "{% $item.flight %}"}', "CCH-G010"),
    Mistake(FLIGHT, "input_keys: [flightNumber]", 'input: {flight: "{% flightNumbr %}"}', "CCH-G104"),
    Mistake(EXPORT, "static_outputs: {exchangeRate: OFFICIAL}", 'outputs: {exchangeRate: "{% invoise.rate %}"}', "CCH-G104"),
    Mistake(EXPORT, "static_outputs: {exchangeRate: OFFICIAL}", "output: {exchangeRate: OFFICIAL}", "CCH-D021"),
    Mistake(EXPORT, "    request_output_keys: [mrn]\n",
            '    request_output_keys: [mrn]\n    output: {mrn: "{% $reply.mrn %}"}\n', "CCH-G011", "request_output_keys: [mrn]"),
    Mistake(HOUSES, LINES, '    items: "{% house.lines[hs] %}"\n', "CCH-D022", "  Lines:\n"),
    Mistake(HOUSES, LINES, "    items: house.lines\n    output_key: lines\n", "CCH-G010", "items: house.lines"),
)  # fmt: skip

INFORMAL = "informal_entry_v1"
WAIT_KEY = "    event_key: decision\n"
MATCHES = (
    Mistake(FLIGHT, "    destination: screened\n    on_success: File_Summary\n  File_Summary:\n",
            '    destination: screened\n    on_success: Noted\n  Noted:\n    type: set_state\n    outputs: {last: "{% $item.parcelId %}"}\n'
            "    on_success: File_Summary\n  File_Summary:\n", "CCH-G010", "outputs: {last"),
    Mistake(INFORMAL, 'entry.assessed: "{% $now %}"', 'entry.assessed: "{% $item.lineId %}"', "CCH-G010"),
    Mistake(EXPORT, WAIT_KEY, WAIT_KEY + "    match: decision.verdict\n", "CCH-G010", "match:"),
    Mistake(EXPORT, WAIT_KEY, WAIT_KEY + '    match: "{% $event.decision.id = shipmentNo %}"\n', "CCH-G104", "match:"),
    Mistake(EXPORT, WAIT_KEY, WAIT_KEY + '    match: "{% $reply.decision.id = shipmentId %}"\n', "CCH-G010", "match:"),
    Mistake(CORRECT, "    event_key: messages\n", '    event_key: messages\n    match: "{% $event.messages = %}"\n', "CCH-G010", "match:"),
    Mistake(PACKS, "    event_key: customStatus\n", '    event_key: customStatus\n    match: "{% $evnt.id = 1 %}"\n', "CCH-G010", "match:"),
)  # fmt: skip
SUBMITTED = "    on_response: Wait_For_Customs\n    on_failure: Handle_Error\n"
INQUIRED = 'after three inquiries the export has failed"]\n    on_response: Wait_For_Customs\n'


def decided(name: str, key: str, branches: str) -> str:
    return f"  {name}:\n    type: condition\n    condition_on_key: {key}\n    branches: {branches}\n"


CONTRACTS = (
    Mistake(INFORMAL, 'shipment: "{% shipmentId %}", value: "{% entry.value %}"}\n    output',
            'shipment: "{% shipmentId %}", amount: "{% entry.value %}"}\n    output', "CCH-K101", "amount:"),
    Mistake(INFORMAL, 'input: {party: "{% parties[role=\'SHIPPER\'] %}"}', 'input: {partner: "{% parties[role=\'SHIPPER\'] %}"}', "CCH-K101"),
    Mistake(FLIGHT, "input_keys: [parcel]", "input_keys: [flightNumber]", "CCH-K101"),
    Mistake(EXPORT, "input_keys: [mrn]", "input_keys: [shipmentId]", "CCH-K101", "    input_keys: [shipmentId]\n    timeout: 1h"),
    Mistake(PARALLEL, "input_keys: [shipmentId, destinationCountry]", "input_keys: [shipmentId, originCountry]", "CCH-K101"),
    Mistake(CLEAR, "request_output_keys: [entry_number]", "request_output_keys: [entryNumber]", "CCH-K102"),
    Mistake(INFORMAL, "$reply.permitNumber", "$reply.permitNo", "CCH-K102"),
    Mistake(HOUSES, "request_output_keys: [hsCode]", "request_output_keys: [hs_code]", "CCH-K102"),
    Mistake(CORRECT, "request_output_keys: [declarationId]", "request_output_keys: [declarationID]", "CCH-K102"),
    Mistake(INFORMAL, 'value: "{% entry.value %}"}\n    output', "value: low}\n    output", "CCH-K103", "value: low"),
    Mistake(CLEAR, "shipmentId: {type: string, minLength: 1", "shipmentId: {type: integer, minimum: 1", "CCH-K103",
            "input_keys: [shipmentId, asnUri]", most=5),
    Mistake(FLIGHT, "initial_context: [flightNumber, parcels]",
            "initial_context: {flightNumber: {type: integer}, parcels: {type: array}}", "CCH-K103", "input_keys: [flightNumber]"),
    Mistake(CLEAR, "TEMPORARY", "TEMPORAY", "CCH-K104"),
    Mistake(EXPORT, "[TIMEOUT, BUSY]", "[TIMEOUT, BUSSY]", "CCH-K104"),
    Mistake(CLEAR, "timeout: 3d", "timeout: 30m", "CCH-K105"),
    Mistake(PARALLEL, "timeout: 4h", "timeout: 30m", "CCH-K105"),
    Mistake(CLEAR, "timeout: 3d", "timeout: 3d\n    retry: {max_attempts: 2}", "CCH-K106", "retry: {max_attempts: 2}"),
    Mistake(FLIGHT, "request_output_keys: [summaryNumber]\n", "request_output_keys: [summaryNumber]\n    retry: {max_attempts: 3}\n",
            "CCH-K106", "retry: {max_attempts: 3}"),
    Mistake(FLIGHT, "{CLEAR: Parcel_Done, _default: Hold}", "{CLEARED: Parcel_Done, _default: Hold}", "CCH-G008"),
    Mistake(CLEAR, '{"true": Book_Inspection', '{"yes": Book_Inspection', "CCH-G008"),
    Mistake(PACKS, SUBMITTED, SUBMITTED.replace("Wait_For_Customs", "Submitted")
            + decided("Submitted", "submissionStatus", "{SUCESS: Wait_For_Customs, _default: Handle_Error}"), "CCH-G008", "SUCESS"),
    Mistake(PACKS, SUBMITTED, SUBMITTED.replace("Wait_For_Customs", "Submitted")
            + decided("Submitted", "submission", "{SUCCESS: Wait_For_Customs, _default: Handle_Error}"), "CCH-G104|CCH-G109", "submission"),
    Mistake(EXPORT, INQUIRED + "    on_failure: Log_Failure\n", INQUIRED.replace("Wait_For_Customs", "Inquired") + "    on_failure: Log_Failure\n"
            + decided("Inquired", "inquiryState", "{open: Wait_For_Customs, _default: Log_Refusal}"), "CCH-G104", "inquiryState"),
)  # fmt: skip

MISTAKES = tuple(
    each
    for group in (NAMES_AND_KEYS, DATA, LABELS, STRUCTURE, TIMES_AND_TEXTS, EXPRESSIONS, MATCHES, CONTRACTS)
    for each in group
)
