"""What we change about Airflow's scheduler, and nothing else."""
