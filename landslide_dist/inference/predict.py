"""Predicts whole regions: blocks are read ahead, run through the models, and written behind."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from landslide_dist.config.channels import Channels
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.predict import PredictConfig
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.predictor import Prediction, TiledPredictor
from landslide_dist.patches.planes import Planes
from landslide_dist.schema import PROBABILITY, Variable, predicted, susceptibility_class
from landslide_dist.store import cube
from landslide_dist.store.blocks import BlockTask, Steps, run_blocks
from landslide_dist.store.ledger import Ledger, block_key
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import hold

STD = "probability_std"


@dataclass(frozen=True)
class Processes:
    """Processes that a launcher started to predict one region together.

    Attributes:
        rank: Of this one.
        size: How many there are.
        wait: Returns once all of them are here.
    """

    rank: int = 0
    size: int = 1
    wait: Callable[[], None] = lambda: None


ALONE = Processes()


@dataclass(frozen=True)
class Outputs:
    """The variables that are stored of a prediction.

    Attributes:
        config: Their dtype, and the bounds of classes.
        with_spread: Whether there is a standard deviation.
    """

    config: PredictConfig
    with_spread: bool

    @property
    def variables(self) -> list[Variable]:
        """``probability`` and what goes with it."""
        dtype, bounds = self.config.dtype, self.config.class_bounds
        variables = [predicted(PROBABILITY.name, PROBABILITY.long_name, dtype)]
        if self.with_spread:
            long_name = "standard deviation of the predicted probability"
            variables.append(predicted(STD, long_name, dtype))
        if bounds:
            variables.append(susceptibility_class(bounds))
        return variables

    @property
    def names(self) -> list[str]:
        """Names of the variables."""
        return [variable.name for variable in self.variables]

    def blocks(self, prediction: Prediction) -> dict[str, NDArray[Any]]:
        """Variable -> block as it is stored."""
        values = {PROBABILITY.name: prediction.probability, STD: prediction.std}
        blocks = {}
        for variable in self.variables:
            if variable.name in values:
                blocks[variable.name] = stored(values[variable.name], variable)
            else:
                blocks[variable.name] = self._classes(prediction.probability)
        return blocks

    def _classes(self, probability: NDArray[np.float32]) -> NDArray[np.uint8]:
        known = ~np.isnan(probability)
        classes = np.zeros(probability.shape, dtype=np.uint8)
        bounds = np.asarray(self.config.class_bounds, dtype=np.float32)
        classes[known] = 1 + np.digitize(probability[known], bounds)
        return classes


def stored(values: NDArray[np.float32], variable: Variable) -> NDArray[Any]:
    """Numbers as a variable holds them; NaN becomes its nodata."""
    if variable.scale is None:
        return values.astype(variable.dtype)
    with np.errstate(invalid="ignore"):
        steps = np.rint(values / np.float32(variable.scale))
    return np.where(np.isnan(values), variable.nodata, steps).astype(variable.dtype)


@dataclass(frozen=True)
class PredictBlock:
    """Reads the next block and writes the last while the models work on one.

    Attributes:
        predictor: Gives this process's predictor.
        location: Zarr group of the result.
        outputs: What it holds.
    """

    predictor: Callable[[], TiledPredictor]
    location: str
    outputs: Outputs = field(repr=False)

    @property
    def variables(self) -> Sequence[Variable]:
        """What it writes."""
        return self.outputs.variables

    def read(self, block: Window) -> Planes:
        """Compact planes of the block and its context."""
        return self.predictor().read(block)

    def compute(self, block: Window, planes: Planes) -> dict[str, NDArray[Any]]:
        """Variable -> block."""
        return self.outputs.blocks(self.predictor().predict(block, planes))

    def write(self, block: Window, outputs: Mapping[str, NDArray[Any]]) -> None:
        """A shard of each variable."""
        group = open_group(self.location, "r+")
        for name, values in outputs.items():
            cube.write_block(cube.array(group, name), block, values)


class MapTask(BlockTask, Protocol):
    """What draws a map block by block."""

    @property
    def location(self) -> str:
        """Zarr group of the result."""

    @property
    def variables(self) -> Sequence[Variable]:
        """What it holds."""


def predict_region(
    task: MapTask,
    grid: Grid,
    storage: StorageConfig,
    provenance: Mapping[str, Any],
    fingerprint: str,
    label: str,
    cluster: Client | None = None,
    processes: Processes = ALONE,
) -> Steps:
    """Predict a whole region, or what a killed run has left of it.

    The batches of a block depend on the block alone: whoever predicts it writes the same bytes, on
    one kind of device and with one number of threads.

    Args:
        task: Models, inputs, and where the result goes.
        grid: The region's grid.
        storage: Chunks and shards of the result.
        provenance: Attributes of the group: checkpoint and cube.
        fingerprint: Hash of everything that the result depends on.
        label: What the progress bar says.
        cluster: Dask client; each worker process makes the models once.
        processes: This process among those that were launched together; each takes its share.

    Returns:
        What this process or its cluster predicted; no blocks where all were there.
    """
    location, first = task.location, processes.rank == 0
    ledger = Ledger(location, "predict", fingerprint)
    with hold(location, "predict") if first else nullcontext() as lock:
        if first and not (
            exists(location) and open_group(location).attrs.get("fingerprint") == fingerprint
        ):
            delete(location)
            attributes = {**provenance, "fingerprint": fingerprint}
            cube.create(location, grid, task.variables, storage, attributes)
        processes.wait()
        windows = cube.shard_windows(location)[processes.rank :: processes.size]
        # One block at a time: torch already uses all cores of the device.
        steps = run_blocks(task, windows, ledger, lock, label, cluster, threads=1)
        processes.wait()
    return steps


def is_predicted(location: str, fingerprint: str) -> bool:
    """Whether the whole map is there."""
    if not exists(location) or open_group(location).attrs.get("fingerprint") != fingerprint:
        return False
    done = Ledger(location, "predict", fingerprint).done()
    return all(block_key(window) in done for window in cube.shard_windows(location))


def check_channels(of_model: Channels | EventChannels, of_cube: Channels | EventChannels) -> None:
    """Refuse a model that was trained on other channels than the cube has.

    Raises:
        DataError: They are of another task or of other images; a variable that the model reads is
            missing, or its codes mean something else.
    """
    if type(of_model) is not type(of_cube):
        raise DataError(
            "a model of event mapping and a cube of susceptibility (or the other way round) do "
            "not go together: check task and the checkpoint"
        )
    if isinstance(of_model, EventChannels) and isinstance(of_cube, EventChannels):
        seen = replace(of_model, pixel_m=of_cube.pixel_m)
        if seen != of_cube:
            raise DataError(
                f"the model was trained on {of_model} ({of_model.dtype}) but the cube has "
                f"{of_cube} ({of_cube.dtype}): give the same bands, and cube.matching as the model"
            )
    if isinstance(of_model, Channels) and isinstance(of_cube, Channels):
        of_cube.check_readable_by(of_model)


def check_fits(metadata: Mapping[str, Any], grid: Grid, distances_m: Sequence[float]) -> None:
    """Refuse to run a model on a cube that it was not made for.

    A model that looks at some of its cube's distances alone finds them by their place in
    ``uphill``: it needs the whole list to be the same, as any model does.

    Args:
        metadata: Of the checkpoint: looking distances of the cube it was trained on.
        grid: Of the cube.
        distances_m: Looking distances of the cube.

    Raises:
        DataError: Pixel size or looking distances differ.
    """
    trained = tuple(metadata["looking_distances_m"])
    if trained != tuple(distances_m):
        raise DataError(
            f"the model was trained on a cube of looking distances {trained} m but this one has "
            f"{tuple(distances_m)} m; derive it with the model's distances"
        )
    if not np.isclose(metadata["pixel_m"], grid.pixel_m, rtol=1e-3):
        raise DataError(
            f"the model was trained on pixels of {metadata['pixel_m']:g} m but the cube has "
            f"{grid.pixel_m:g} m; ingest the cube at the model's pixel size"
        )
