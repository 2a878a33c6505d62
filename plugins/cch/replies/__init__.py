"""Messages in: what they say, whom they belong to, and the router that takes them off the queues."""
