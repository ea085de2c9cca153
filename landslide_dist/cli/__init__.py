"""The command line: one thin command a stage; a stage is imported only when it is asked for.

``app`` options and errors · ``data`` files to a cube · ``import_`` published data sets · ``models``
training and maps · ``results`` scores, pages, the viewer, publication · ``inventory`` landslides as
polygons · ``bias`` detected landslides against recorded ones · ``whole`` everything at once.
"""

from landslide_dist.cli import bias, data, import_, inventory, models, results, whole
from landslide_dist.cli.app import main

__all__ = ["bias", "data", "import_", "inventory", "main", "models", "results", "whole"]
