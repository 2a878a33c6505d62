"""Messages over queues: requests that go out, and the router that takes replies, events and starts in."""
