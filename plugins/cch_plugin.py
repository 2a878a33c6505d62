"""The one file that Airflow's plugin scan executes; ``.airflowignore`` hides the package beside it."""

from airflow.plugins_manager import AirflowPlugin


class CchPlugin(AirflowPlugin):
    """Says that the plugin is loaded, and which version."""

    name = "cch"
