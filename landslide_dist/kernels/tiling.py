"""Windows that cover a raster: integers in, integers out."""

from collections.abc import Iterator


def tile_origins(size_px: int, core_px: int, start_px: int = 0) -> list[int]:
    """First pixels of the cores along one axis: every pixel lies in exactly one core.

    Args:
        size_px: Pixels along the axis.
        core_px: Side of a core; the last one may reach beyond the end.
        start_px: First pixel of the axis.
    """
    if core_px < 1:
        raise ValueError(f"core of {core_px} px")
    return list(range(start_px, start_px + size_px, core_px))


def tiles(
    shape: tuple[int, int], core_px: int, start: tuple[int, int] = (0, 0)
) -> Iterator[tuple[int, int]]:
    """Upper-left pixels of the cores that cover a box once, in row order.

    Args:
        shape: Rows and columns of the box.
        core_px: Side of a core.
        start: Row and column of the box's first pixel.
    """
    for y0 in tile_origins(shape[0], core_px, start[0]):
        for x0 in tile_origins(shape[1], core_px, start[1]):
            yield y0, x0


def aligned_context(halo_px: int, stride_px: int) -> int:
    """The halo rounded up to the pooling grid.

    A window whose core begins on a multiple of ``stride_px`` then begins on one too, so that its
    pooling cells are those of the whole raster.
    """
    return -(-halo_px // stride_px) * stride_px


def aligned_core(core_px: int, stride_px: int) -> int:
    """The core rounded up to the pooling grid, so that all cores begin on it."""
    return -(-core_px // stride_px) * stride_px
