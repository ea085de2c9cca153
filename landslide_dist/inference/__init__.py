"""Inference: exact tiled prediction of whole regions, to Zarr and to Cloud-Optimised GeoTIFF.

``plan`` which tiles serve an output shard · ``predict`` read ahead, run the model, write ·
``cog`` Zarr to a published file.
"""
