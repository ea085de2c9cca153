"""What a model is made from, apart from its weights: :class:`Recipe`, plain data both ways."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from landslide_dist.config.channels import Channels
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import ModelConfig

_MODEL_CONFIG: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


@dataclass(frozen=True)
class Recipe:
    """Everything that builds a model; with its weights it predicts on any cube.

    Attributes:
        config: Kind of model and its hyper-parameters.
        channels: Which channels, in which order; their kind tells models of events apart.
        statistics: Mean and standard deviation of each continuous variable over the training
            pixels, in the variable's units.
        radii_px: Ring radius of each looking distance of the cube.
        share: Share of landslide pixels among the labelled training pixels.
        aligned_features: Channel names gathered uphill; empty for models that do not look uphill.
        aligned_radii_px: Of ``radii_px``, those that they are gathered at.
    """

    config: ModelConfig
    channels: Channels | EventChannels
    statistics: Mapping[str, tuple[float, float]]
    radii_px: tuple[int, ...]
    share: float
    aligned_features: tuple[str, ...] = ()
    aligned_radii_px: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        return {
            "config": self.config.model_dump(mode="json"),
            "channels": self.channels.to_dict(),
            "statistics": {
                variable: [float(mean), float(std)]
                for variable, (mean, std) in self.statistics.items()
            },
            "radii_px": [int(radius) for radius in self.radii_px],
            "share": float(self.share),
            "aligned_features": list(self.aligned_features),
            "aligned_radii_px": [int(radius) for radius in self.aligned_radii_px],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Recipe":
        """The inverse of :meth:`to_dict`; other entries of ``plain`` are left alone.

        Raises:
            KeyError, TypeError, ValueError: ``plain`` does not hold a recipe (pydantic's
                validation error is a ValueError).
        """
        channels = plain["channels"]
        kind = EventChannels if "bands" in channels else Channels
        # Recipes without the entry are of models that gather at every distance of their cube.
        everywhere = plain["radii_px"] if plain["aligned_features"] else ()
        return cls(
            config=_MODEL_CONFIG.validate_python(plain["config"]),
            channels=kind.from_dict(channels),
            statistics={
                name: (float(mean), float(std)) for name, (mean, std) in plain["statistics"].items()
            },
            radii_px=tuple(plain["radii_px"]),
            share=float(plain["share"]),
            aligned_features=tuple(plain["aligned_features"]),
            aligned_radii_px=tuple(plain.get("aligned_radii_px", everywhere)),
        )
