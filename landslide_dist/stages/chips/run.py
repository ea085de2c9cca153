"""``run`` of a run of chips: everything that it asks for, skipping what is up to date."""

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.progress import stage
from landslide_dist.stages.bias.compare import bias
from landslide_dist.stages.chips.evaluate import evaluate_chips
from landslide_dist.stages.chips.report import report_chips
from landslide_dist.stages.chips.scenes import predict_scenes
from landslide_dist.stages.chips.train import train_chips


@stage
def run_chips(config: ChipsConfig, overwrite: bool = False) -> None:
    """Train, score, classify the scenes, report; compare what is recorded in two regions.

    Args:
        config: The run.
        overwrite: Replace cubes of scenes that were ingested with other settings.
    """
    train_chips(config)
    rows = evaluate_chips(config)
    if config.scenes:
        predict_scenes(config, overwrite=overwrite)
    report_chips(config, rows)
    if config.bias is not None:
        bias(config)
