"""Graph to DAG."""
