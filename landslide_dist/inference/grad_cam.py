"""Where chips and scenes speak for a class: Grad-CAM (Selvaraju et al. 2017, ICCV, 618-626).

The maps of the last convolution are weighted by the mean gradient of a class's score, summed, and
what speaks against the class is set to 0 (reporting bias paper, section 4.3 and appendix).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.grid import Window
from landslide_dist.inference.scene import ClassifyBlock
from landslide_dist.models.chip import NUM_CLASSES, NUM_COLOURS, ChipModel

_Value = TypeVar("_Value", bound=np.generic)
#: Classes in the order of the logits.
CLASSES = tuple(range(NUM_CLASSES))


def grad_cam(model: ChipModel, chips: Tensor, target: int) -> Tensor:
    """Grad-CAM of one class; see :func:`class_maps`.

    Returns:
        ``(sample, y, x)`` float32.
    """
    return class_maps(model, chips, (target,))[:, 0]


def class_maps(model: ChipModel, chips: Tensor, targets: Sequence[int] = CLASSES) -> Tensor:
    """Grad-CAM of some classes; the network is run once for all of them.

    The model is asked in eval mode and left in the mode it was in, without gradients.

    Args:
        model: On the device of the chips; its network may be frozen.
        chips: ``(sample, 3, y, x)`` from 0 to 255, of any size.
        targets: Numbers of the classes.

    Returns:
        ``(sample, target, y, x)`` float32 at the size of the model's feature maps, not negative,
        in logits of the class: not normalised.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            maps = model.feature_maps(model.seen(chips))
        with torch.enable_grad():
            leaf = maps.requires_grad_(True)
            scores = model.head(leaf).sum(dim=0)
            gradients = [
                torch.autograd.grad(scores[target], leaf, retain_graph=True)[0]
                for target in targets
            ]
    finally:
        model.train(was_training)
    weights = torch.stack(gradients, dim=1).mean(dim=(3, 4))
    return F.relu(torch.einsum("stk,skyx->styx", weights, maps.detach())).float()


def resized(cam: Tensor, side_px: int) -> Tensor:
    """Maps brought to the size of a chip, bilinear.

    Args:
        cam: ``(..., y, x)``.
        side_px: Side of a chip.

    Returns:
        ``(..., side_px, side_px)``.
    """
    size = (side_px, side_px)
    maps = cam.reshape(-1, 1, *cam.shape[-2:])
    fine = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return fine.reshape(*cam.shape[:-2], *size)


@dataclass(frozen=True)
class SceneMaps:
    """Grad-CAM over a part of a scene, at the scene's own pixel size.

    Attributes:
        colours: ``(3, y, x)`` uint8, the pixels as the model is given them.
        maps: ``(class, y, x)`` float32, NaN where a cell is not classified. Each cell is a chip of
            its own: its map knows nothing of its neighbours.
    """

    colours: NDArray[np.uint8]
    maps: NDArray[np.float32]


def scene_maps(model: ChipModel, block: ClassifyBlock, cells: Window) -> SceneMaps:
    """Explain every cell of a part of a scene.

    Args:
        model: The classifier that ``block`` names.
        block: Reads the scene and cuts it into chips.
        cells: Which cells; they are in memory several times.
    """
    side = block.block_px
    chips, clear = block.chips(*block.read(cells))
    maps = np.full((len(chips), NUM_CLASSES, side, side), np.nan, dtype=np.float32)
    chosen = np.flatnonzero(clear)
    device = next(model.parameters()).device
    for start in range(0, len(chosen), block.batch_size):
        part = chosen[start : start + block.batch_size]
        found = class_maps(model, torch.from_numpy(chips[part]).to(device))
        maps[part] = resized(found, side).cpu().numpy()
    colours = np.rint(chips).clip(0, 255).astype(np.uint8).reshape(-1, NUM_COLOURS, side, side)
    return SceneMaps(_mosaic(colours, cells), _mosaic(maps, cells))


def _mosaic(chips: NDArray[_Value], cells: Window) -> NDArray[_Value]:
    """``(cell, band, side, side)``, row by row -> ``(band, y, x)``."""
    _, bands, side, _ = chips.shape
    placed = chips.reshape(cells.height, cells.width, bands, side, side).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(placed.reshape(bands, cells.height * side, cells.width * side))
