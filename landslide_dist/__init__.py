"""Distributed landslide mapping on xarray, Dask and PyTorch.

The packages in the order in which data pass through them:

``config``      what one run does: frozen models read from one YAML file
``sources``     the user's rasters, maps, points, images -> blocks on one target grid
``store``       the cube: one sharded Zarr group a region, written block by block
``cluster``     Dask workers on this machine, SLURM or Kubernetes, and jobs of whole runs
``kernels``     slope, uphill index, histograms, tiling, scores: NumPy in, NumPy out
``features``    the same as lazy xarray operations
``patches``     which patches, which split, in which order, read how
``models``      compact planes -> channels -> logits
``tasks``       losses and what a model's output means
``training``    the Lightning module and its trainer
``inference``   exact tiled prediction to Zarr and COG
``evaluation``  scores, figures, the report
``viewer``      the map in a browser
``stages``      one short module a command: read these first
``cli``         the command line
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("landslide-dist")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
