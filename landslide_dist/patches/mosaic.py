"""Several regions as one raster, far enough apart that no patch sees two of them.

All that works on one region then works on many: the index of patches, their order, streaming,
residency, resuming. Between regions nothing is read, as beyond a raster.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.patches.reader import PatchReader, beyond


@dataclass(frozen=True)
class Piece:
    """One region of a mosaic.

    Attributes:
        name: For people.
        reader: Its planes, by its own pixels.
        place: Where it lies in the mosaic.
        windows: Blocks that cover it once, by its own pixels.
    """

    name: str
    reader: PatchReader
    place: Window
    windows: Sequence[Window]

    def to_own(self, window: Window) -> Window:
        """A window of the mosaic by the pixels of the region."""
        return window.relative_to(self.place)


class Mosaic:
    """Regions in one row.

    Args:
        pieces: What lies where; see :meth:`beside_one_another`.
        layout: Variable -> leading shape and dtype, the same in all regions.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        layout: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
    ) -> None:
        self.pieces = tuple(pieces)
        self.layout = dict(layout)

    @classmethod
    def beside_one_another(
        cls,
        regions: Mapping[str, tuple[PatchReader, tuple[int, int], Sequence[Window]]],
        core_px: int,
        context_px: int,
    ) -> "Mosaic":
        """Place regions at multiples of the core, at least twice the context apart.

        Args:
            regions: Name -> reader, rows and columns, and blocks; all of the same variables.
            core_px: Side of a patch's core: places are multiples of it.
            context_px: How far patches reach beyond their cores, at most.
        """
        pieces, x0 = [], 0
        for name, (reader, shape, windows) in regions.items():
            pieces.append(Piece(name, reader, Window(0, x0, *shape), windows))
            apart = shape[1] + core_px + 2 * context_px
            x0 += -(-apart // core_px) * core_px
        # Beyond the raster, where nothing is read from the store.
        pixel = pieces[0].reader.read(Window(-1, -1, 1, 1))
        return cls(pieces, {name: (p.shape[:-2], p.dtype) for name, p in pixel.items()})

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole."""
        return (
            max(piece.place.height for piece in self.pieces),
            max(piece.place.x1 for piece in self.pieces),
        )

    @property
    def windows(self) -> Iterator[Window]:
        """Blocks that cover every region once, by the mosaic's pixels."""
        for piece in self.pieces:
            for own in piece.windows:
                yield Window(
                    own.y0 + piece.place.y0, own.x0 + piece.place.x0, own.height, own.width
                )

    def piece_at(self, window: Window) -> Piece | None:
        """The region that a window touches."""
        touched = [p for p in self.pieces if all(window.intersect(p.place).shape)]
        if len(touched) > 1:
            raise ValueError(f"{window} touches {[piece.name for piece in touched]}")
        return touched[0] if touched else None

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window; see :class:`~landslide_dist.patches.reader.PatchReader`."""
        piece = self.piece_at(window)
        names = tuple(self.layout) if variables is None else tuple(variables)
        if piece is not None:
            return piece.reader.read(piece.to_own(window), names)
        planes = {}
        for name in names:
            leading, dtype = self.layout[name]
            planes[name] = np.full((*leading, *window.shape), beyond(dtype), dtype=dtype)
        return planes
