"""Classifies chips that are in memory."""

import numpy as np
import torch
from numpy.typing import NDArray

from landslide_dist.inference.predictor import own_device
from landslide_dist.models.chip import ChipModel


def classify(
    model: ChipModel, images: NDArray[np.uint8], batch_size: int = 64
) -> NDArray[np.float32]:
    """Probability of a landslide in each chip, ``(chip,)``.

    Args:
        model: The classifier; it is left in eval mode on this process's device.
        images: ``(chip, 3, y, x)`` red, green, blue.
        batch_size: Chips of one forward pass.
    """
    device = own_device()
    model = model.to(device).eval()
    out = np.empty(len(images), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            chips = torch.from_numpy(images[part]).to(device)
            out[part] = model.probability(chips).cpu().numpy()
    return out
