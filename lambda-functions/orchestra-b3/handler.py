"""Task B3 of the sample orchestra_fan_out_v1, as an AWS Lambda function: estimates the duty."""

#: Average ad valorem rate of the sample's lines, in percent; a made-up figure for the sample.
RATE_PERCENT = 6.5


def handler(event, context):
    """Return ``duty_estimate`` for the ``prepared`` lines of the call's context."""
    lines = event["context"].get("prepared", [])
    return {"duty_estimate": {"lines": len(lines), "rate_percent": RATE_PERCENT}}
