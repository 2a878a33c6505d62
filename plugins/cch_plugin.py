"""The one file that Airflow's plugin scan executes; ``.airflowignore`` hides the package beside it.

Where the package is installed Airflow finds the plugin by its entry point; a second one of the same name would be an
import error on its pages.
"""

from importlib.metadata import PackageNotFoundError, distribution

try:
    # By its name: the process of each task executes this file, and all entry points take 60 times as long to read.
    distribution("cch-airflow")
except PackageNotFoundError:
    from cch.plugin import CchPlugin  # noqa: F401 - Airflow looks for it in this module
