"""Airflow triggers; thin. Their class paths are stored in Airflow's database: do not rename or move."""

#: The trigger in which regions wait.
REGION_TRIGGER = "cch.triggers.region.RegionTrigger"
#: The one in which a task of a worker waits whose instance is held.
HELD_TRIGGER = "cch.triggers.held.HeldTrigger"
