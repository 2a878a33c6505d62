"""CCH on Airflow: long business workflows, written in YAML, that wait for other teams' answers."""

__version__ = "0.1.0"
