"""Held-out losses and the best of them."""

import math

import pytest

from landslide_dist.config.model import LANNConfig, NNConfig
from landslide_dist.errors import DataError
from landslide_dist.training.search import GridPoint, HeldOut, best_point, record


def point(rate, *folds):
    return GridPoint(NNConfig(kind="nn", learning_rate=rate), folds)


def test_the_loss_is_of_all_pixels_not_of_folds():
    assert point(0.1, HeldOut(10.0, 100), HeldOut(1.0, 1)).nll == pytest.approx(11 / 101)
    assert point(0.1, HeldOut(1.0, 100), HeldOut(0.0, 0, "nan")).nll == math.inf
    with pytest.raises(ValueError, match="without folds"):
        _ = point(0.1).nll


def test_the_first_of_equals_is_best_and_what_diverged_never():
    points = [
        point(0.3, HeldOut(0.0, 0, "nan")),
        point(0.2, HeldOut(2.0, 4)),
        point(0.1, HeldOut(1.0, 2)),
    ]
    assert best_point("nn", points) is points[1]
    with pytest.raises(DataError, match="all 1 settings of 'nn' diverged, the first: nan"):
        best_point("nn", points[:1])


def test_the_record_names_the_best_of_models_that_are_done():
    lann = LANNConfig(kind="lann", aligned={"looking_distances_m": [30]})
    done = [point(0.3, HeldOut(0.0, 0, "why")), point(0.2, HeldOut(2.0, 4))]
    plain = record({"nn": done, "lann": [GridPoint(lann)]}, num_folds=1)
    assert plain["nn"]["best"] == {"optimizer": "adam", "learning_rate": 0.2, "nll": 0.5}
    diverged = {"loss_sum": 0.0, "count": 0, "diverged": "why"}
    assert plain["nn"]["points"][0]["nll"] is None
    assert plain["nn"]["points"][0]["folds"] == [diverged]
    assert plain["lann"] == {
        "points": [
            {
                "optimizer": "adam",
                "learning_rate": 0.0156,
                "looking_distances_m": (30.0,),
                "nll": None,
                "folds": [],
            }
        ]
    }
