"""What of a model's inputs goes together: groups of channels, and windows on its pooling grid."""

from collections.abc import Sequence

from landslide_dist.grid import Window
from landslide_dist.models.susceptibility import EncodedModel


def input_groups(model: EncodedModel, distances_m: Sequence[float]) -> dict[str, tuple[int, ...]]:
    """Channels that belong together: those of one variable, and all gathered at one distance.

    Args:
        model: The model.
        distances_m: Looking distances of its cube.

    Returns:
        Group -> numbers of its channels, in channel order: ``slope``, ``lithology``, ...,
        ``uphill 30 m``.
    """
    recipe = model.recipe
    distance_of = dict(zip(recipe.radii_px, distances_m, strict=True))
    names = [name.partition("=")[0] for name in recipe.channels.names]
    for radius in recipe.aligned_radii_px:
        names += [f"uphill {distance_of[radius]:g} m"] * len(recipe.aligned_features)
    groups: dict[str, tuple[int, ...]] = {}
    for number, name in enumerate(names):
        groups[name] = (*groups.get(name, ()), number)
    return groups


def aligned(window: Window, stride_px: int) -> Window:
    """The smallest window around another that begins and ends on a pooling grid."""
    y0, x0 = (start // stride_px * stride_px for start in (window.y0, window.x0))
    y1, x1 = (-(-stop // stride_px) * stride_px for stop in (window.y1, window.x1))
    return Window(y0, x0, y1 - y0, x1 - x0)
