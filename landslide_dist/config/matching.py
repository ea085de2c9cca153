"""What the images of a cube are matched to, and how the result is stored."""

from typing import Annotated, Literal

from pydantic import Field

from landslide_dist.config.base import Config


class TableReference(Config):
    """Counts that were saved before."""

    kind: Literal["table"]
    path: str = Field(
        description="JSON file, e.g. RUN_DIR/reference_{role}.json of another run: {role} stands "
        "for pre and post"
    )


class ChipsReference(Config):
    """Labelled pictures: every pixel of every 8-bit RGB file below a folder."""

    kind: Literal["chips"]
    folder: str = Field(description="folder of PNG, JPEG or TIFF files")
    bands: tuple[str, str, str] = Field(
        ("red", "green", "blue"), description="names of the pictures' bands, in order"
    )


class TrainingReference(Config):
    """Valid pixels of the run's own images in its training part, pre and post apart.

    What validates or tests has no say in it; other runs take the table that it saves.
    """

    kind: Literal["training"]


class CubesReference(Config):
    """Valid pixels of all images of other cubes, pooled; pre and post each by themselves."""

    kind: Literal["cubes"]
    locations: tuple[str, ...] = Field(min_length=1, description="paths or URLs of cubes")


class MatchingConfig(Config):
    """Images of the cube with the reference's distribution of values."""

    reference: Annotated[
        TableReference | ChipsReference | TrainingReference | CubesReference,
        Field(discriminator="kind"),
    ]
    dtype: Literal["uint8", "uint16", "float32"] = Field(
        "uint16", description="of the stored variable `matched`; integers are rounded"
    )
