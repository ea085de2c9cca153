"""Configuration of a run: frozen pydantic models, one file per concern, free of torch and Dask.

``load`` reads a YAML file and its overrides into a :class:`~landslide_dist.config.run.RunConfig`;
every field of every model is documented where it is declared.
"""

from landslide_dist.config.load import load
from landslide_dist.config.run import RunConfig

__all__ = ["RunConfig", "load"]
