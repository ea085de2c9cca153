"""The command line: one thin command a stage; a stage is imported only when it is asked for.

``app`` options and errors · ``data`` files to a cube · ``models`` training and maps · ``results``
scores, pages, the viewer, publication · ``inventory`` landslides as polygons · ``whole`` everything
at once.
"""

from landslide_dist.cli import data, inventory, models, results, whole
from landslide_dist.cli.app import main

__all__ = ["data", "inventory", "main", "models", "results", "whole"]
