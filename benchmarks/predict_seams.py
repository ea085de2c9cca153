"""How large the seams of tiled inference are: the exact halo, and the published scheme."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import yaml
from harness import Row
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config import load
from landslide_dist.grid import Window
from landslide_dist.models import checkpoint, unet
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.reader import PatchReader, open_reader
from landslide_dist.schema import UNLABELLED
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train

#: What the paper adds to each side of a patch (LACNN paper, section 4.2).
PUBLISHED_PX = 64

Map = NDArray[np.float32]


def seam_rows(folder: Path, quick: bool, picture: str | None) -> list[Row]:
    """Train the published U-Net on a small region, and map it in three by three tiles.

    Args:
        folder: Where the region goes.
        quick: A smaller region and fewer filters.
        picture: PNG to draw; None for none.
    """
    core_px = 160 if quick else 496
    model, reader = trained(folder, 3 * core_px, [4, 4, 4, 4, 4] if quick else None)
    side = 3 * core_px
    whole = run(model, reader, Window(0, 0, side, side), model.exact_context_px)
    exact = tiled(model, reader, side, core_px, model.exact_context_px)
    published = with_corners(lambda: tiled(model, reader, side, core_px, PUBLISHED_PX))
    if picture is not None:
        draw(whole, exact, published, core_px, picture)
    name = "64 px of padding, align_corners=True"
    measures = {
        "difference from the whole image, largest": lambda other: largest(other - whole),
        "difference from the whole image, 99th percentile": lambda other: float(
            np.percentile(np.abs(other - whole), 99)
        ),
        "step that tiles add at their edges, largest": lambda other: largest(
            steps(other - whole, core_px)
        ),
        "step that tiles add at their edges, mean": lambda other: float(
            steps(other - whole, core_px).mean()
        ),
    }
    rows = []
    for label, measure in measures.items():
        ours, theirs = measure(exact), measure(published)
        rows.append(Row(label, ours, theirs, name, "probability", theirs / max(ours, 1e-7)))
    return rows


def largest(values: Map) -> float:
    """The largest of any sign."""
    return float(np.abs(values).max())


def trained(
    folder: Path, side_px: int, widths: list[int] | None
) -> tuple[SusceptibilityModel, PatchReader]:
    """The CNN of the paper after a short training, and its region."""
    shape = {"height": side_px, "width": side_px}
    settings = {
        "name": "seams",
        "run_dir": str(folder / "seams"),
        "cube": {"location": str(folder / "seams.zarr")},
        "sources": {"synthetic": {"seed": 2, **shape}},
        "patches": {"core_px": 124, "context_px": PUBLISHED_PX, "oversample": 1},
        "models": {
            "cnn": {"kind": "cnn", "epochs": 3, "optimizer": "adam", "learning_rate": 0.002}
            | ({"widths": widths} if widths else {})
        },
    }
    path = folder / "seams.yaml"
    path.write_text(yaml.safe_dump(settings))
    config = load(path)
    for stage in (ingest, derive, split, train):
        stage(config)
    context = RunContext(config)
    model = checkpoint.load(context.paths.checkpoint("cnn"))[0]
    return model, open_reader(dict.fromkeys(model.inputs, context.config.cube.location), 4.0)


def run(model: SusceptibilityModel, reader: PatchReader, core: Window, context_px: int) -> Map:
    """Probability of a core that is seen with some context."""
    planes = {
        name: torch.from_numpy(np.array(plane[None]))
        for name, plane in reader.read(core.expand(context_px), model.inputs).items()
    }
    target = torch.full((1, *core.shape), UNLABELLED, dtype=torch.uint8)
    origin = torch.tensor([[core.y0, core.x0]])
    with torch.inference_mode():
        logits: Tensor = model(Batch(planes, target, origin, context_px))
    probability: Map = logits.sigmoid().numpy()[0]
    return probability


def tiled(
    model: SusceptibilityModel, reader: PatchReader, side_px: int, core_px: int, context_px: int
) -> Map:
    """Every tile by itself."""
    out = np.empty((side_px, side_px), dtype=np.float32)
    for y in range(0, side_px, core_px):
        for x in range(0, side_px, core_px):
            core = Window(y, x, core_px, core_px)
            out[core.slices] = run(model, reader, core, context_px)
    return out


def with_corners(call: Callable[[], Map]) -> Map:
    """The same weights with upsampling that lines up the corners, as the paper's code has it."""
    ours = unet.upsample

    def aligned(features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)

    unet.upsample = aligned  # type: ignore[assignment]
    try:
        return call()
    finally:
        unet.upsample = ours


def steps(plane: Map, core_px: int) -> Map:
    """Steps between the pixels on both sides of the tiles' edges."""
    edges = np.arange(core_px, len(plane), core_px)
    return np.concatenate(
        [np.abs(side[edges] - side[edges - 1]).ravel() for side in (plane, plane.T)]
    )


def draw(whole: Map, exact: Map, published: Map, core_px: int, path: str) -> None:
    """The map around a corner of four tiles, and how far each scheme is from the whole image."""
    around = np.s_[core_px - 120 : core_px + 120, core_px - 120 : core_px + 120]
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
    limit = float(np.percentile(np.abs(published - whole)[around], 99.5))
    shown = panels[0].imshow(published[around], cmap="viridis")
    figure.colorbar(shown, ax=panels[0], label="probability")
    panels[0].set_title("published scheme", fontsize=10)
    for axes, title, other in (
        (panels[1], "published scheme − whole image", published),
        (panels[2], "exact halo − whole image", exact),
    ):
        shown = axes.imshow((other - whole)[around], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(title, fontsize=10)
    figure.colorbar(shown, ax=panels[1:], label="difference of probability")
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
