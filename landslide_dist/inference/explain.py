"""Why a model gives a window its landslide probability: integrated gradients and Grad-CAM.

What is explained is the sum of the log-odds of some pixels. Integrated gradients (Sundararajan et
al. 2017, Proceedings of Machine Learning Research 70, 3319-3328) divide its difference to a
baseline among the channels of every pixel that the network sees; the baseline is zero in every
channel: mean elevation and slope, and no class of any map. Grad-CAM (Selvaraju et al. 2017, ICCV)
shows where the features of one level of a U-Net speak for landslides; pooled over a map instead of
one class score it is that of Vinogradova et al. (2020, AAAI).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Window
from landslide_dist.inference.inputs import aligned
from landslide_dist.models.susceptibility import EncodedModel
from landslide_dist.models.unet import UNet
from landslide_dist.patches.planes import as_tensor
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED

#: Largest side of a window: all of its channels are in memory several times.
MAX_WINDOW_PX = 1024
#: Name of the sum of all groups.
TOTAL = "total"


@dataclass(frozen=True)
class SeenWindow:
    """A window, all that the network sees of its surroundings, and whose log-odds are explained.

    Attributes:
        model: In eval mode.
        window: Pixels that are shown.
        seen: Pixels that the network reads channels of; begins on its pooling grid.
        channels: ``(1, channel, seen.height, seen.width)``.
        ground: ``(window.height, window.width)`` bool, where there is elevation.
        counted: ``(seen.height, seen.width)`` bool, pixels whose log-odds are summed.
    """

    model: EncodedModel
    window: Window
    seen: Window
    channels: Tensor
    ground: NDArray[np.bool_]
    counted: Tensor

    @classmethod
    def read(
        cls,
        model: EncodedModel,
        reader: PatchReader,
        window: Window,
        device: torch.device,
        at: tuple[int, int] | None = None,
    ) -> "SeenWindow":
        """Read and encode a window.

        Args:
            model: The model.
            reader: Gives ``elevation`` and the model's inputs.
            window: Pixels inside the raster.
            device: Where the model is to run.
            at: Row and column of the raster's pixel that is explained; None for all of the window.

        Raises:
            ConfigError: The window is too large, or has no pixel to explain.
        """
        if max(window.shape) > MAX_WINDOW_PX:
            raise ConfigError(
                f"a window of {window.height} x {window.width} px is too large to explain; give "
                f"one of at most {MAX_WINDOW_PX} px a side"
            )
        tile = aligned(window, model.stride_px)
        outer = tile.expand(model.exact_context_px)
        planes = reader.read(outer, tuple(dict.fromkeys((*model.inputs, "elevation"))))
        ground = ~np.isnan(planes["elevation"][window.relative_to(outer).slices])
        seen = outer.expand(-model.reach_px)
        counted = torch.zeros(seen.shape, dtype=torch.bool)
        counted[window.relative_to(seen).slices] = torch.from_numpy(ground)
        if at is not None:
            pixel = Window(*at, 1, 1).relative_to(seen).slices
            only = torch.zeros_like(counted)
            only[pixel] = counted[pixel]
            counted = only
        if not counted.any():
            raise ConfigError("there is no elevation at what is to be explained; choose another")
        batch = Batch(
            {name: as_tensor(planes[name])[None] for name in model.inputs},
            torch.full((1, *tile.shape), UNLABELLED, dtype=torch.uint8),
            torch.tensor([(tile.y0, tile.x0)]),
            model.exact_context_px,
        )
        model = model.to(device).eval().requires_grad_(False)
        with torch.no_grad():
            channels = model.encoder(batch.to(device))
        return cls(model, window, seen, channels, ground, counted.to(device))

    def log_odds(self, channels: Tensor) -> Tensor:
        """``(sample,)`` summed log-odds of the counted pixels, from channels of :attr:`seen`."""
        logits: Tensor = self.model.network(channels)
        return logits[:, self.counted].sum(dim=1)

    def shown(self, values: Tensor) -> NDArray[np.float32]:
        """``(window.height, window.width)`` of values of :attr:`seen`; NaN without elevation."""
        part = values[self.window.relative_to(self.seen).slices].detach().cpu().numpy()
        return np.where(self.ground, part, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Attribution:
    """What each group of inputs adds to the log-odds.

    Attributes:
        maps: Group, and ``total`` -> ``(y, x)`` float32 of the window, log-odds.
        sums: Group -> sum over all that the network sees, the window's surroundings too.
        log_odds: Summed log-odds of the explained pixels.
        baseline: The same of the baseline.
        num_pixels: How many pixels are explained.
    """

    maps: Mapping[str, NDArray[np.float32]]
    sums: Mapping[str, float]
    log_odds: float
    baseline: float
    num_pixels: int

    @property
    def gap(self) -> float:
        """What the sums miss of the difference to the baseline; more steps make it smaller."""
        return self.log_odds - self.baseline - sum(self.sums.values())


def integrated_gradients(
    seen: SeenWindow, groups: Mapping[str, Sequence[int]], num_steps: int
) -> Attribution:
    """Divide the difference to the baseline among pixels and groups.

    Args:
        seen: What is explained.
        groups: Name -> numbers of its channels; see :mod:`landslide_dist.inference.inputs`.
        num_steps: Points on the way from the baseline (Gauss-Legendre).
    """
    baseline = torch.zeros_like(seen.channels)
    method = IntegratedGradients(seen.log_odds, multiply_by_inputs=True)
    # One step at a time: memory is that of one backward pass.
    by_channel = method.attribute(
        seen.channels,
        baselines=baseline,
        n_steps=num_steps,
        method="gausslegendre",
        internal_batch_size=1,
    )[0]
    by_group = {name: by_channel[list(numbers)].sum(dim=0) for name, numbers in groups.items()}
    with torch.no_grad():
        log_odds, of_baseline = (
            float(seen.log_odds(channels)) for channels in (seen.channels, baseline)
        )
    maps = {TOTAL: by_channel.sum(dim=0), **by_group}
    return Attribution(
        {name: seen.shown(values) for name, values in maps.items()},
        {name: float(values.double().sum()) for name, values in by_group.items()},
        log_odds,
        of_baseline,
        int(seen.counted.sum()),
    )


def grad_cam(seen: SeenWindow, level: int) -> NDArray[np.float32]:
    """Grad-CAM of one level of a U-Net's way down.

    Args:
        seen: What is explained.
        level: 0 for the finest; negative ones count from the coarsest.

    Returns:
        ``(window.height, window.width)`` float32, not negative; NaN without elevation.

    Raises:
        ConfigError: The model has no convolutions, or no such level.
    """
    network = network_of_levels(seen.model)
    num_levels = len(network.down)
    if not -num_levels <= level < num_levels:
        raise ConfigError(f"level {level} is not one of the model's {num_levels}, 0 the finest")
    forward: Callable[[Tensor], Tensor] = seen.log_odds
    method = LayerGradCam(forward, network.down[level % num_levels])
    channels = seen.channels.detach().requires_grad_(True)
    coarse = method.attribute(channels, relu_attributions=True)
    fine = F.interpolate(coarse, size=seen.seen.shape, mode="bilinear", align_corners=False)
    return seen.shown(fine[0, 0])


def network_of_levels(model: EncodedModel) -> UNet:
    """The U-Net of a model.

    Raises:
        ConfigError: It has none.
    """
    if not isinstance(model.network, UNet):
        raise ConfigError(
            f"Grad-CAM needs convolutions and {model.recipe.config.kind} has none: each pixel is "
            "judged alone; integrated gradients explain it"
        )
    return model.network
