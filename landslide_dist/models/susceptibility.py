"""What every susceptibility model is: a batch of compact planes in, logits of the core out."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from landslide_dist.batch import Batch
from landslide_dist.errors import ConfigError
from landslide_dist.kernels.tiling import aligned_context
from landslide_dist.models.dropout import draw_by
from landslide_dist.models.encoder import CompactEncoder
from landslide_dist.models.event_encoder import EventEncoder, NDVIEncoder
from landslide_dist.models.pixel import PixelNetwork
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.resunet import ResidualUNet
from landslide_dist.models.unet import UNet
from landslide_dist.schema import UNLABELLED

Encoder = CompactEncoder | EventEncoder | NDVIEncoder
Network = PixelNetwork | UNet | ResidualUNet


class SusceptibilityModel(nn.Module, ABC):
    """A map from a :class:`Batch` to logits, and how far it looks.

    Attributes:
        recipe: What it was built from.
        inputs: Cube variables that it reads.
        halo_px: Exact one-sided reach of the network on its channels.
        reach_px: How far the uphill look reaches, 0 if there is none.
        stride_px: Pooling grid, 1 for models without pooling.
    """

    recipe: Recipe
    inputs: tuple[str, ...] = ()
    halo_px: int = 0
    reach_px: int = 0
    stride_px: int = 1

    @property
    def exact_context_px(self) -> int:
        """Context with which tiles agree with the whole image.

        The halo is rounded up to the pooling grid, so that for cores whose origin is a multiple of
        ``stride_px`` the network's own window (core and context less ``reach_px``) starts at a
        multiple as well.
        """
        return self.reach_px + aligned_context(self.halo_px, self.stride_px)

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits ``(sample, y, x)`` float32 over the cores of a batch."""

    def labelled_logits(self, batch: Batch) -> Tensor:
        """Logits ``(pixel,)`` of the labelled pixels of a batch, in row order."""
        logits: Tensor = self(batch)
        return logits[batch.target != UNLABELLED]


class NetworkModel(SusceptibilityModel):
    """Encoder, then a network on its channels: every model that is trained.

    Args:
        recipe: What it is built from.
        encoder: Planes to channels.
        network: Channels to logits of the same size.
    """

    def __init__(self, recipe: Recipe, encoder: Encoder, network: Network) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = encoder
        self.network = network
        self.inputs = encoder.inputs
        self.halo_px = network.halo_px
        self.reach_px = encoder.reach_px
        self.stride_px = network.stride_px

    def forward(self, batch: Batch) -> Tensor:
        """Logits of the cores.

        Training may give less context than the halo, as the paper does; the network then sees
        zeros beyond it. Exact inference gives ``exact_context_px``.

        Raises:
            ConfigError: The context is smaller than the uphill look.
        """
        return self._cores(self.network(self._channels(batch)), batch)

    def _channels(self, batch: Batch) -> Tensor:
        """Channels of a batch, with dropout set to draw by its samples."""
        if batch.context_px < self.reach_px:
            raise ConfigError(
                f"patches have {batch.context_px} px of context but the uphill look reaches "
                f"{self.reach_px} px; raise patches.context_px or leave it null"
            )
        draw_by(self.network, batch.key)
        channels: Tensor = self.encoder(batch)
        return channels

    def _cores(self, logits: Tensor, batch: Batch) -> Tensor:
        """Logits ``(..., y, x)`` of the cores alone."""
        margin = batch.context_px - self.reach_px
        height, width = batch.target.shape[-2:]
        return logits[..., margin : margin + height, margin : margin + width].float()

    def labelled_logits(self, batch: Batch) -> Tensor:
        """Logits of the labelled pixels; a pixel network looks at no other.

        Labels that are points in a whole map then train in a fraction of the time.
        """
        if isinstance(self.encoder, EventEncoder) or self.halo_px:
            return super().labelled_logits(batch)
        pixels = self.encoder.pixels(batch, batch.target != UNLABELLED)
        logits: Tensor = self.network(pixels.T[None, :, :, None])
        return logits.flatten().float()


class EncodedModel(NetworkModel):
    """A susceptibility model that is trained."""

    encoder: CompactEncoder
    network: PixelNetwork | UNet


class EventModel(NetworkModel):
    """The residual U-Net of event mapping, whose every block can be compared with the labels."""

    encoder: EventEncoder
    network: ResidualUNet

    @property
    def num_heads(self) -> int:
        """Outputs that the loss may see."""
        return self.network.num_heads

    def supervised(self, batch: Batch) -> Tensor:
        """Logits of every head over the cores ``(sample, head, y, x)``, the last layer's first."""
        return self._cores(self.network.all_heads(self._channels(batch)), batch)
