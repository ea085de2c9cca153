"""Compact planes -> channels, on the device that trains or predicts.

A cube holds codes, continuous planes and uphill indices, 10 to 16 bytes a pixel; the networks see
94 channels and the aligned ones. Nothing in between is stored: the expansion happens here.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from landslide_dist.batch import Batch
from landslide_dist.config.channels import Channels
from landslide_dist.errors import DataError
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.schema import OUTSIDE_CODE, UNKNOWN_CODE


class CompactEncoder(nn.Module):
    """The channels of a model: all of :class:`Channels`, then the aligned features.

    Aligned features (LACNN paper, section 4): for each looking distance, in order, the selected
    channels at the highest pixel of the ring; 0 where there is none.

    Attributes:
        names: One name a channel; aligned ones as ``lithology=clay, uphill 30 px``.
        inputs: Cube variables that are read.
        reach_px: How far the uphill look reaches: the largest radius that features are gathered
            at, or 0 without aligned features.

    Args:
        channels: Which channels, in which order.
        statistics: Mean and standard deviation of each continuous variable.
        radii_px: Ring radius of each looking distance of the cube.
        aligned_features: Names of the channels that are gathered uphill.
        aligned_radii_px: Of ``radii_px``, those that they are gathered at; None for all.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channels: Channels,
        statistics: Mapping[str, tuple[float, float]],
        radii_px: Sequence[int] = (),
        aligned_features: Sequence[str] = (),
        aligned_radii_px: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        looked_at = tuple(radii_px if aligned_radii_px is None else aligned_radii_px)
        looked_at = looked_at if aligned_features else ()
        self.continuous = channels.continuous
        self.inputs = channels.variables + (("uphill",) if looked_at else ())
        self.reach_px = max(looked_at, default=0)
        self.names = channels.names + tuple(
            f"{name}, uphill {radius} px" for radius in looked_at for name in aligned_features
        )
        # Buffers are remade from the recipe, so the weights of a checkpoint are weights alone.
        mean, std = zip(*(statistics[variable] for variable in self.continuous), strict=True)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.here = ChannelWriter(channels, channels.names)
        self.uphill = ChannelWriter(channels, aligned_features)
        self.num_distances = len(radii_px)
        self.rings = nn.ModuleList(Ring(r, plane=tuple(radii_px).index(r)) for r in looked_at)

    def forward(self, batch: Batch) -> Tensor:
        """Expand a batch.

        Args:
            batch: Planes over the core and its context, which is at least ``reach_px``.

        Returns:
            ``(sample, channel, y, x)`` over the core and ``context_px - reach_px`` around it,
            float32, or autocast's dtype, to which the network would round anyway. The channels lie
            innermost (``torch.channels_last``): convolutions and linear layers run up to twice as
            fast on that, on CPUs too.

        Raises:
            DataError: The cube has another number of looking distances.
        """
        planes = {name: batch.planes[name] for name in self.here.variables}
        for i, name in enumerate(self.continuous):
            standardised = (planes[name] - self.mean[i]) / self.std[i]
            planes[name] = standardised.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        inner = {name: self._crop(plane) for name, plane in planes.items()}
        shape = inner[self.continuous[0]].shape
        out = self._zeros(shape)
        start, size = self.here.num_channels, self.uphill.num_channels
        self.here(out[..., :start], inner)
        for i, index in enumerate(self._uphill_indices(batch)):
            gathered = {name: index.take(planes[name]) for name in self.uphill.variables}
            self.uphill(out[..., start + i * size : start + (i + 1) * size], gathered)
        return out.permute(0, 3, 1, 2)

    def pixels(self, batch: Batch, where: Tensor) -> Tensor:
        """Expand some pixels of the cores alone; equal to ``forward`` there.

        Args:
            batch: As for ``forward``.
            where: ``(sample, y, x)`` bool over the cores.

        Returns:
            ``(pixel, channel)`` of the same dtype, pixels in row order.
        """
        sample, y, x = where.nonzero(as_tuple=True)
        height, width = batch.planes[self.continuous[0]].shape[-2:]
        row = sample * height + y + batch.context_px
        own = (row * width + x + batch.context_px)[None]
        here = UphillIndex(own, torch.zeros_like(own, dtype=torch.bool))
        out = self._zeros(own.shape)
        start, size = self.here.num_channels, self.uphill.num_channels
        self.here(out[..., :start], self._taken(batch, self.here.variables, here))
        for i, ring in enumerate(self._rings(batch)):
            plane = batch.planes["uphill"][:, ring.plane]
            positions = here.take(plane.to(torch.int32).reshape(1, -1))
            gathered = self._taken(batch, self.uphill.variables, ring.look(positions, own, width))
            self.uphill(out[..., start + i * size : start + (i + 1) * size], gathered)
        return out[0]

    def _zeros(self, shape: torch.Size) -> Tensor:
        device = self.mean.device
        dtype = self.mean.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        return torch.zeros((*shape, len(self.names)), dtype=dtype, device=device)

    def _taken(
        self, batch: Batch, variables: Sequence[str], index: "UphillIndex"
    ) -> dict[str, Tensor]:
        """Standardised values and codes at some places of the batch as one row of pixels."""
        planes = {name: index.take(batch.planes[name].reshape(1, -1)) for name in variables}
        for i, name in enumerate(self.continuous):
            if name in planes:
                standardised = (planes[name] - self.mean[i]) / self.std[i]
                planes[name] = standardised.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
                planes[name].masked_fill_(index.none, 0)
        return planes

    def _rings(self, batch: Batch) -> "list[Ring]":
        if not self.rings:
            return []
        uphill = batch.planes["uphill"]
        if uphill.shape[1] != self.num_distances:
            raise DataError(
                f"the cube has {uphill.shape[1]} looking distances but the model was made for "
                f"{self.num_distances}; derive the cube with the model's distances"
            )
        return [ring for ring in self.rings if isinstance(ring, Ring)]

    def _uphill_indices(self, batch: Batch) -> "list[UphillIndex]":
        rings = self._rings(batch)
        if not rings:
            return []
        uphill = batch.planes["uphill"]
        return [ring(self._crop(uphill[:, ring.plane]), uphill.shape) for ring in rings]

    def _crop(self, plane: Tensor) -> Tensor:
        reach, (height, width) = self.reach_px, plane.shape[-2:]
        return plane[..., reach : height - reach, reach : width - reach]


