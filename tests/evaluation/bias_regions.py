"""Two regions whose reports are compared: probabilities, records, and what a page tells of them."""

import numpy as np

from landslide_dist.config.bias import BiasConfig
from landslide_dist.evaluation.bias import Region
from landslide_dist.evaluation.bias_page import RegionText

PERIODS = {"all": ("2007-01-01", "2019-12-31"), "early": ("2007-01-01", "2009-12-31")}
TEXTS = [
    RegionText("rwenzori", "a", "2019-01-28", (29.6, 0.1, 30.2, 0.7), None, 0.0, "", 50),
    RegionText("oregon", "b", "2019-03-17", (-123.5, 43.9, -122.1, 44.9), "or.gpkg", 0.123,
               "blocks of which more than half is land_cover 5", 12),
]  # fmt: skip


def config(**changes):
    plain = {
        "catalog": "catalog.csv",
        "model": "cnn",
        "regions": {"rwenzori": {"scene": "a"}, "oregon": {"scene": "b"}},
        "periods": PERIODS,
        "thresholds": (0.5, 0.9, 0.99),
        "draws": 200,
        "block_cells": 5,
    }
    return BiasConfig.model_validate(plain | changes)


def region(name, recorded, seed=0, share=0.2, shape=(30, 40)):
    """A region of which the first columns are outside, then some masked, and one cell unclear."""
    random = np.random.default_rng(seed)
    probability = (random.random(shape) ** (1 / share - 1)).astype(np.float32)
    probability[3, 20] = np.nan
    inside = np.ones(shape, dtype=bool)
    inside[:, :4] = False
    masked = np.zeros(shape, dtype=bool)
    masked[:, :6] = True
    return Region(name, probability, inside, masked, dict(zip(PERIODS, recorded, strict=True)))


def pair(recorded=((38, 5), (189, 60)), shares=(0.3, 0.2)):
    return (
        region("rwenzori", recorded[0], 1, shares[0]),
        region("oregon", recorded[1], 2, shares[1]),
    )
