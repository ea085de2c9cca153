"""Tasks: what a model is compared with, as sums and counts of the terms of a loss."""

from landslide_dist.tasks.chips import ChipTask
from landslide_dist.tasks.event_mapping import EventMappingTask
from landslide_dist.tasks.susceptibility import SusceptibilityTask

__all__ = ["ChipTask", "EventMappingTask", "SusceptibilityTask"]
