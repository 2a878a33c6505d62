"""Tasks that cost nothing: the scheduler settles them without any process."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator


class MarkerOperator(EmptyOperator):
    """Shows an instant node, which a region evaluates."""

    ui_color = "#e8f7e4"

    def __init__(self, *, shows: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.shows = shows

    @property
    def custom_operator_name(self) -> str:
        return self.shows


class GateOperator(EmptyOperator):
    """Stands on an edge that may not be taken; shows which way was."""

    ui_color = "#f4f4f4"
    custom_operator_name = "gate"
