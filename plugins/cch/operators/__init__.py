"""Airflow operators; thin. Their class paths are stored in Airflow's database: do not rename or move."""
