"""The AWS resources of one environment, as code."""
