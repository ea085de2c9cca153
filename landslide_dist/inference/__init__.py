"""Inference: exact tiled prediction of whole regions, to Zarr and to Cloud-Optimised GeoTIFF.

``plan`` which tiles serve a block · ``committee`` one model or several, mean and spread ·
``predictor`` planes of a block to its prediction · ``source`` what a worker makes it from ·
``predict`` read ahead, run, write, mark · ``cog`` maps to published files ·
``scene`` a scene cut into chips and classified, ``chips`` chips in memory, ``grad_cam`` where both
look ·
``stac``, ``mlm`` items of catalogues for a map and a model · ``explain``, ``importance`` which
inputs predictions come from, by the groups of ``inputs``.
"""
