"""``doctor``: what a configuration of any kind asks of machine, stores and inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from landslide_dist.config import RunConfig
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.cluster import ClusterConfig, KubernetesCluster, SlurmCluster
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import AnyConfig
from landslide_dist.config.training import TrainingConfig
from landslide_dist.grid import Grid
from landslide_dist.kernels.rings import index_dtype, ring_radii

#: A map as float32, in Zarr and as GeoTIFF.
_MAP_BYTES = 2 * 4


@dataclass(frozen=True)
class Needs:
    """What a run asks for.

    Attributes:
        config: All of it.
        regions: Prefix of the settings -> the run of one region; several of events and scenes.
        training: How models are trained.
        cluster: Where blocks are computed.
        run_dir: Local folder of results.
    """

    config: AnyConfig
    regions: Mapping[str, RunConfig]
    training: TrainingConfig
    cluster: ClusterConfig | None
    run_dir: str

    @classmethod
    def of(cls, config: AnyConfig) -> "Needs":
        """What a configuration asks for."""
        if isinstance(config, RunConfig):
            regions = {"": config}
        elif isinstance(config, EventsConfig):
            regions = {
                f"events.{event}." if pixel_m == config.pixel_sizes_m[0] else
                f"events.{event} at {pixel_m:g} m.": config.run(event, pixel_m)
                for pixel_m in config.pixel_sizes_m for event in config.events
            }  # fmt: skip
            run = next(iter(regions.values()))
            return cls(config, regions, run.training, run.cluster, config.run_dir)
        else:
            regions = {f"scenes.{name}.": config.scene(name, None) for name in config.scenes}
        return cls(config, regions, config.training, config.cluster, config.run_dir)

    @property
    def trains_elsewhere(self) -> bool:
        """Whether this machine may be one that only submits."""
        return isinstance(self.cluster, SlurmCluster | KubernetesCluster)

    @property
    def cubes(self) -> tuple[str, ...]:
        """Locations of all cubes."""
        return tuple(dict.fromkeys(run.cube.location for run in self.regions.values()))

    def inputs(self) -> Iterator[tuple[str, AnyConfig]]:
        """Configurations that name input files, each with the prefix of its settings."""
        if isinstance(self.config, ChipsConfig):
            yield "", self.config
        yield from self.regions.items()


def written_bytes(run: RunConfig, grid: Grid) -> int:
    """What a run of one region writes at most: its cube uncompressed, and a map a model."""
    pixel = _ingested_bytes(run) + _MAP_BYTES * len(run.maps)
    if run.task != "chips":
        radii = ring_radii(run.cube.looking_distances_m, grid.pixel_m)
        pixel += 4 + len(radii) * index_dtype(max(radii, default=1)).itemsize
    return pixel * grid.height * grid.width


def _ingested_bytes(run: RunConfig) -> int:
    """Of one pixel; the contract of the data says which variable weighs what."""
    sources = run.sources
    pixel = len(run.categories()) + 4 * len(sources.continuous)
    if run.task != "chips":
        pixel += 4 + 1  # elevation, landslide
    images = sources.reflectance
    if images is not None:
        planes = len(images.images) * len(images.bands)
        pixel += 2 * planes + len(images.images)
        if run.cube.matching is not None:
            pixel += planes * np.dtype(run.cube.matching.dtype).itemsize
    return pixel
