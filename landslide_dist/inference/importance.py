"""Permutation importance: how much worse a model predicts labels when one group of inputs lies.

The channels of the group are taken from another patch of the batch and rolled by a random number
of rows and columns, the ends joined (Breiman 2001, Machine Learning 45, moved from rows of a table
to patches of a map). Values, their texture and how often they occur stay; what is lost is that they
belong to this place. Groups are those of :func:`landslide_dist.inference.inputs.input_groups`: a
map's classes move together, and what is gathered at one looking distance is a group of its own, so
a variable that moves here is still seen uphill.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.errors import DataError
from landslide_dist.grid import Window
from landslide_dist.inference.inputs import aligned
from landslide_dist.kernels import scores
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.models.susceptibility import EncodedModel
from landslide_dist.patches.cutter import part_target
from landslide_dist.patches.index import Patches
from landslide_dist.patches.planes import as_tensor
from landslide_dist.patches.reader import PatchReader
from landslide_dist.progress import track
from landslide_dist.schema import UNLABELLED

#: Of the interval of a mean over repeats.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Labels:
    """The labels that scores are of.

    Attributes:
        reader: Gives ``landslide``, ``split`` and the model's inputs.
        patches: Patches with labels of the part.
        values: Values of the split raster that make up the part.
    """

    reader: PatchReader
    patches: Patches
    values: Collection[int]

    def chosen(self, max_patches: int, seed: int) -> NDArray[np.int64]:
        """Origins of at most so many patches, drawn without order, in row order."""
        origins = self.patches.origins
        if len(origins) <= max_patches:
            return origins
        drawn = np.random.default_rng(seed).choice(len(origins), max_patches, replace=False)
        return np.asarray(origins[np.sort(drawn)])

    def batch(self, model: EncodedModel, origins: NDArray[np.int64]) -> Batch:
        """Patches with exact context; their cores are widened to the model's pooling grid."""
        core_px, stride_px = self.patches.core_px, model.stride_px
        side = aligned(Window(0, 0, core_px, core_px), stride_px).height
        # A core that begins off the grid may reach into one more cell.
        side += stride_px if core_px % stride_px else 0
        planes: list[dict[str, Tensor]] = []
        targets = []
        for y0, x0 in origins.tolist():
            core = Window(y0, x0, core_px, core_px)
            corner = aligned(core, stride_px)
            tile = Window(corner.y0, corner.x0, side, side)
            read = self.reader.read(tile.expand(model.exact_context_px), model.inputs)
            planes.append({name: as_tensor(plane) for name, plane in read.items()})
            labels = self.reader.read(tile, ("landslide", "split"))
            mine = part_target(labels["landslide"], labels["split"], frozenset(self.values))
            target = np.full_like(mine, UNLABELLED)
            inside = core.relative_to(tile).slices
            target[inside] = mine[inside]
            targets.append(torch.from_numpy(target))
        return Batch(
            {name: torch.stack([sample[name] for sample in planes]) for name in model.inputs},
            torch.stack(targets),
            torch.from_numpy(origins),
            model.exact_context_px,
        )


