"""Airflow's notifiers, called from the dispatcher's task as from any other task."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from cch.json_settings import NotifierSetting
from cch.ledger.failures import group_id
from cch.runtime.telling import News, Notifier
from cch.settings import Settings

log = logging.getLogger(__name__)


class AirflowNotifier:
    """One of the setting ``CCH_INCIDENT_NOTIFIERS``; ``context`` is that of the task."""

    def __init__(self, setting: NotifierSetting, context: Mapping[str, Any]) -> None:
        self.key = group_id(setting.notifier, setting.arguments)
        self.kinds = frozenset(setting.kinds)
        self._setting = setting
        self._context = context

    def notify(self, news: News) -> None:
        """Make the notifier anew, because rendering its templates changes it, and call it."""
        module, _, name = self._setting.notifier.rpartition(".")
        notifier = getattr(importlib.import_module(module), name)(**self._setting.given)
        # What templates may name: {{ cch_text }}, {{ cch_news }}, {{ incident.title }}, ...
        notifier({**self._context, "cch_text": news.text, "cch_news": news.what, "incident": dict(news.facts)})


def notifiers(settings: Settings, context: Mapping[str, Any]) -> list[Notifier]:
    """Those that the settings name."""
    return [AirflowNotifier(setting, context) for setting in settings.notifiers]
