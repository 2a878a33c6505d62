"""Incidents are told by Airflow's own notifiers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.bases.notifier import BaseNotifier

from cch.operators.notifying import notifiers
from cch.runtime.telling import News
from cch.settings import Settings

heard: list[tuple[str, str, Any]] = []


class Remembering(BaseNotifier):
    """As an operator writes one, with a template."""

    template_fields = ("text",)

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        heard.append((self.text, context["cch_news"], context["run_id"]))


@pytest.fixture(autouse=True)
def _silence() -> None:
    heard.clear()


def test_a_notifier_is_called_with_its_templates_rendered() -> None:
    """Anew each time: what was rendered before is not said again."""
    text = "{{ cch_text }} {{ incident.workflow_id }}"
    setting = json.dumps([{"notifier": f"{__name__}.Remembering", "arguments": {"text": text}}])
    (made,) = notifiers(Settings(incident_notifiers=setting), {"run_id": "r"})

    for title in ("one", "two"):
        made.notify(News(what="appeared", facts={"title": title, "pattern": "", "count": 1, "workflow_id": "w"}))

    assert heard == [("CCH: one (1 case) w", "appeared", "r"), ("CCH: two (1 case) w", "appeared", "r")]


def test_a_class_that_there_is_not_is_an_error_of_that_notifier() -> None:
    """Nobody else's: whoever tells logs it, and goes on with the next."""
    (made,) = notifiers(Settings(incident_notifiers='[{"notifier": "cch.names.Nobody"}]'), {})

    with pytest.raises(AttributeError):
        made.notify(News(what="ended", facts={"title": "t", "pattern": "", "count": 1}))
