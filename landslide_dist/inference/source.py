"""Where a predictor comes from: small enough to send to a worker, which makes it once."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import torch
from distributed import get_worker

from landslide_dist.config.predict import PredictConfig
from landslide_dist.errors import DataError
from landslide_dist.inference.committee import Committee, Member
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.models import checkpoint
from landslide_dist.patches.pair import Pair, pair_reader

#: The predictor that this process made last: a process serves one run at a time.
_made: dict["PredictorSource", TiledPredictor] = {}
_making = Lock()


@dataclass(frozen=True)
class Trained:
    """A model as a file.

    Attributes:
        path: Checkpoint, on a file system that all workers see.
        fingerprint: ``model_hash`` that it must have.
        temperature: What its logits are divided by.
    """

    path: str
    fingerprint: str
    temperature: float = 1.0

    def load(self) -> Member:
        """The model.

        Raises:
            DataError: The file has changed since the run began.
        """
        model, metadata = checkpoint.load(self.path)
        if metadata["model_hash"] != self.fingerprint:
            raise DataError(f"checkpoint {self.path!r} was replaced during predict; run it again")
        return Member(model, self.temperature)


@dataclass(frozen=True)
class PredictorSource:
    """Models, cube and settings of a predictor.

    Attributes:
        members: Models whose predictions are averaged.
        locations: Cube variable and location of the cube that holds it.
        settings: ``PredictConfig`` as JSON.
        pair: Image pair of an event.
    """

    members: tuple[Trained, ...]
    locations: tuple[tuple[str, str], ...]
    settings: str
    pair: Pair | None = None

    @classmethod
    def of(
        cls,
        members: tuple[Trained, ...],
        locations: Mapping[str, str],
        config: PredictConfig,
        pair: Pair | None = None,
    ) -> "PredictorSource":
        """The source of some models on a cube."""
        return cls(members, tuple(locations.items()), config.model_dump_json(), pair)

    @property
    def config(self) -> PredictConfig:
        """The settings."""
        return PredictConfig.model_validate_json(self.settings)

    def committee(self) -> Committee:
        """The models, read from their files."""
        config = self.config
        members = [member.load() for member in self.members]
        in_bfloat16 = config.precision == "bf16-mixed"
        return Committee(members, config.dropout_draws, in_bfloat16, config.context_px)

    def predictor(self) -> TiledPredictor:
        """The predictor of this process, made at the first call."""
        with _making:
            if self not in _made:
                use_threads_of_worker()
                _made.clear()
                reader = pair_reader(dict(self.locations), self.pair)
                _made[self] = TiledPredictor.of(self.committee(), reader, self.config)
            return _made[self]


def use_threads_of_worker() -> None:
    """A Dask worker has as many threads of torch as of its own: one block is computed at a time."""
    try:
        torch.set_num_threads(get_worker().state.nthreads)
    except ValueError:
        return
