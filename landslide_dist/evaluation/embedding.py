"""How far apart sets of images lie, in a plane that shows it and as a number.

The plane is that of the reporting bias paper, section 4.5: principal components, then t-SNE (van
der Maaten and Hinton 2008). The number is the sliced Wasserstein distance (Rabin et al. 2012,
SSVM, 435-446; Bonneel et al. 2015, Journal of Mathematical Imaging and Vision 51, 22-45): t-SNE
keeps neighbours, not distances, so that sets which look apart in it may be close, and a picture
alone does not tell whether matching brought them together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch.nn import functional as F

from landslide_dist.errors import DataError
from landslide_dist.evaluation.drawing import INK, PAGE_WIDTH_IN, PALETTE, new_figure, png

#: Side that chips are reduced to: 180 m in pixels of Sentinel-2.
SIDE_PX = 18
#: Directions of the sliced distance.
PROJECTIONS = 200
#: Told apart where colours are not.
MARKERS = "o^sDv"


@dataclass(frozen=True)
class Embedding:
    """Groups of images in one plane.

    Attributes:
        points: Group -> ``(image, 2)`` float32.
        explained: Share of the variance that the principal components keep.
        distances: Sliced Wasserstein distance of every group but the first to the first.
    """

    points: Mapping[str, NDArray[np.float32]]
    explained: float
    distances: Mapping[str, float]


def flattened(chips: NDArray[Any], side_px: int = SIDE_PX) -> NDArray[np.float32]:
    """Chips as a model of Sentinel-2 images sees them, each a row of numbers.

    Args:
        chips: ``(chip, 3, y, x)`` from 0 to 255.
        side_px: Side that they are brought to, bilinear and not antialiased as the models do it.

    Returns:
        ``(chip, 3 * side_px * side_px)``.
    """
    images = torch.from_numpy(chips.astype(np.float32))
    if chips.shape[-2:] != (side_px, side_px):
        images = F.interpolate(images, (side_px, side_px), mode="bilinear", align_corners=False)
    rows: NDArray[np.float32] = images.flatten(1).numpy()
    return rows


def embed(
    groups: Mapping[str, NDArray[Any]], seed: int, components: int = 100, perplexity: float = 30
) -> Embedding:
    """Principal components, then t-SNE, of all groups together.

    Args:
        groups: Name -> ``(image, feature)`` from 0 to 255; distances are to the first.
        seed: Of the components, of t-SNE and of the distances' directions.
        components: Principal components at most.
        perplexity: Neighbours that t-SNE keeps an image beside, about.

    Raises:
        DataError: There are too few images for the perplexity.
    """
    stacked = np.concatenate([np.asarray(rows, np.float32) for rows in groups.values()])
    if len(stacked) <= perplexity:
        raise DataError(
            f"{len(stacked)} images are too few for t-SNE of perplexity {perplexity:g}: give more "
            "images or a lower perplexity"
        )
    pca = PCA(min(components, len(stacked) - 1, stacked.shape[1]), random_state=seed)
    reduced = pca.fit_transform(stacked)
    plane = TSNE(perplexity=perplexity, random_state=seed).fit_transform(reduced)
    ends = np.cumsum([len(rows) for rows in groups.values()])[:-1]
    first, *others = groups
    return Embedding(
        dict(zip(groups, np.split(plane, ends), strict=True)),
        float(pca.explained_variance_ratio_.sum()),
        {
            name: sliced_wasserstein(groups[first], groups[name], PROJECTIONS, seed)
            for name in others
        },
    )


def sliced_wasserstein(a: NDArray[Any], b: NDArray[Any], projections: int, seed: int) -> float:
    """Mean Wasserstein-1 distance of two sets along random directions.

    In units of the values: a shift of all ``n`` features by ``s`` is a distance of about 0.8 ``s``,
    a shift of one feature alone of ``0.8 s / sqrt(n)`` (0.8 is the square root of 2 / pi). Two
    samples of one distribution are apart too, the less the larger they are: compare like sizes.

    Args:
        a: ``(image, feature)``.
        b: ``(image, feature)``; it may have another number of images.
        projections: How many directions, uniform on the sphere.
        seed: Of the directions.
    """
    directions = np.random.default_rng(seed).normal(size=(projections, a.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    pairs = zip(directions @ np.transpose(a), directions @ np.transpose(b), strict=True)
    return float(np.mean([wasserstein_distance(of_a, of_b) for of_a, of_b in pairs]))


def embedding_figure(before: Embedding, after: Embedding) -> bytes:
    """The plane before and after matching, with the distances that it cannot show; PNG bytes.

    Args:
        before: Groups as they are.
        after: The same groups; those but the first matched to the first.
    """
    figure = new_figure(PAGE_WIDTH_IN, 4.3)
    reference = next(iter(before.points))
    panels = {"before matching": before, "after matching": after}
    for axes, (title, embedding) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        lines = [f"{name} {distance:.1f}" for name, distance in embedding.distances.items()]
        axes.set_title(
            f"{title}\ndistance to {reference}: {', '.join(lines)}",
            loc="left", fontsize=9, color=INK,
        )  # fmt: skip
        for number, points in enumerate(embedding.points.values()):
            axes.plot(*points.T, **_look(number), markersize=3.2, alpha=0.55)
        axes.set(xticks=[], yticks=[], box_aspect=1)
        for spine in axes.spines.values():
            spine.set_color("#c9ced6")
    handles = [
        Line2D([], [], **_look(number), markersize=6, label=f"{name} ({len(points)})")
        for number, (name, points) in enumerate(before.points.items())
    ]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=4, fontsize=8, frameon=False,
        labelcolor=INK, handletextpad=0.2,
    )  # fmt: skip
    return png(figure)


def _look(number: int) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": MARKERS[number % len(MARKERS)],
        "color": PALETTE[number % len(PALETTE)],
        "markeredgewidth": 0,
    }