@dataclass(frozen=True)
class Importance:
    """How much worse scores are without a group, one value a repeat.

    Attributes:
        nll_rise: Rise of the negative log-likelihood, nats.
        auc_drop: Drop of the area under the ROC curve.
    """

    nll_rise: tuple[float, ...]
    auc_drop: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Mean, interval and repeats of both, as plain data."""
        return {
            name: {"mean": mean_of(values), "interval": interval(values), "repeats": list(values)}
            for name, values in (("nll_rise", self.nll_rise), ("auc_drop", self.auc_drop))
        }


@dataclass(frozen=True)
class Shuffling:
    """How groups are permuted.

    Attributes:
        num_repeats: Times that each group is permuted.
        seed: Of all draws.
        batch_patches: Patches that exchange their channels.
        max_patches: Patches that are scored; more are drawn from.
        temperature: What logits are divided by.
    """

    num_repeats: int = 5
    seed: int = 0
    batch_patches: int = 8
    max_patches: int = 200
    temperature: float = 1.0


def permutation_importance(
    model: EncodedModel,
    labels: Labels,
    groups: Mapping[str, Sequence[int]],
    shuffling: Shuffling,
    device: torch.device,
    label: str,
) -> tuple[ScoreCounts, dict[str, Importance]]:
    """Scores as they are, and what each group of inputs is worth.

    Args:
        model: The model.
        labels: What it is scored by.
        groups: Name -> numbers of its channels.
        shuffling: How groups are permuted.
        device: Where the model runs.
        label: What the progress bar says.

    Raises:
        DataError: The labels are all of one kind.
    """
    model = model.to(device).eval()
    whole, permuted = ScoreCounts.zero(), _zeros(groups, shuffling.num_repeats)
    origins = labels.chosen(shuffling.max_patches, shuffling.seed)
    starts = range(0, len(origins), shuffling.batch_patches)
    for number, start in enumerate(track(starts, label, total=len(starts))):
        batch = labels.batch(model, origins[start : start + shuffling.batch_patches])
        batch = batch.to(device)
        with torch.inference_mode():
            channels = model.encoder(batch)
            whole += _counts(model, channels, batch, shuffling.temperature)
            for (place, repeat), mixed in _permutations(channels, groups, shuffling, number):
                counts = _counts(model, mixed, batch, shuffling.temperature)
                permuted[place][repeat] += counts
    if not (whole.num_positive and whole.num_negative):
        raise DataError(
            f"the part has {whole.num_positive} landslide and {whole.num_negative} other pixels; "
            "importance needs both: choose another part"
        )
    nll, auc = scores.nll(whole), scores.auc(whole)
    return whole, {
        name: Importance(
            tuple(scores.nll(counts) - nll for counts in permuted[name]),
            tuple(auc - scores.auc(counts) for counts in permuted[name]),
        )
        for name in groups
    }


def mean_of(values: Sequence[float]) -> float:
    """Mean over repeats."""
    return float(np.mean(values))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean over repeats; the mean twice where there is one repeat."""
    mean, num = mean_of(values), len(values)
    if num < 2:
        return mean, mean
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, num - 1) * np.std(values, ddof=1) / num**0.5)
    return mean - half, mean + half


def _zeros(groups: Mapping[str, Any], num_repeats: int) -> dict[str, list[ScoreCounts]]:
    return {name: [ScoreCounts.zero()] * num_repeats for name in groups}


def _permutations(
    channels: Tensor, groups: Mapping[str, Sequence[int]], shuffling: Shuffling, batch: int
) -> Iterator[tuple[tuple[str, int], Tensor]]:
    """Group and repeat, and channels where that group is of another place."""
    num_samples, _, height, width = channels.shape
    for place, (name, numbers) in enumerate(groups.items()):
        chosen = list(numbers)
        for repeat in range(shuffling.num_repeats):
            # Of these four numbers alone: the same whatever else is computed.
            rng = np.random.default_rng((shuffling.seed, batch, place, repeat))
            others = torch.from_numpy(rng.permutation(num_samples)).to(channels.device)
            roll = (int(rng.integers(height)), int(rng.integers(width)))
            mixed = channels.clone(memory_format=torch.preserve_format)
            mixed[:, chosen] = channels[:, chosen][others].roll(roll, dims=(2, 3))
            yield (name, repeat), mixed


def _counts(model: EncodedModel, channels: Tensor, batch: Batch, temperature: float) -> ScoreCounts:
    margin = batch.context_px - model.reach_px
    height, width = batch.target.shape[-2:]
    logits: Tensor = model.network(channels)
    logits = logits[:, margin : margin + height, margin : margin + width].float()
    labelled = batch.target != UNLABELLED
    probability = torch.sigmoid(logits[labelled] / temperature)
    return ScoreCounts.from_block(probability.cpu().numpy(), batch.target[labelled].cpu().numpy())
