"""The local stack: AWS's stand-in, the capability mock and Airflow as processes of this machine."""