class UphillIndex:
    """Where one looking distance finds each pixel's highest neighbour.

    Args:
        flat: ``(sample, y, x)`` int64 position in the flattened plane.
        none: ``(sample, y, x)`` bool, where there is no such neighbour.
    """

    def __init__(self, flat: Tensor, none: Tensor) -> None:
        self.flat = flat
        self.none = none

    def take(self, plane: Tensor) -> Tensor:
        """``(sample, y, x)`` values of a plane there; what reads as zero where there is none."""
        values = plane.flatten(1).gather(1, self.flat.flatten(1)).view_as(self.flat)
        return values.masked_fill(self.none, 0 if plane.is_floating_point() else OUTSIDE_CODE)


class Ring(nn.Module):
    """One looking distance: ring positions -> :class:`UphillIndex`.

    Args:
        radius_px: Radius of the ring in pixels.
        plane: Which plane of ``uphill`` holds its positions.
    """

    dy: Tensor
    dx: Tensor

    def __init__(self, radius_px: int, plane: int) -> None:
        super().__init__()
        offsets = torch.tensor(ring_offsets(radius_px), dtype=torch.int64)
        self.radius_px = radius_px
        self.plane = plane
        self.num_pixels = len(offsets)
        # One entry more, for "none": the pixel itself, which is then masked.
        offsets = torch.cat([offsets, torch.zeros(1, 2, dtype=torch.int64)])
        self.register_buffer("dy", offsets[:, 0].contiguous(), persistent=False)
        self.register_buffer("dx", offsets[:, 1].contiguous(), persistent=False)

    def forward(self, positions: Tensor, outer: torch.Size) -> UphillIndex:
        """Resolve ring positions.

        Args:
            positions: ``(sample, y, x)`` uint8 or uint16, the middle of the planes.
            outer: Shape of the uncropped planes, ending in y, x.
        """
        height, width = positions.shape[-2:]
        margin = (outer[-2] - height) // 2
        rows = torch.arange(margin, margin + height, device=positions.device)
        columns = torch.arange(margin, margin + width, device=positions.device)
        return self.look(positions, rows[:, None] * outer[-1] + columns, outer[-1])

    def look(self, positions: Tensor, own: Tensor, row_px: int) -> UphillIndex:
        """Resolve the ring positions of any pixels.

        Args:
            positions: Ring position of each pixel.
            own: Its place in the flattened plane, broadcast to ``positions``.
            row_px: Columns of the plane.
        """
        # uint16 has few operations in torch; "none" is the maximum of either dtype.
        position = positions.to(torch.int32).clamp(max=self.num_pixels)
        delta = (self.dy * row_px + self.dx).index_select(0, position.flatten())
        return UphillIndex(own + delta.view_as(position), position == self.num_pixels)


