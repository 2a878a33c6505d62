"""Every published workflow definition as an Airflow DAG."""

from cch.compiler.factory import workflow_dags

# Under no other name of this file: a workflow may be called like one.
globals().update({each.dag_id: each for each in workflow_dags()})
