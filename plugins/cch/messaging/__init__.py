"""Messages over queues: requests that go out, and the router that takes replies, events and starts in.

Other packages use the public names of these modules; consumers and intake are the router's own.
"""

__all__ = ["desk", "outgoing", "queue", "router", "starts"]
