"""Lazy features on users' own arrays: xarray in, lazy xarray out; the arithmetic is in kernels.

Every operation equals its kernel applied to the whole array, bit for bit, whatever the chunks.
"""
