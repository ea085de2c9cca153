"""How far each model is from the best, with intervals: a forest plot, as PNG bytes."""

import math

from landslide_dist.evaluation.comparison import LESS_IS_BETTER, Comparison
from landslide_dist.evaluation.drawing import INK, SOFT, line_styles, new_figure, png
from landslide_dist.evaluation.drawing import style as style_axes
from landslide_dist.evaluation.figures import SIZE_IN
from landslide_dist.evaluation.score import BASELINES

#: Headings of the scores.
HEADINGS = {"nll": "NLL", "auc": "AUC", "ap": "AP", "brier": "Brier"}


def difference_figure(comparison: Comparison, names: list[str]) -> bytes:
    """Differences of each score to the reference with their 95 % intervals, a panel a score.

    Args:
        comparison: Of all models with the reference.
        names: All models, in the order in which they get their colours.
    """
    # Models that know nothing of a pixel would stretch the scale that tells the others apart.
    trained = [name for name in comparison.models if name not in BASELINES]
    models = trained or list(comparison.models)
    figure = new_figure(SIZE_IN[0], 1.1 + 0.46 * len(models))
    panels = figure.subplots(2, 2, sharey=True)
    colours = {name: str(line["color"]) for name, line in line_styles(names).items()}
    for axes, (score, heading) in zip(panels.flat, HEADINGS.items(), strict=True):
        better = "lower" if score in LESS_IS_BETTER else "higher"
        style_axes(axes, heading, f"{better} is better")
        axes.axvline(0, color=SOFT, linewidth=0.9)
        for row, name in enumerate(models):
            one = comparison.models[name][score]
            if math.isnan(one.difference):
                continue
            axes.plot(one.interval, (row, row), color=colours[name], linewidth=1.6)
            axes.plot(one.difference, row, "o", color=colours[name], markersize=4.5)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.12)
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
    return png(figure)
