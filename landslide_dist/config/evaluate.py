"""How maps are scored."""

from pydantic import Field

from landslide_dist.config.base import Config


class EvaluateConfig(Config):
    """Scores and report."""

    bootstrap_draws: int = Field(200, ge=0, description="block-bootstrap draws; 0: no intervals")
    bootstrap_block_px: int = Field(256, ge=8, description="side of a bootstrap block")
    calibration_bins: int = Field(15, ge=2, description="equal-count bins of ECE and reliability")
    seed: int = Field(0, description="seed of the bootstrap")
