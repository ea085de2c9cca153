"""The protocol that every source keeps."""

from typing import Any, Protocol

from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.schema import Variable


class BlockSource(Protocol):
    """One variable of the cube, readable block by block; picklable, opens files in ``read``.

    A block never depends on the window it is read in: it equals the same window of the whole
    raster, bit for bit.
    """

    @property
    def variable(self) -> Variable:
        """What the source fills."""

    def read(self, window: Window) -> NDArray[Any]:
        """One block of the target grid.

        Args:
            window: Lies inside the grid.

        Returns:
            Shape (height, width), the variable's dtype; its nodata where there is no value.

        Raises:
            DataError: The file cannot be read, or holds what the variable cannot.
        """

    def provenance(self) -> list[dict[str, Any]]:
        """Path, size and time of change (or ETag) of every input file."""
