"""The REST API inside Airflow: what people see of instances, and what they can do about them."""
