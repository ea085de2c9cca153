"""Tiled prediction: reads tiles ahead, runs the model, writes whole shards."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landslide_dist.batch import Batch
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.predict import PredictConfig
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.plan import TilePlan
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import PROBABILITY, UNLABELLED
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import hold
from landslide_dist.tasks.susceptibility import SusceptibilityTask


@dataclass
class TiledPredictor:
    """A model, where its inputs come from, and how the region is cut.

    Attributes:
        model: In eval mode, on its device.
        reader: Gives ``elevation`` and the model's inputs.
        plan: Tiles and batches.
        device: Where the model runs.
    """

    model: SusceptibilityModel
    reader: PatchReader
    plan: TilePlan
    device: torch.device

    @classmethod
    def of(
        cls, model: SusceptibilityModel, reader: PatchReader, config: PredictConfig
    ) -> "TiledPredictor":
        """Put a model on the GPU, if there is one, and plan its tiles."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        plan = TilePlan.of(config.tile_px, model.stride_px, config.batch_tiles)
        return cls(model.to(device).eval(), reader, plan, device)

    def probability(self, shard: Window) -> NDArray[np.float32]:
        """Predict one shard.

        Args:
            shard: Pixels inside the raster.

        Returns:
            ``(shard.height, shard.width)`` float32; NaN where there is no elevation.
        """
        out = np.full(shard.shape, np.nan, dtype=np.float32)
        for cores, batch in self._read_ahead(shard):
            for core, tile in zip(cores, self._run(batch), strict=True):
                common = core.intersect(shard)
                out[common.relative_to(shard).slices] = tile[common.relative_to(core).slices]
        out[np.isnan(self.reader.read(shard, ("elevation",))["elevation"])] = np.nan
        return out

    def _run(self, batch: Batch) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = self.model(batch.to(self.device))
            return SusceptibilityTask().predict(logits).cpu().numpy()

    def _read_ahead(self, shard: Window) -> Iterator[tuple[list[Window], Batch]]:
        """The shard's batches, each read while the one before is being worked on."""
        waiting = iter(list(self.plan.batches(shard)))
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
            ahead = [(cores, pool.submit(self._cut, cores)) for cores in islice(waiting, 1)]
            while ahead:
                cores, future = ahead.pop()
                batch = future.result()
                ahead += [(c, pool.submit(self._cut, c)) for c in islice(waiting, 1)]
                yield cores, batch

    def _cut(self, cores: Sequence[Window]) -> Batch:
        context_px = self.model.exact_context_px
        inputs = self.model.inputs
        planes = [self.reader.read(core.expand(context_px), inputs) for core in cores]
        side = self.plan.core_px
        return Batch(
            {n: torch.from_numpy(np.stack([sample[n] for sample in planes])) for n in inputs},
            torch.full((len(cores), side, side), UNLABELLED, dtype=torch.uint8),
            torch.tensor([(core.y0, core.x0) for core in cores], dtype=torch.int64),
            context_px,
        )


@dataclass(frozen=True)
class PredictShard:
    """Predicts one shard and writes it while the next is predicted."""

    predictor: TiledPredictor
    location: str

    def read(self, shard: Window) -> None:
        """Nothing: the predictor reads tile by tile, ahead of the model."""

    def compute(self, shard: Window, _: None) -> NDArray[np.float32]:
        """Probability."""
        return self.predictor.probability(shard)

    def write(self, shard: Window, probability: NDArray[np.float32]) -> None:
        """The shard of the result."""
        array = cube.array(open_group(self.location, "r+"), PROBABILITY.name)
        cube.write_block(array, shard, probability)


def predict_region(
    predictor: TiledPredictor,
    grid: Grid,
    location: str,
    storage: StorageConfig,
    provenance: Mapping[str, Any],
    fingerprint: str,
    label: str,
) -> int:
    """Predict a whole region, or what a killed run has left of it.

    Args:
        predictor: The model and its inputs.
        grid: The region's grid.
        location: Zarr group of the result, variable ``probability``.
        storage: Its chunks and shards.
        provenance: Attributes of the group: checkpoint and cube.
        fingerprint: Hash of everything that the result depends on.
        label: What the progress bar says.

    Returns:
        How many shards were predicted; 0 where all were there.
    """
    ledger = Ledger(location, "predict", fingerprint)
    with hold(location, "predict") as lock:
        if not exists(location) or open_group(location).attrs.get("fingerprint") != fingerprint:
            delete(location)
            attributes = {**provenance, "fingerprint": fingerprint}
            cube.create(location, grid, [PROBABILITY], storage, attributes)
        # One shard at a time: torch already uses all cores of the device.
        task = PredictShard(predictor, location)
        windows = cube.shard_windows(location)
        return run_blocks(task, windows, ledger, lock, label, threads=1).blocks


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
