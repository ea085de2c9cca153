"""The arithmetic: NumPy arrays in, NumPy arrays out; no xarray, Dask, Zarr or torch.

``terrain`` slope, aspect, hillshade · ``rings``, ``uphill`` the uphill index · ``histogram`` counts
and matching tables · ``tiling`` windows that cover a raster · ``scores`` mergeable counts and what
is computed from them · ``bootstrap`` intervals of them.
"""
