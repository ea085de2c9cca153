"""What temperature scaling did to a model: reliability before and after, as PNG bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from landslide_dist.evaluation.drawing import PALETTE, SOFT, new_figure, png
from landslide_dist.evaluation.drawing import style as style_axes
from landslide_dist.evaluation.figures import SIZE_IN, legend, reliability_axes

#: Told apart by colour, by line and by mark.
_LINES: Mapping[str, Mapping[str, Any]] = {
    "before": {"color": SOFT, "linestyle": (0, (4, 2)), "marker": "s", "markersize": 4},
    "after": {"color": PALETTE[1], "linestyle": "-", "marker": "o", "markersize": 4.5},
}


def calibration_figure(model: str, calibration: Mapping[str, Any]) -> bytes:
    """Predicted probability against the share of landslides in equal-count bins, on log axes.

    Args:
        model: Its name.
        calibration: Its ``calibration.json``: ``temperature``, and of ``before`` and ``after``
            the ``ece`` and the ``reliability`` curve (Guo et al. 2017, figures 1 and 4).
    """
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style_axes(
        axes, f"Calibration, {model}", "predicted probability", "observed share of landslides"
    )
    curves = {
        when: [np.array(calibration[when]["reliability"][k]) for k in ("predicted", "observed")]
        for when in _LINES
    }
    low, high = reliability_axes(axes, [values for curve in curves.values() for values in curve])
    for when, line in _LINES.items():
        predicted, observed = (np.clip(values, low, high) for values in curves[when])
        label = f"{when}  {calibration[when]['ece']:.4f}"
        axes.plot(predicted, observed, label=label, linewidth=1.7, zorder=3, **line)
    heading = f"temperature {calibration['temperature']:.3f}\ncalibration error (ECE)"
    legend(axes, heading, "best")
    return png(figure)
