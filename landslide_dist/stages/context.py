"""What every stage after ``derive`` needs to know of a run and its cube."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from landslide_dist.config import RunConfig
from landslide_dist.config.channels import Channels
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.fingerprint import derive_hash, model_hash, started_from
from landslide_dist.config.paths import RunPaths
from landslide_dist.config.run import config_hash
from landslide_dist.config.split import LEAKY, OF_LABELS
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.grid import Grid
from landslide_dist.kernels.rings import ring_radii
from landslide_dist.models import checkpoint
from landslide_dist.models.build import reach_of
from landslide_dist.patches.pair import Pair, find_pairs, pair_reader
from landslide_dist.patches.reader import PatchReader
from landslide_dist.sources.files import describe
from landslide_dist.store.cube import read_grid
from landslide_dist.store.location import open_group


@dataclass(frozen=True)
class RunContext:
    """A run whose cube exists."""

    config: RunConfig

    @cached_property
    def grid(self) -> Grid:
        """The cube's grid."""
        return read_grid(self.config.cube.location)

    @cached_property
    def radii_px(self) -> dict[float, int]:
        """Looking distance, metres -> radius of its ring."""
        distances_m = self.config.cube.looking_distances_m
        return dict(zip(distances_m, ring_radii(distances_m, self.grid.pixel_m), strict=True))

    @cached_property
    def channels(self) -> Channels | EventChannels:
        """The models' channels."""
        if self.pair is not None:
            return self.pair.channels(self.grid.pixel_m)
        return Channels.of(self.config)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Image pairs of an event, by number; none of another task's cube.

        Raises:
            DataError: The cube has no images, or half of a pair.
        """
        if self.config.task != "event_mapping":
            return ()
        matched = self.config.cube.matching is not None
        return find_pairs(self.config.cube.location, "matched" if matched else "reflectance")

    @cached_property
    def pair(self) -> Pair | None:
        """The image pair that is mapped and scored; None of a task without images.

        Raises:
            ConfigError: The cube has no pair of that number.
        """
        wanted = self.config.predict.pair
        found = [pair for pair in self.pairs if wanted in (None, pair.number)]
        if self.pairs and not found:
            numbers = ", ".join(str(pair.number) for pair in self.pairs)
            raise ConfigError(f"predict.pair {wanted} is not in the cube, which has {numbers}")
        return found[0] if found else None

    def reader(self, names: Sequence[str], split: bool = True) -> PatchReader:
        """Planes of the cube, and of the mapped image pair where there is one.

        Args:
            names: Variables of the cube.
            split: Whether to add the split raster.
        """
        locations = dict.fromkeys(names, self.config.cube.location)
        if split:
            locations["split"] = self.split_location
        return pair_reader(locations, self.pair)

    @cached_property
    def paths(self) -> RunPaths:
        """Where the run keeps what it makes."""
        return RunPaths.of(self.config)

    @cached_property
    def derive_hash(self) -> str:
        """Fingerprint of the derived cube.

        Raises:
            StoreError: ``derive`` has not run to its end, or with other settings.
        """
        attributes = open_group(self.config.cube.location).attrs
        if not attributes.get("derived"):
            raise StoreError(
                f"cube {self.config.cube.location!r} has no whole slope and uphill index yet: "
                "run derive"
            )
        derived = str(attributes["derive_hash"])
        if derived != derive_hash(self.config, str(attributes["ingest_hash"])):
            raise StoreError(
                f"cube {self.config.cube.location!r} was derived with other looking distances than "
                f"{', '.join(f'{d:g}' for d in self.config.cube.looking_distances_m)} m: run derive"
            )
        if self.pair is None or self.pair.images != "matched":
            return derived
        if not attributes.get("matched"):
            raise StoreError(f"cube {self.config.cube.location!r} is not matched yet: run derive")
        wanted = config_hash(self.config.cube.matching)
        if attributes.get("matching", wanted) != wanted:
            raise StoreError(
                f"cube {self.config.cube.location!r} was matched by other settings than "
                "cube.matching: run derive"
            )
        return config_hash({"derived": derived, "matched": attributes["matched"]})

    def reach_px(self, name: str) -> int:
        """How far a model sees: halo + uphill reach, pixels."""
        return reach_of(self.config.models[name], self.radii_px)

    @cached_property
    def buffer_px(self) -> int:
        """Masked band between the parts of a ``block`` or ``regions`` split; 0 for others."""
        if self.config.split.kind not in ("block", "regions"):
            return 0
        if self.config.split.buffer_px is not None:
            return self.config.split.buffer_px
        return max(self.reach_px(name) for name in self.config.models)

    @cached_property
    def split_polygons(self) -> list[dict[str, Any]]:
        """Which version of the file of ``split.regions`` divides; empty for other splits.

        Raises:
            DataError: The file is not there, or nothing tells its versions apart.
        """
        regions = self.config.split.regions
        if regions is None:
            return []
        found = describe(regions.path)
        if not any("size" in entry for entry in found):
            raise DataError(f"split.regions.path {regions.path!r} is no file; correct the path")
        return found

    @cached_property
    def split_location(self) -> str:
        """Zarr group of the split raster.

        Raises:
            DataError: The file of ``split.regions`` is not there.
        """
        return self.paths.split(self.config, self.buffer_px, self.split_polygons)

    def model_hash(self, name: str) -> str:
        """Fingerprint of a trained model.

        Raises:
            ConfigError: A checkpoint that it begins with cannot be read.
            DataError: One is damaged, or the file of ``split.regions`` is not there.
            StoreError: ``derive`` has not run to its end.
        """
        started = started_from(self.config, name)
        files: dict[str, Any] = {key: checkpoint_hash(path) for key, path in started.items()}
        if self.split_polygons:
            files["split.regions"] = self.split_polygons
        return model_hash(self.config, name, self.derive_hash, self.buffer_px, files)

    def map_hash(self, name: str) -> str:
        """Fingerprint of the models behind a map, whatever their temperatures.

        Raises:
            ConfigError: The file of an ensemble's member cannot be read.
            DataError: It is damaged.
            StoreError: ``derive`` has not run to its end.
        """
        members = self.config.predict.ensembles.get(name)
        if members is None:
            return self.model_hash(name)
        models = self.config.models
        hashes = [self.model_hash(m) if m in models else checkpoint_hash(m) for m in members]
        return config_hash({"members": hashes})

    @property
    def split_summary(self) -> str:
        """File of what training must know of the whole split."""
        return f"{self.split_location.removesuffix('.zarr')}.npz"

    def check_buffer(self, name: str) -> None:
        """Refuse to train a model that sees across the buffer of a spatial split.

        Raises:
            ConfigError: The model's reach is larger than the buffer, on a split that is not named
                as leaky. (Folds of labelled points are separated by distance alone.)
        """
        kind = self.config.split.kind
        if kind in LEAKY or kind in OF_LABELS:
            return
        if self.reach_px(name) > self.buffer_px:
            raise ConfigError(
                f"model {name!r} sees {self.reach_px(name)} px but split.buffer_px is "
                f"{self.buffer_px}: it would see across parts; raise split.buffer_px"
            )


def checkpoint_hash(path: str) -> str:
    """Fingerprint of the model in a checkpoint file, the same before and after its calibration.

    Raises:
        ConfigError: The file cannot be read.
        DataError: It is damaged or is something else.
    """
    return checkpoint.fingerprint(path) or file_hash("checkpoint", path)


def file_hash(kind: str, path: str) -> str:
    """Fingerprint of the content of a local file.

    Args:
        kind: What the file is, for the message.
        path: Where it is.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{kind} {path!r} cannot be read: {error.strerror}; correct the path"
        ) from error
