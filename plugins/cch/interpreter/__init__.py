"""Executes regions: rules as pure functions, effects through a host. Imports neither Airflow nor boto3."""
