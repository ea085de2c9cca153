"""How labelled pixels are divided into training, validation and test, or into folds."""

from typing import Literal

from pydantic import Field, model_validator

from landslide_dist.config.base import Config

#: Splits whose parts see each other: near-by pixels fall into different parts.
LEAKY = frozenset({"random", "random_labels"})
#: Splits of single labelled pixels rather than of patch cores.
OF_LABELS = frozenset({"random_labels", "kmeans_labels"})


class SplitRegions(Config):
    """Polygons of the parts, which never overlap."""

    path: str = Field(description="vector file; $NAME is taken from the environment")
    part_field: str = Field("part", description="attribute: train, validation or test")
    layer: str | None = Field(None, description="layer of a file with several")
    crs: str | None = Field(None, description="CRS of the file where it states none")


class SplitConfig(Config):
    """One way to divide the labels."""

    kind: Literal["random", "block", "random_labels", "kmeans_labels", "regions"] = Field(
        "random",
        description="random: patch cores, as in the paper; block: spatial blocks with a buffer; "
        "random_labels and kmeans_labels: single labelled pixels (sparse points); regions: given "
        "polygons",
    )
    regions: SplitRegions | None = Field(None, description="kind regions: where they are")
    seed: int = Field(0, description="two seeds are two divisions")
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="train, validation, test; not used with folds"
    )
    folds: int | None = Field(None, ge=2, le=250, description="k folds instead of fractions")
    test_fold: int = Field(0, ge=0, description="with folds: the fold that is held out")
    validation: Literal["next_fold", "none"] = Field(
        "next_fold", description="with folds: the fold after the test fold validates, or none does"
    )
    block_px: int | None = Field(
        None, ge=1, description="block: side of a block, a multiple of core_px; null: 4 cores"
    )
    buffer_px: int | None = Field(
        None,
        ge=0,
        description="block, regions: masked band between parts; null: the models' largest reach",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SplitConfig":
        if self.folds is not None and self.test_fold >= self.folds:
            raise ValueError(f"test_fold {self.test_fold} of {self.folds} folds does not exist")
        if self.folds == 2 and self.validation == "next_fold":
            raise ValueError("2 folds leave nothing to train on; set validation: none")
        if abs(sum(self.fractions) - 1) > 1e-9 or min(self.fractions) < 0:
            raise ValueError(f"fractions {self.fractions} do not sum to 1")
        if (self.kind == "regions") != (self.regions is not None):
            raise ValueError("regions goes with kind regions: give both or neither")
        if self.kind == "regions" and self.folds is not None:
            raise ValueError("kind regions divides by its polygons; leave folds out")
        if self.kind == "kmeans_labels" and self.folds is None:
            raise ValueError("kmeans_labels needs folds: each cluster is one fold")
        return self

    def parts(self) -> dict[str, frozenset[int]]:
        """Values of the split raster that make up ``train``, ``validation`` and ``test``."""
        if self.folds is None:
            return {"train": frozenset({0}), "validation": frozenset({1}), "test": frozenset({2})}
        test = frozenset({self.test_fold})
        validation: frozenset[int] = frozenset()
        if self.validation == "next_fold":
            validation = frozenset({(self.test_fold + 1) % self.folds})
        train = frozenset(range(self.folds)) - test - validation
        return {"train": train, "validation": validation, "test": test}


class PatchConfig(Config):
    """Patches: what training reads at a time."""

    core_px: int = Field(500, ge=8, description="side of the part of a patch that counts")
    stride_px: int | None = Field(
        None,
        ge=1,
        description="from one training patch to the next; null: core_px. Event mapping: half of "
        "core_px is the paper's overlap",
    )
    context_px: int | None = Field(
        None, ge=0, description="pixels around the core; null: the model's exact halo (paper: 64)"
    )
    oversample: int = Field(
        5, ge=1, description="times an epoch that a patch with a landslide in its core appears"
    )
    num_lanes: int = Field(
        16, ge=1, description="queues that patches are dealt to: the most processes that can train"
    )
    block_cores: int | None = Field(
        None, ge=1, description="side, in cores, of what streaming reads at a time; null: by size"
    )

    @model_validator(mode="after")
    def _patches_are_whole_strides(self) -> "PatchConfig":
        if self.core_px % self.cell_px:
            raise ValueError(f"stride_px {self.stride_px} does not divide core_px {self.core_px}")
        return self

    @property
    def cell_px(self) -> int:
        """Side of what patches are made of: they begin at its multiples."""
        return self.stride_px or self.core_px
