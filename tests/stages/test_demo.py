"""The demo's order of models, on three regions: alignment and convolution each must pay."""

import json

import pytest

#: Better model, worse model; held-out NLL in nats per pixel.
ORDER = [
    ("best reachable", "lacnn"),
    ("lacnn", "cnn"),
    ("lacnn", "lann"),
    ("lann", "nn"),
    ("nn", "llr"),
    ("llr", "naive"),
    ("naive", "random"),
]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "seed", [0, *[pytest.param(seed, marks=pytest.mark.seeds) for seed in (1, 2)]]
)
def test_models_come_in_order(command_line, seed, capsys):
    # Another region, another split, other first weights.
    seeds = ("sources.synthetic.seed", "split.seed", "training.seed")
    settings = [part for name in seeds for part in ("--set", f"{name}={seed}")]
    command_line("demo", "--folder", "demo", *settings, timeout_s=1400)
    models = json.loads((command_line.folder / "demo" / "metrics.json").read_text())["models"]
    nll = {name: parts["test"]["nll"] for name, parts in models.items()}
    margins = {f"{a} < {b}": nll[b] - nll[a] for a, b in ORDER}
    with capsys.disabled():
        print(f"\nseed {seed}:", ", ".join(f"{n} by {m:.4f}" for n, m in margins.items()))
    assert models["lacnn"]["test"]["num_pixels"] > 60_000
    assert min(margins.values()) > 0, margins
