"""Runs a definition with virtual time and scripted capabilities: no AWS, no Airflow, milliseconds."""
