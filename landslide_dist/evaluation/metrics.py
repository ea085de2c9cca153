"""``metrics.json``: all scores as plain data; what is undefined is null.

======================  ==========================================================================
``models``              model -> part -> ``num_pixels``, ``num_landslide``; ``nll`` (nats a pixel),
                        ``auc``, ``ap``, ``brier``, ``ece``; ``at_0.5`` and ``at_best`` (threshold
                        of the best MCC, and the part it was chosen on) with ``precision``,
                        ``recall``, ``f1``, ``mcc``; ``intervals`` (95 %, of the test part)
``comparison``          of every model with ``reference``, the trained one of the lowest test NLL:
                        score -> ``difference`` (model less reference), ``interval``,
                        ``share_better`` (of the draws), by paired block bootstrap
``strata``              division -> stratum -> model -> part -> scores as in ``models``;
                        ``mcc_at_0.5``, ``mcc_at_best`` (threshold chosen on all strata together)
``curves``              model -> ``roc`` (test), ``success_rate`` (training), ``prediction_rate``
                        (test): points at equal steps of x, ``area_under`` of the exact curve
``classes``             method -> model -> classes from the least susceptible on: ``low``, ``high``,
                        ``num_pixels``, ``area_km2``, ``area_share`` of all mapped pixels;
                        ``num_landslide``, ``landslide_share``, ``density_per_km2`` (landslide
                        pixels), ``frequency_ratio`` of all landslides; ``test``: the same shares of
                        the labelled pixels of the test part alone
======================  ==========================================================================
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.comparison import compare_models
from landslide_dist.evaluation.score import RANKED_SCORES, ClassRow, ModelScores, StrataCounts
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.classes import SusceptibilityClass
from landslide_dist.kernels.rates import area_under
from landslide_dist.kernels.scores import Curve, ScoreCounts

#: Shares at which curves are written down.
STEPS = np.linspace(0, 1, 201)

Scores = Mapping[str, ModelScores]


def to_metrics(scores: Scores) -> dict[str, Any]:
    """All scores as plain data for JSON; the tables above say what each means."""
    metrics = {
        "models": {
            name: {part: _part_metrics(model, part) for part in model.counts}
            for name, model in scores.items()
        },
        "comparison": _comparison(scores),
        "strata": strata_metrics(scores),
        "curves": {name: _curves(model) for name, model in scores.items()},
        "classes": _classes(scores),
    }
    plain: dict[str, Any] = null_for_nan(metrics)
    return plain


def null_for_nan(value: Any) -> Any:
    """Plain data with None in place of what is undefined: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: null_for_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def strata_metrics(scores: Scores) -> dict[str, Any]:
    """Division -> stratum -> model -> part -> scores."""
    tree: dict[str, dict[str, dict[str, Any]]] = {}
    for name, model in scores.items():
        strata: StrataCounts = model.strata
        for division, by_stratum in strata.items():
            for stratum, by_part in by_stratum.items():
                found = {part: _stratum(model, one.dense()) for part, one in by_part.items()}
                tree.setdefault(division, {}).setdefault(stratum, {})[name] = found
    return tree


def _part_metrics(model: ModelScores, part: str) -> dict[str, Any]:
    counts = model.counts[part]
    return {
        **_threshold_free(model, counts),
        "at_0.5": _at(counts, 0.5),
        "at_best": {
            "threshold": model.threshold,
            "chosen_on": model.chosen_on,
            **_at(counts, model.threshold),
        },
        "intervals": {k: list(v) for k, v in model.intervals.items()} if part == "test" else {},
    }


def _stratum(model: ModelScores, counts: ScoreCounts) -> dict[str, Any]:
    return {
        **_threshold_free(model, counts),
        "mcc_at_0.5": _at(counts, 0.5)["mcc"],
        "mcc_at_best": _at(counts, model.threshold)["mcc"],
    }


def _threshold_free(model: ModelScores, counts: ScoreCounts) -> dict[str, Any]:
    return {
        "num_pixels": counts.num_labelled,
        "num_landslide": counts.num_positive,
        **{name: score(counts) for name, score in RANKED_SCORES.items()},
        "ece": kernel.expected_calibration_error(counts, model.calibration_bins),
    }


def _at(counts: ScoreCounts, threshold: float) -> dict[str, float]:
    found = kernel.precision_recall_f1_mcc(kernel.confusion_at(counts, threshold))
    # Without a threshold nothing is called, which is not the same as calling nothing.
    return dict.fromkeys(found, math.nan) if math.isnan(threshold) else found


def _comparison(scores: Scores) -> dict[str, Any] | None:
    found = compare_models(scores)
    if found is None:
        return None
    config = scores[found.reference].config
    return {
        "part": "test",
        "reference": found.reference,
        "draws": config.bootstrap_draws,
        "block_px": config.bootstrap_block_px,
        "models": {
            name: {
                score: {
                    "difference": one.difference,
                    "interval": list(one.interval),
                    "share_better": one.share_better,
                }
                for score, one in by_score.items()
            }
            for name, by_score in found.models.items()
        },
    }


def _curves(model: ModelScores) -> dict[str, Any]:
    curves = {}
    if "test" in model.counts:
        roc = kernel.roc_curve(model.counts["test"])
        curves["roc"] = {
            "false_positive_rate": STEPS.tolist(),
            "true_positive_rate": _at_steps(roc),
            "area_under": kernel.auc(model.counts["test"]),
        }
    for name, part in (("success_rate", "train"), ("prediction_rate", "test")):
        if part in model.counts:
            curve = model.rate_curve(part)
            curves[name] = {
                "part": part,
                "area_of": model.config.rate_area,
                "area_share": STEPS.tolist(),
                "landslide_share": _at_steps(curve),
                "area_under": area_under(curve),
            }
    return curves


def _at_steps(curve: Curve) -> list[float]:
    values: NDArray[np.float64] = np.interp(STEPS, curve.x, curve.y)
    return [float(value) for value in values.round(6)]


def _classes(scores: Scores) -> dict[str, Any]:
    tree: dict[str, dict[str, Any]] = {}
    for name, model in scores.items():
        for method, rows in model.classes.items():
            tree.setdefault(method, {})[name] = [_class(row, model.pixel_m) for row in rows]
    return tree


def _class(row: ClassRow, pixel_m: float) -> dict[str, Any]:
    area_km2 = row.whole.num_pixels * pixel_m**2 / 1e6
    whole = _shares(row.whole)
    return {
        "low": row.whole.low,
        "high": row.whole.high,
        "area_km2": area_km2,
        **whole,
        "density_per_km2": row.whole.num_landslide / area_km2 if area_km2 else math.nan,
        "test": None if row.test is None else _shares(row.test),
    }


def _shares(found: SusceptibilityClass) -> dict[str, Any]:
    return {
        "num_pixels": found.num_pixels,
        "area_share": found.area_share,
        "num_landslide": found.num_landslide,
        "landslide_share": found.landslide_share,
        "frequency_ratio": found.frequency_ratio,
    }
