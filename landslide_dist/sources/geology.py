"""The categorical maps of a synthetic region: lithology, rock family, rock age, land cover.

Boundaries are level lines of fractal noise. Rock family and age follow lithology as in nature, with
the exceptions of coarser maps; land cover follows elevation in part. About 2 % of each map, in
small areas, is unknown. Codes are those of :func:`landslide_dist.config.categories.synthetic`.
"""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.schema import UNKNOWN_CODE
from landslide_dist.sources.fractal import (
    DATUM,
    FIRST_FREE_FIELD,
    Octaves,
    noise,
    terrain_px,
)

DEBRIS, DOLOMITE, CLAY, GRANITE, LIMESTONE, CLAYSTONE, SANDSTONE, BASALT = (
    6, 8, 11, 12, 13, 15, 18, 20,
)  # fmt: skip
AGRICULTURE, ARTIFICIAL, FOREST, WATER, WETLAND = 1, 2, 3, 4, 5
METAMORPHIC, SEDIMENTARY, PLUTONIC, VOLCANIC, UNKNOWN_FAMILY = 1, 2, 3, 4, 5
CRETACEOUS, JURASSIC, HOLOCENE, PALEOGENE, PERMIAN, TRIASSIC = 13, 16, 24, 26, 29, 36

#: Geological provinces (rows) and their rocks (columns), each a quarter of a field of noise.
PROVINCES = np.array(
    [
        [CLAYSTONE, SANDSTONE, CLAY, LIMESTONE],
        [DEBRIS, DOLOMITE, CLAYSTONE, LIMESTONE],
        [GRANITE, DEBRIS, SANDSTONE, BASALT],
        [CLAY, GRANITE, DEBRIS, DOLOMITE],
    ],
    dtype=np.uint8,
)
#: Upper quartile of a field of standard deviation 1.
QUARTILE = np.float32(0.67)
#: Lithology -> the usual rock family, and that of the exceptions.
FAMILIES = {
    DEBRIS: (SEDIMENTARY, UNKNOWN_FAMILY),
    DOLOMITE: (SEDIMENTARY, SEDIMENTARY),
    CLAY: (SEDIMENTARY, SEDIMENTARY),
    GRANITE: (PLUTONIC, METAMORPHIC),
    LIMESTONE: (SEDIMENTARY, METAMORPHIC),
    CLAYSTONE: (SEDIMENTARY, METAMORPHIC),
    SANDSTONE: (SEDIMENTARY, SEDIMENTARY),
    BASALT: (VOLCANIC, VOLCANIC),
    UNKNOWN_CODE: (UNKNOWN_FAMILY, UNKNOWN_FAMILY),
}
#: Lithology -> the usual age, and that of the exceptions.
AGES = {
    DEBRIS: (HOLOCENE, HOLOCENE),
    DOLOMITE: (TRIASSIC, JURASSIC),
    CLAY: (HOLOCENE, PALEOGENE),
    GRANITE: (PERMIAN, PERMIAN),
    LIMESTONE: (JURASSIC, CRETACEOUS),
    CLAYSTONE: (CRETACEOUS, PALEOGENE),
    SANDSTONE: (PALEOGENE, PERMIAN),
    BASALT: (PALEOGENE, TRIASSIC),
    UNKNOWN_CODE: (UNKNOWN_CODE, UNKNOWN_CODE),
}

_PROVINCE, _ROCK, _FAMILY, _AGE, _COVER, _SETTLING = range(FIRST_FREE_FIELD, FIRST_FREE_FIELD + 6)
_LITHOLOGY_GAPS, _FAMILY_GAPS, _AGE_GAPS, _COVER_GAPS = range(_SETTLING + 1, _SETTLING + 5)
#: Fields of noise that terrain and maps take.
NUM_FIELDS = _COVER_GAPS + 1

_PATCHES: Octaves = ((24, 0.9), (12, 0.4), (4, 0.2))
_GAPS: Octaves = ((16, 1.0),)
#: 2 % of `_GAPS` lie above.
_GAP_LEVEL = 2.0


