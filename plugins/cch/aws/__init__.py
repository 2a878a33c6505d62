"""The only place that knows boto3, aiobotocore and Airflow's AWS hooks."""
