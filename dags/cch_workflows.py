"""Every published workflow definition as an Airflow DAG."""

from cch.compiler.factory import workflow_dags

for dag in workflow_dags():
    globals()[dag.dag_id] = dag
