"""``run``: all stages in order; each skips what is up to date."""

from landslide_dist.config import RunConfig
from landslide_dist.progress import stage
from landslide_dist.stages.derive import derive
from landslide_dist.stages.evaluate import evaluate
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.predict import predict
from landslide_dist.stages.report import report
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train
from landslide_dist.training.ranks import check_starts_alone, is_first_rank


@stage
def run(config: RunConfig, overwrite: bool = False) -> None:
    """From raw files to the report.

    Args:
        config: The run.
        overwrite: Replace a cube that was ingested with other settings.
    """
    check_starts_alone("run")
    ingest(config, overwrite)
    derive(config)
    split(config)
    train(config)
    # Processes that training has started draw the maps together as well.
    predict(config)
    if not is_first_rank():
        return
    report(config, evaluate(config))
