"""Definitions: where they come from, how they are read, what they mean. Imports neither Airflow nor boto3."""
