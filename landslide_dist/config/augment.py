"""How event patches are varied in training (Prakash et al. 2021, figure 7B)."""

from pydantic import Field

from landslide_dist.config.base import Config


class AugmentConfig(Config):
    """Limits of what is drawn for each sample; zeros switch a part off."""

    flips: bool = Field(True, description="mirror along either axis, each with probability 1/2")
    turn_deg: float = Field(180.0, ge=0, le=180, description="turned by up to this, either way")
    scale: float = Field(
        1.25, ge=1, le=4, description="enlarged or shrunk by up to this factor, pixel size with it"
    )
    shear: float = Field(0.1, ge=0, le=1, description="sheared by up to this, either way")
    brightness: float = Field(
        0.1, ge=0, le=1, description="shift of an image, up to this share of its mean"
    )
    contrast: float = Field(0.2, ge=0, lt=1, description="gain of an image, up to 1 +- this")
    colour: float = Field(0.1, ge=0, lt=1, description="gain of each band by itself, 1 +- this")
    sharpness: float = Field(
        0.5, ge=0, le=1, description="from blurred (3 x 3) to sharpened by the same amount"
    )
    noise: float = Field(
        0.02, ge=0, le=1, description="largest deviation of noise, as a share of each value"
    )

    @property
    def moves(self) -> bool:
        """Whether anything is laid anew."""
        return self.flips or self.turn_deg > 0 or self.scale > 1 or self.shear > 0

    @property
    def recolours(self) -> bool:
        """Whether anything happens to colours."""
        parts = (self.brightness, self.contrast, self.colour, self.sharpness, self.noise)
        return any(parts)
