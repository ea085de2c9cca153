"""The real command line on a small region."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ..services.command_line import run

SMOKE = {
    "name": "smoke",
    "run_dir": "runs/smoke",
    "cube": {
        "location": "runs/smoke/cube.zarr",
        "storage": {"chunk_px": 32, "shard_px": 96},
    },
    "sources": {"synthetic": {"seed": 1, "height": 208, "width": 230, "base_rate": 0.15}},
    "patches": {"core_px": 32, "oversample": 1},
    "models": {
        "naive": {"kind": "naive"},
        "random": {"kind": "random"},
        "llr": {"kind": "llr", "epochs": 2, "learning_rate": 0.05},
        "nn": {"kind": "nn", "epochs": 1, "learning_rate": 0.01},
        "lann": {"kind": "lann", "epochs": 1, "aligned": {"min_weight": 0.01}},
        "cnn": {"kind": "cnn", "epochs": 1, "widths": [4, 8], "optimizer": "adam",
                "learning_rate": 0.01},
        "lacnn": {"kind": "lacnn", "epochs": 1, "widths": [4, 8],
                  "aligned": {"features": ["slope", "elevation"]}},
    },
    "predict": {"tile_px": 64},
    "evaluate": {"bootstrap_draws": 20, "bootstrap_block_px": 32},
}  # fmt: skip


@dataclass
class CommandLine:
    """Runs ``landslide-dist`` in a folder of its own, as a user would."""

    folder: Path
    environment: dict[str, str]

    def __call__(
        self, *arguments: str, status: int = 0, timeout_s: float = 280
    ) -> subprocess.CompletedProcess[str]:
        done = run([*arguments], self.folder, self.environment, timeout_s)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def write(self, settings: dict, name: str = "run.yaml") -> str:
        (self.folder / name).write_text(yaml.safe_dump(settings))
        return name


def command_line_environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "2", "MPLBACKEND": "Agg"}


@pytest.fixture
def command_line(tmp_path):
    return CommandLine(tmp_path, command_line_environment())


@pytest.fixture
def smoke():
    """Settings of a run through all stages and models, small enough for a test."""
    return yaml.safe_load(yaml.safe_dump(SMOKE))
