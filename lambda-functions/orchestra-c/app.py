"""Task C of the sample orchestra_fan_out_v1, as a Lambda function in a container: summarises what was found."""

FOUND = ("classified", "screening_uri", "duty_estimate")


def handler(event, context):
    """Return ``summary``: what the three branches left in the call's context; null for what is missing."""
    return {"summary": {key: event["context"].get(key) for key in FOUND}}