class ChannelWriter(nn.Module):
    """Writes some channels, in the order of their names, from standardised planes and codes.

    Attributes:
        variables: Cube variables that these channels come from.
        num_channels: Number of channels.

    Args:
        channels: All channels that there are.
        names: The ones to write.
    """

    def __init__(self, channels: Channels, names: Sequence[str]) -> None:
        super().__init__()
        position = {name: i for i, name in enumerate(names)}
        self.num_channels = len(names)
        self.planes = {name: position[name] for name in channels.continuous if name in position}
        self.groups = nn.ModuleDict()
        for variable, categories in channels.categorical.items():
            slots = {
                code: position[f"{variable}={name}"]
                for code, name in categories.codes.items()
                if f"{variable}={name}" in position
            }
            if categories.unknown in slots:
                slots[UNKNOWN_CODE] = slots[categories.unknown]
            if slots:
                self.groups[variable] = OneHot(slots)
        self.variables = (*self.planes, *self.groups)

    def forward(self, out: Tensor, planes: Mapping[str, Tensor]) -> None:
        """Fill ``out`` ``(sample, y, x, channel)``, which holds zeros, in place."""
        for name, channel in self.planes.items():
            out[..., channel] = planes[name]
        for name, group in self.groups.items():
            group(out, planes[name])


class OneHot(nn.Module):
    """One-hot channels of one categorical map.

    Args:
        slots: Code -> channel that is 1 there; other codes leave every channel 0.
    """

    channel: Tensor
    value: Tensor

    def __init__(self, slots: Mapping[int, int]) -> None:
        super().__init__()
        # Codes without a channel write a 0 into a channel of this map, where a 0 belongs anyway.
        channel = torch.full((OUTSIDE_CODE + 1,), next(iter(slots.values())))
        value = torch.zeros(OUTSIDE_CODE + 1)
        for code, slot in slots.items():
            channel[code], value[code] = slot, 1.0
        self.register_buffer("channel", channel, persistent=False)
        self.register_buffer("value", value, persistent=False)

    def forward(self, out: Tensor, codes: Tensor) -> None:
        """Write into ``out`` ``(sample, y, x, channel)`` from uint8 codes ``(sample, y, x)``."""
        flat = codes.flatten().to(torch.int32)
        shape = (*codes.shape, 1)
        out.scatter_(
            -1,
            self.channel.index_select(0, flat).view(shape),
            self.value.to(out.dtype).index_select(0, flat).view(shape),
        )
