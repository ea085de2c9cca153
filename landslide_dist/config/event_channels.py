"""Which channels the models of an event see, and in which order."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EventChannels:
    """Channel order: bands before, bands after, slope, hillshade (Prakash et al. 2021, figure 7).

    Attributes:
        bands: Common names of the images' bands, in order.
        pixel_m: Side of a pixel, metres.
        source: Variable that holds the images: ``reflectance``, or ``matched``.
        dtype: Of the images' planes.
    """

    bands: tuple[str, ...]
    pixel_m: float
    source: str = "reflectance"
    dtype: str = "uint16"

    @property
    def images(self) -> tuple[str, ...]:
        """Planes of the images: ``pre_red``, ..., ``post_blue``."""
        return tuple(f"{role}_{band}" for role in ("pre", "post") for band in self.bands)

    @property
    def continuous(self) -> tuple[str, ...]:
        """Planes that are standardised by their moments over the training pixels."""
        return (*self.images, "slope")

    @property
    def names(self) -> tuple[str, ...]:
        """One name a channel."""
        return (*self.images, "slope", "hillshade")

    @property
    def variables(self) -> tuple[str, ...]:
        """Planes that hold these channels."""
        return (*self.images, "elevation")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers."""
        return {**asdict(self), "bands": list(self.bands)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "EventChannels":
        """The inverse of :meth:`to_dict`."""
        return cls(**{**plain, "bands": tuple(plain["bands"])})

    def __str__(self) -> str:
        """As a message names them."""
        return f"{self.source} of {', '.join(self.bands)} at {self.pixel_m:g} m"
