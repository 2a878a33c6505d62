"""Airflow triggers; thin. Their class paths are stored in Airflow's database: do not rename or move."""
