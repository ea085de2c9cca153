"""What a search tries, and which it refuses."""

import pytest

from landslide_dist.config.load import validate
from landslide_dist.config.model import CNNConfig, LANNConfig
from landslide_dist.config.search import SearchConfig
from landslide_dist.errors import ConfigError

RUN = {
    "name": "test",
    "run_dir": "runs/test",
    "cube": {"location": "runs/test/cube.zarr"},
    "sources": {"synthetic": {"seed": 3}},
}


def test_every_combination_in_order():
    config = SearchConfig(learning_rates=(0.1, 0.2), looking_distances_m=((30,), (30, 100)))
    lann = LANNConfig(kind="lann", epochs=7, aligned={"features": ["slope"], "min_weight": 0.3})
    grid = config.grid("lann", lann)
    tried = [(m.aligned.looking_distances_m, m.optimizer, m.learning_rate) for m in grid]
    assert tried == [
        (distances, optimizer, rate)
        for distances in ((30,), (30, 100))
        for optimizer in ("adam", "sgd")
        for rate in (0.1, 0.2)
    ]
    assert {(m.epochs, m.aligned.features, m.aligned.min_weight) for m in grid} == {
        (7, ("slope",), 0.3)
    }
    cnn = [(m.optimizer, m.learning_rate) for m in config.grid("cnn", CNNConfig(kind="cnn"))]
    assert cnn == [("adam", 0.1), ("adam", 0.2), ("sgd", 0.1), ("sgd", 0.2)]


def test_a_model_may_have_a_grid_of_its_own():
    config = SearchConfig(grids={"cnn": {"optimizers": ["sgd"], "learning_rates": [0.5]}})
    cnn = CNNConfig(kind="cnn")
    assert [(m.optimizer, m.learning_rate) for m in config.grid("cnn", cnn)] == [("sgd", 0.5)]
    assert len(config.grid("other", cnn)) == 6


def test_all_trained_models_are_searched_unless_named():
    run = validate({**RUN, "search": {}}, "test")
    assert list(run.search.searched(run.models)) == ["llr", "nn", "lann", "cnn", "lacnn"]
    run = validate({**RUN, "search": {"models": ["cnn", "llr"]}}, "test")
    assert list(run.search.searched(run.models)) == ["llr", "cnn"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": {"models": ["naive"]}}, r"names 'naive', .* \(llr, nn, lann, cnn, lacnn\)"),
        ({"search": {"grids": {"cn": {}}}}, "names 'cn'"),
        ({"search": {"looking_distances_m": [[30, 50]]}}, r"50 m is not .* \(30, 100, 300 m\)"),
        ({"search": {"looking_distances_m": [[]]}}, "at least 1"),
        (
            {"search": {"grids": {"lann": {"looking_distances_m": [[60]]}}}},
            r"60 m is not among the cube's",
        ),
        ({"search": {"learning_rates": [0]}}, r"search.learning_rates.0: .* greater than 0"),
        ({"search": {"learning_rates": []}}, r"search.learning_rates: .* at least 1"),
        (
            {"models": {"lann": {"kind": "lann", "aligned": {"looking_distances_m": [50]}}}},
            r"models.lann.aligned: looking distance 50 m is not among the cube's \(30, 100, 300 m",
        ),
    ],
)
def test_what_does_not_fit_the_run_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        validate({**RUN, **settings}, "test")
