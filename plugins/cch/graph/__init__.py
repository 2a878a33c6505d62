"""The typed graph of a definition, its checks, and the plan of Airflow tasks. Pure: no Airflow, no AWS, no clock."""
