"""``make bench``: speed and memory, ours beside the classic way and Airflow's floor, in one run on one machine."""
