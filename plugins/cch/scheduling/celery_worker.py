"""For Celery's workers: Airflow's own configuration of Celery, and what tasks of ours load is loaded before they fork.

``[celery] celery_config_options = cch.scheduling.celery_worker.CONFIG``
"""

from __future__ import annotations

import sys

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

from cch.scheduling.preloading import preload

#: What Airflow would have used without this module.
CONFIG = DEFAULT_CELERY_CONFIG

if "celery" in sys.argv[1:2]:  # a scheduler reads this, too, and forks nothing
    preload()
