"""The paper's table 2 from the scores of all divisions: means, deviations, and the leak.

A random split scores a model on pixels next to those it was trained on, a spatial one on ground it
has not seen: the difference of the two is the leak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.score import RANKED_SCORES
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.scores import ScoreCounts

#: Parts that are scored.
SCORED_PARTS = ("test", "train")
#: A leaky kind of split, and the spatial kind that it is set against.
LEAKS = (("random", "block"), ("random_labels", "kmeans_labels"))
#: False positive rates at which the curves of divisions are averaged.
RATES = np.linspace(0, 1, 1001)

#: Kind of split -> model -> score -> mean and deviation.
Summary = dict[str, dict[str, dict[str, tuple[float, float]]]]


@dataclass(frozen=True)
class Outcome:
    """One model on one division.

    Attributes:
        kind: Kind of split.
        partition: Which seed.
        fold: The fold that was held out; 0 where ``split.fractions`` divide.
        model: Its name.
        scores: ``test_nll``, ``train_nll``, ``test_auc`` and so on.
        share: Share of landslides in each part.
        roc: True positive rate of the test part at :data:`RATES`.
    """

    kind: str
    partition: int
    fold: int
    model: str
    scores: Mapping[str, float]
    share: Mapping[str, float]
    roc: NDArray[np.float64]

    @classmethod
    def of(
        cls, kind: str, partition: int, fold: int, model: str, counts: Mapping[str, ScoreCounts]
    ) -> "Outcome":
        """The outcome that counts of the test and the training part give."""
        curve = kernel.roc_curve(counts["test"])
        return cls(
            kind,
            partition,
            fold,
            model,
            {
                f"{part}_{name}": score(counts[part])
                for part in SCORED_PARTS
                for name, score in RANKED_SCORES.items()
            },
            {p: counts[p].num_positive / max(1, counts[p].num_labelled) for p in SCORED_PARTS},
            np.interp(RATES, curve.x, curve.y),
        )

    def plain(self) -> dict[str, Any]:
        """A row of ``experiment.json``."""
        place = {"split": self.kind, "partition": self.partition, "fold": self.fold}
        return {**place, "model": self.model, **self.scores}


def summarise(outcomes: Sequence[Outcome], order: Sequence[str]) -> Summary:
    """Mean of every score over folds and partitions, and deviation.

    The deviation is that of the partitions' means: how much the answer hangs on the division.

    Args:
        outcomes: All of them.
        order: Names of the models, as they are to be listed.
    """
    return {
        kind: {
            model: {score: _mean_and_deviation(rows, score) for score in next(iter(rows)).scores}
            for model in order
            if (rows := select(outcomes, kind, model))
        }
        for kind in kinds(outcomes)
    }


def leak_of(summary: Summary) -> tuple[str, str] | None:
    """The leaky and the spatial kind of split whose difference is the leak, if both are there."""
    return next((pair for pair in LEAKS if set(pair) <= set(summary)), None)


def differences(summary: Summary) -> dict[str, dict[str, float]]:
    """Model -> score -> its mean on the spatial split less that on the random one."""
    pair = leak_of(summary)
    if pair is None:
        return {}
    leaky, spatial = (summary[kind] for kind in pair)
    return {
        model: {score: spatial[model][score][0] - leaky[model][score][0] for score in leaky[model]}
        for model in leaky
    }


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    """Kinds of split, as they come."""
    return list(dict.fromkeys(outcome.kind for outcome in outcomes))


def select(outcomes: Sequence[Outcome], kind: str, model: str) -> list[Outcome]:
    """One model on all divisions of a kind."""
    return [o for o in outcomes if o.kind == kind and o.model == model]


def _mean_and_deviation(rows: Sequence[Outcome], score: str) -> tuple[float, float]:
    means = [
        np.mean([row.scores[score] for row in rows if row.partition == partition])
        for partition in sorted({row.partition for row in rows})
    ]
    return float(np.mean(means)), float(np.std(means))
