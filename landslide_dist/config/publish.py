"""What a catalogue says of published maps and models and no raster knows."""

from datetime import date

from pydantic import Field, model_validator

from landslide_dist.config.base import Config


class PublishConfig(Config):
    """Entries of the STAC items that ``export`` writes."""

    title: str | None = Field(None, description="of the map; null: the run's and model's names")
    license: str | None = Field(None, description="SPDX identifier, or other; null: not stated")
    start: date | None = Field(
        None, description="first day that the map speaks of, e.g. of the inventory; null: unbounded"
    )
    end: date | None = Field(None, description="last day that the map speaks of; null: unbounded")

    @model_validator(mode="after")
    def _in_order(self) -> "PublishConfig":
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"publish.start {self.start} is after publish.end {self.end}")
        return self
