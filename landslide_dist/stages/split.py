"""``split``: which labelled pixels train, validate, test; what the parts see of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from landslide_dist import schema
from landslide_dist.config import RunConfig
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.grid import Window
from landslide_dist.patches.audit import SplitAudit, audit_split
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import PatchReader, ZarrReader
from landslide_dist.patches.split import SplitPlan, check_parts, plan_split
from landslide_dist.patches.summary import SplitSummary
from landslide_dist.progress import console, stage
from landslide_dist.schema import SPLIT
from landslide_dist.stages.context import RunContext
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import hold

#: Marker of a split that is written and checked.
COMPLETE = "complete"


@dataclass(frozen=True)
class SplitBlock:
    """Writes one block of the split raster."""

    plan: SplitPlan
    labels: PatchReader
    split_location: str

    def read(self, window: Window) -> NDArray[Any]:
        """Labels."""
        return self.labels.read(window, ("landslide",))["landslide"]

    def compute(self, window: Window, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Part or fold of each."""
        return self.plan.block(window, labels)

    def write(self, window: Window, parts: NDArray[np.uint8]) -> None:
        """The shard of the split raster."""
        split = cube.array(open_group(self.split_location, "r+"), "split")
        cube.write_block(split, window, parts)


@stage
def split(config: RunConfig, audit: bool = False) -> None:
    """Write the split raster of a run; a finished one is left alone.

    Args:
        config: The run.
        audit: Print what each part sees of the others.

    Raises:
        ConfigError: A part is left without labels, or without one class.
        StoreError: There is no derived cube, or it has no landslides.
    """
    context = RunContext(config)
    if is_complete(context):
        console.print(f"split: up to date, {context.split_location}")
    else:
        for line in write_split(context):
            console.print(line)
    if audit:
        Console().print(_table(audit_of(context)))


def split_hash(context: RunContext) -> str:
    """Fingerprint of a division: its settings and the labels it divides."""
    ingested = open_group(context.config.cube.location).attrs["ingest_hash"]
    settings = {"split": context.split_location, "ingested": ingested}
    # Labels of an event count where the mapped images are clear.
    return config_hash(settings | ({"pair": context.pair.number} if context.pair else {}))


def check_split(context: RunContext) -> None:
    """Refuse to go on without a finished split.

    Raises:
        StoreError: ``derive`` has not run, or ``split`` not on this cube with these settings.
    """
    # Asking for it refuses a cube that is not derived: what is to run first is said first.
    _ = context.derive_hash
    if COMPLETE not in _ledger(context).done():
        raise StoreError(f"there is no split at {context.split_location!r} yet: run split")


def audit_of(context: RunContext) -> SplitAudit:
    """What the parts see of each other, by the farthest-seeing model of the run."""
    reader = ZarrReader({"split": context.split_location})
    reach_px = max(context.reach_px(name) for name in context.config.models)
    windows = cube.shard_windows(context.config.cube.location)
    return audit_split(reader, windows, context.config.split.parts(), reach_px)


def write_split(context: RunContext, labels: PatchReader | None = None) -> list[str]:
    """Divide the labels and check that every part can be trained on or scored.

    Args:
        context: The run.
        labels: Gives ``landslide``, the labels to divide; None for all of the cube.

    Returns:
        A line a part: how many patches and labelled pixels it has.

    Raises:
        ConfigError: A part is left without labels, or without one class.
    """
    config, place = context.config, context.split_location
    cube_location = config.cube.location
    windows = cube.shard_windows(cube_location)
    if "landslide" not in open_group(cube_location):
        raise StoreError(
            f"cube {cube_location!r} has no landslides to divide: give sources.inventory and "
            "ingest again"
        )
    labels = labels or context.reader(("landslide", "elevation"), split=False)
    plan = plan_split(
        config.split, context.grid, config.patches.core_px, context.buffer_px, labels, windows
    )
    ledger = _ledger(context)
    attributes = {"split": config.split.model_dump(mode="json"), "buffer_px": context.buffer_px}
    with hold(place, "split") as lock:
        if is_complete(context):
            # Another process was first: what it may be training on by now stays.
            return _lines(config, SplitSummary.load(context.split_summary).index)
        delete(place)
        cube.create(place, context.grid, [SPLIT], config.cube.storage, attributes)
        try:
            run_blocks(SplitBlock(plan, labels, place), windows, ledger, lock, "split")
            summary = _sum_up(context, windows)
            check_parts(config.split, summary.index)
            summary.save(context.split_summary)
        except (ConfigError, DataError):
            delete(place)
            raise
        ledger.mark(COMPLETE)
    return _lines(config, summary.index)


def _sum_up(context: RunContext, windows: Sequence[Window]) -> SplitSummary:
    config = context.config
    derived = context.derive_hash
    assert derived, "slope is one of the continuous variables"
    # Models of events are trained on several cubes at once, which `train` sums up together.
    continuous = context.channels.continuous if context.pair is None else ()
    reader = context.reader(("landslide", "elevation", *continuous))
    num_values = config.split.folds or len(schema.PART_NAMES)
    return SplitSummary.build(
        reader, windows, context.grid.shape, config.patches.cell_px, num_values, continuous
    )


def _lines(config: RunConfig, index: PatchIndex) -> list[str]:
    lines = []
    for name, values in config.split.parts().items():
        labelled, positive = index.totals(values)
        lines.append(
            f"split: {name:<10} {len(index.select(values)):>6} patches, {labelled:>10} labelled "
            f"pixels, {positive} landslide"
        )
    return lines


def is_complete(context: RunContext) -> bool:
    """Whether the split of these settings is written and checked."""
    return COMPLETE in _ledger(context).done() and exists(context.split_location)


def _ledger(context: RunContext) -> Ledger:
    return Ledger(context.split_location, "split", split_hash(context))


def _table(audit: SplitAudit) -> Table:
    table = Table(title=f"What a prediction sees within {audit.reach_px} px")
    for column in ("part", "sees", "pixels", "of them seeing", "share", "nearest, px"):
        table.add_column(column, justify="left" if column in ("part", "sees") else "right")
    for sight in audit.sights:
        nearest = "beyond reach" if sight.distance_px is None else str(sight.distance_px)
        table.add_row(
            sight.part,
            sight.of,
            str(sight.num_labelled),
            str(sight.num_seeing),
            f"{sight.share:.1%}",
            nearest,
        )
    return table
