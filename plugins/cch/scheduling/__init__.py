"""What we change about Airflow's scheduler and its triggerer, and nothing else."""
