"""Is one model better than another? Paired block bootstrap: every draw scores all models alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from landslide_dist.evaluation.score import (
    BEST_REACHABLE,
    RANKED_SCORES,
    ModelScores,
    best_model,
)
from landslide_dist.kernels.bootstrap import paired_difference

#: Scores of which less is better.
LESS_IS_BETTER = frozenset({"nll", "brier", "ece"})


@dataclass(frozen=True)
class ComparedScore:
    """A score of a model less that of the reference, on the test part.

    Attributes:
        difference: Of the scores themselves.
        interval: 95 % interval of the difference over the draws.
        share_better: Share of the draws in which the model is better than the reference.
    """

    difference: float
    interval: tuple[float, float]
    share_better: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.interval
        return low > 0 or high < 0


@dataclass(frozen=True)
class Comparison:
    """All models against one.

    Attributes:
        reference: The trained model with the lowest test NLL.
        models: Every other model -> score -> its difference.
    """

    reference: str
    models: Mapping[str, Mapping[str, ComparedScore]]


def compare_models(scores: Mapping[str, ModelScores]) -> Comparison | None:
    """Every model against the best one; None where there is nothing to draw or to compare.

    Baselines and the best reachable scores of a synthetic region are compared, too, but are not the
    reference.
    """
    if all(name == BEST_REACHABLE for name in scores):
        return None
    reference = best_model(scores)
    others = [name for name in scores if name != reference and scores[name].drawn]
    if not others or not scores[reference].drawn:
        return None
    return Comparison(
        reference, {name: compare_pair(scores[name], scores[reference]) for name in others}
    )


def compare_pair(one: ModelScores, other: ModelScores) -> dict[str, ComparedScore]:
    """Score -> how one model differs from another."""
    compared = {}
    for name, score in RANKED_SCORES.items():
        drawn = paired_difference(one.drawn[name], other.drawn[name])
        compared[name] = ComparedScore(
            score(one.counts["test"]) - score(other.counts["test"]),
            drawn.interval,
            drawn.share_lower if name in LESS_IS_BETTER else drawn.share_higher,
        )
    return compared
