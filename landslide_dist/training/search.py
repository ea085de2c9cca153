"""The arithmetic of a hyper-parameter search: held-out losses of folds, and the best setting."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from landslide_dist.config.model import AlignedModel, FittedModel
from landslide_dist.errors import DataError


@dataclass(frozen=True)
class HeldOut:
    """What one fit does on its held-out fold.

    Attributes:
        loss_sum: Sum of the negative log-likelihoods of the fold's labelled pixels, nats.
        count: Their number.
        diverged: Why there is no loss; None where there is one.
    """

    loss_sum: float
    count: int
    diverged: str | None = None


@dataclass(frozen=True)
class GridPoint:
    """One setting of a model, and its held-out folds so far.

    Attributes:
        model: The model with this setting.
        folds: One entry a fold, in order.
    """

    model: FittedModel
    folds: tuple[HeldOut, ...] = ()

    @property
    def nll(self) -> float:
        """Mean over the labelled pixels of all folds, not over folds; infinite where one diverged.

        Raises:
            ValueError: There is no fold yet.
        """
        if not self.folds:
            raise ValueError("a setting without folds has no loss")
        if any(fold.diverged is not None for fold in self.folds):
            return float("inf")
        return sum(fold.loss_sum for fold in self.folds) / sum(fold.count for fold in self.folds)

    @property
    def settings(self) -> dict[str, Any]:
        """The values that are searched."""
        values: dict[str, Any] = {
            "optimizer": self.model.optimizer,
            "learning_rate": self.model.learning_rate,
        }
        if isinstance(self.model, AlignedModel):
            values["looking_distances_m"] = self.model.aligned.looking_distances_m
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a loss that is not finite is None."""
        nll = self.nll if self.folds else float("inf")
        return {
            **self.settings,
            "nll": nll if nll < float("inf") else None,
            "folds": [asdict(fold) for fold in self.folds],
        }


def record(points: Mapping[str, Sequence[GridPoint]], num_folds: int) -> dict[str, Any]:
    """All settings of all models as plain data, with the best of those models that are done.

    Args:
        points: Model name -> its settings.
        num_folds: Folds of a setting that is done.
    """
    models: dict[str, Any] = {}
    for name, tried in points.items():
        models[name] = {"points": [point.to_dict() for point in tried]}
        if all(len(point.folds) == num_folds for point in tried):
            best = min(tried, key=lambda point: point.nll).to_dict()
            models[name]["best"] = {key: value for key, value in best.items() if key != "folds"}
    return models


def best_point(name: str, points: Sequence[GridPoint]) -> GridPoint:
    """The setting of the lowest loss, the first of equals.

    Args:
        name: Of the model, for the message.
        points: Settings with all their folds.

    Raises:
        DataError: Every setting diverged; says why the first did.
    """
    best = min(points, key=lambda point: point.nll)
    if best.nll == float("inf"):
        reason = next(fold.diverged for fold in best.folds if fold.diverged is not None)
        raise DataError(f"all {len(points)} settings of {name!r} diverged, the first: {reason}")
    return best
