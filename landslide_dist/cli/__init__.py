"""The command line: one thin command a stage; a stage is imported only when it is asked for.

``app`` options and errors · ``data`` files to a cube · ``import_`` published data sets · ``models``
training and maps · ``results`` scores, pages, the viewer, publication · ``inventory`` landslides as
polygons · ``bias`` detected landslides against recorded ones · ``whole`` everything at once ·
``jobs`` the same on a cluster · ``doctor`` what stands in the way.
"""

from landslide_dist.cli import bias, data, doctor, import_, inventory, jobs, models, results, whole
from landslide_dist.cli.app import main

__all__ = [
    "bias",
    "data",
    "doctor",
    "import_",
    "inventory",
    "jobs",
    "main",
    "models",
    "results",
    "whole",
]
