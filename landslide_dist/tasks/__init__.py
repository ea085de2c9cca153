"""Tasks: what a model is compared with, and what its output means."""

from landslide_dist.tasks.susceptibility import SusceptibilityTask

__all__ = ["SusceptibilityTask"]
