"""Colours that the report and the viewer share, told apart by colour-blind readers as well."""

#: Okabe and Ito (2008), without the yellow that vanishes on white.
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a6d3b", "#3b3b98")
#: Light to dark, so that relief shows through where little is expected.
SUSCEPTIBILITY = ("#f8f4e6", "#f6dc9f", "#eeab5c", "#d5683f", "#9c2f4c", "#4a0f4f")
#: Low to high ground, rising in lightness.
TERRAIN = ("#37594a", "#6f8f63", "#b5b07a", "#d9c7a0", "#f5f1ea")
#: Landslides over the susceptibility colours, which hold no blue.
LANDSLIDE = "#0a7fd0"
#: Parts of a split.
PARTS = {"train": "#56B4E9", "validation": "#E69F00", "test": "#D55E00"}
#: Tol's light scheme (2021) for classes of maps.
CLASSES = (
    "#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#44BB99", "#BBCC33", "#99DDFF", "#AAAA00",
)  # fmt: skip
OTHER = "#d4d4d4"
INK, SOFT, FAINT = "#22262b", "#6b7280", "#e3e6ea"