def lithology(seed: int, window: Window) -> NDArray[np.uint8]:
    """Lithology codes, shape (height, width)."""
    province = noise(seed, _PROVINCE, ((48, 0.9), (24, 0.4), (8, 0.2)), window)
    rock = noise(seed, _ROCK, _PATCHES, window)
    codes = np.empty(window.shape, dtype=np.uint8)
    _rocks(province, rock, PROVINCES, codes)
    return _with_gaps(codes, seed, _LITHOLOGY_GAPS, window)


def rock_family(seed: int, window: Window) -> NDArray[np.uint8]:
    """Rock family codes, shape (height, width)."""
    field = noise(seed, _FAMILY, ((48, 0.9), (12, 0.4)), window)
    codes = _follow(lithology(seed, window), FAMILIES, field, 0.8)
    return _with_gaps(codes, seed, _FAMILY_GAPS, window)


def rock_age(seed: int, window: Window) -> NDArray[np.uint8]:
    """Rock age codes, shape (height, width)."""
    field = noise(seed, _AGE, ((96, 0.9), (24, 0.4)), window)
    codes = _follow(lithology(seed, window), AGES, field, 0.3)
    return _with_gaps(codes, seed, _AGE_GAPS, window)


def land_cover(seed: int, window: Window) -> NDArray[np.uint8]:
    """Land cover codes, shape (height, width): fields and towns low, forest high, some lakes."""
    height_px = terrain_px(seed, window, num_ridges=1)
    cover = noise(seed, _COVER, _PATCHES, window)
    settling = noise(seed, _SETTLING, ((24, 0.9), (8, 0.4)), window)
    codes = np.empty(window.shape, dtype=np.uint8)
    _covers(height_px, cover, settling, codes)
    return _with_gaps(codes, seed, _COVER_GAPS, window)


def _follow(
    rocks: NDArray[np.uint8],
    table: Mapping[int, tuple[int, int]],
    field: NDArray[np.float32],
    level: float,
) -> NDArray[np.uint8]:
    """Turn rocks, in place, into what goes with them; exceptions above a level of the field."""
    by_code = np.zeros((2, 256), dtype=np.uint8)
    for code, (usual, exception) in table.items():
        by_code[:, code] = usual, exception
    _followed(rocks, by_code, field, np.float32(level))
    return rocks


def _with_gaps(
    codes: NDArray[np.uint8], seed: int, field: int, window: Window
) -> NDArray[np.uint8]:
    np.putmask(codes, noise(seed, field, _GAPS, window) > _GAP_LEVEL, UNKNOWN_CODE)
    return codes


@njit(nogil=True, cache=True)
def _rocks(
    province: NDArray[np.float32],
    rock: NDArray[np.float32],
    table: NDArray[np.uint8],
    codes: NDArray[np.uint8],
) -> None:
    for y in range(codes.shape[0]):
        for x in range(codes.shape[1]):
            p, r = province[y, x], rock[y, x]
            i = (p > -QUARTILE) + (p > 0) + (p > QUARTILE)
            j = (r > -QUARTILE) + (r > 0) + (r > QUARTILE)
            codes[y, x] = table[i, j]


@njit(nogil=True, cache=True)
def _followed(
    codes: NDArray[np.uint8],
    by_code: NDArray[np.uint8],
    field: NDArray[np.float32],
    level: np.float32,
) -> None:
    for y in range(codes.shape[0]):
        for x in range(codes.shape[1]):
            codes[y, x] = by_code[1 if field[y, x] > level else 0, codes[y, x]]


@njit(nogil=True, cache=True)
def _covers(
    height_px: NDArray[np.float32],
    cover: NDArray[np.float32],
    settling: NDArray[np.float32],
    codes: NDArray[np.uint8],
) -> None:
    for y in range(codes.shape[0]):
        for x in range(codes.shape[1]):
            high = (height_px[y, x] - np.float32(DATUM + 16)) / np.float32(40)
            high = min(np.float32(1), max(np.float32(-1), high))
            settled = settling[y, x] - np.float32(0.5) * high
            code = AGRICULTURE if cover[y, x] > np.float32(0.7) * high else FOREST
            if settled > np.float32(1.3):
                code = ARTIFICIAL
            elif settled < np.float32(-1.9):
                code = WATER
            elif settled < np.float32(-1.7):
                code = WETLAND
            codes[y, x] = code
