"""The capability mock: answers capability requests on SQS the way a scenario file says.

A service of its own; it shares no code with the orchestrator, only the message forms.
"""

__version__ = "0.1.0"
