"""``report``: one self-contained page of scores, maps and provenance."""

import json
from pathlib import Path
from typing import Any

from landslide_dist.config import RunConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.evaluation.events_confusion import confusion_figure
from landslide_dist.evaluation.report import Picture, render_report
from landslide_dist.evaluation.score import ModelScores
from landslide_dist.progress import console, stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.evaluate import score
from landslide_dist.stages.events.maps import stored, tested_map
from landslide_dist.stages.split import audit_of
from landslide_dist.whole_file import write_whole


@stage
def report(
    config: RunConfig, scores: dict[str, ModelScores] | None = None, output: Path | None = None
) -> None:
    """Write ``report.html``.

    Args:
        config: The run.
        scores: What ``evaluate`` returned; None computes them again.
        output: Where the page goes; None for the run's folder.

    Raises:
        StoreError: A stage before has not run.
    """
    context = RunContext(config)
    paths = context.paths
    page = render_report(
        title=config.name,
        scores=score(context) if scores is None else scores,
        cube_location=config.cube.location,
        split_location=context.split_location,
        predictions={name: paths.prediction(name) for name in config.maps},
        parts=config.split.parts(),
        audit=audit_of(context),
        config_yaml=to_yaml(config),
        calibrations=_calibrations(context),
        event_maps=_event_maps(context),
    )
    place = output or paths.report
    write_whole(place, page)
    console.print(f"report: {place}")


def _event_maps(context: RunContext) -> list[Picture]:
    """Of an event, its images beside what each map found and missed."""
    if context.pair is None:
        return []
    pictures = []
    for name in context.config.maps:
        shown = tested_map(context, stored(context.paths.prediction(name)))
        figure = confusion_figure(shown, name)
        if figure is not None:
            text = "Found, missed and falsely called at threshold 0.5 in the test part."
            pictures.append(Picture(f"Before, after, and what {name} found", text, figure))
    return pictures


def _calibrations(context: RunContext) -> dict[str, dict[str, Any]]:
    """Of the models whose maps are calibrated, what ``predict`` wrote."""
    if not context.config.predict.calibrated:
        return {}
    files = {name: Path(context.paths.calibration(name)) for name in context.config.models}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
