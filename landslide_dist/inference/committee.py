"""Who predicts: one model or several, and how far their predictions lie apart.

The mean and the standard deviation are those of all predictions of a pixel: of the members of an
ensemble (Lakshminarayanan et al. 2017, Advances in Neural Information Processing Systems 30), and
of each member's draws with dropout left on (Gal and Ghahramani 2016, Proceedings of Machine
Learning Research 48, 1050-1059).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.models.dropout import dropouts
from landslide_dist.models.susceptibility import SusceptibilityModel


@dataclass(frozen=True)
class Member:
    """One model of a committee.

    Attributes:
        model: In eval mode.
        temperature: What its logits are divided by.
    """

    model: SusceptibilityModel
    temperature: float = 1.0


@dataclass(frozen=True)
class Committee:
    """Models whose predictions are averaged.

    Attributes:
        members: At least one.
        dropout_draws: Predictions of each member that has dropout; 0: one without.
        mixed_precision: Run the networks in bfloat16 where they may.
        given_context_px: Context of the networks where it is not to be their exact halo.
    """

    members: Sequence[Member]
    dropout_draws: int = 0
    mixed_precision: bool = False
    given_context_px: int | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Cube variables that one of them reads."""
        return tuple(dict.fromkeys(name for m in self.members for name in m.model.inputs))

    @property
    def images(self) -> tuple[str, ...]:
        """Those of them that are bands of an event's images."""
        of_images = {
            name
            for member in self.members
            if isinstance(channels := member.model.recipe.channels, EventChannels)
            for name in channels.images
        }
        return tuple(name for name in self.inputs if name in of_images)

    @property
    def stride_px(self) -> int:
        """Pooling grid that fits all."""
        return lcm(*(member.model.stride_px for member in self.members))

    @property
    def context_px(self) -> int:
        """Context of a tile: by default that with which all agree with the whole image."""
        return max(self._context_of(member.model) for member in self.members)

    def to(self, device: torch.device) -> "Committee":
        """The same committee on another device."""
        for member in self.members:
            member.model.to(device)
        return self

    def predict(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``(sample, y, x)`` float32 of all predictions.

        Args:
            batch: With ``context_px`` of context.
            seed: Of the dropout draws.
        """
        count, mean, squares = 0, torch.zeros(()), torch.zeros(())
        with torch.inference_mode(), _drawing(self, seed):
            for member in self.members:
                cropped = crop(batch, self._context_of(member.model))
                for _ in range(num_draws(member.model, self.dropout_draws)):
                    probability = self._probability(member, cropped)
                    # Welford (1962): stable where all predictions are nearly the same.
                    count += 1
                    difference = probability - mean
                    mean = mean + difference / count
                    squares = squares + difference * (probability - mean)
        return mean, (squares / count).sqrt()

    def _context_of(self, model: SusceptibilityModel) -> int:
        if self.given_context_px is None or not model.halo_px:
            return model.exact_context_px
        return model.reach_px + self.given_context_px

    def _probability(self, member: Member, batch: Batch) -> Tensor:
        device = batch.target.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision):
            logits: Tensor = member.model(batch)
        return (logits.float() / member.temperature).sigmoid()


def crop(batch: Batch, context_px: int) -> Batch:
    """The batch with less context."""
    cut_px = batch.context_px - context_px
    if cut_px == 0:
        return batch
    inner = slice(cut_px, -cut_px)
    planes = {name: plane[..., inner, inner] for name, plane in batch.planes.items()}
    return Batch(planes, batch.target, batch.origin, context_px)


def num_draws(model: SusceptibilityModel, dropout_draws: int) -> int:
    """Predictions of a model: with dropout drawn anew where it has any, or one."""
    return max(1, dropout_draws) if dropouts(model) else 1


@contextmanager
def _drawing(committee: Committee, seed: int) -> Iterator[None]:
    """Dropout layers draw, by the seed alone; all others stay as in evaluation."""
    if not committee.dropout_draws:
        yield
        return
    layers = [layer for member in committee.members for layer in dropouts(member.model)]
    devices = {p.device for m in committee.members for p in m.model.parameters()}
    with torch.random.fork_rng([device for device in devices if device.type == "cuda"]):
        torch.manual_seed(seed)
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()
