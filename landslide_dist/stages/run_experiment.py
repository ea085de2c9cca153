"""``experiment`` of whatever kind of run: a region, several events, or chips."""

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import AnyConfig
from landslide_dist.config.share import Share


def run_experiment(config: AnyConfig, share: Share | None = None) -> None:
    """Train and score, all or a share; without a share, write tables and page as well."""
    if isinstance(config, EventsConfig):
        from landslide_dist.stages.events.experiment import experiment_on_events

        experiment_on_events(config, share)
    elif isinstance(config, ChipsConfig):
        from landslide_dist.stages.chips.experiment import experiment_on_chips

        experiment_on_chips(config, share)
    else:
        from landslide_dist.stages.experiment import experiment

        experiment(config, share)


def prepare_experiment(config: AnyConfig) -> None:
    """Make what all shares read: cubes of events, divisions of a region; chips need nothing."""
    if isinstance(config, EventsConfig):
        from landslide_dist.stages.events.experiment import prepare

        prepare(config)
    elif not isinstance(config, ChipsConfig):
        from landslide_dist.stages.experiment import divide

        divide(config)
