"""Where a run keeps what it makes, below ``run_dir``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from landslide_dist.config.run import RunConfig, config_hash


@dataclass(frozen=True)
class RunPaths:
    """File and store locations of one run."""

    run_dir: str

    @classmethod
    def of(cls, config: RunConfig) -> "RunPaths":
        """The paths of a run."""
        return cls(config.run_dir.rstrip("/"))

    def split(self, config: RunConfig, buffer_px: int, polygons: Sequence[dict[str, Any]]) -> str:
        """Zarr group of the split raster; folds of one division share it.

        Args:
            config: The run.
            buffer_px: Masked band between the parts.
            polygons: Which version of the file of ``split.regions`` divides.
        """
        settings = config.split.model_dump(
            mode="json", exclude={"test_fold", "validation", "buffer_px"}
        )
        settings |= {"buffer_px": buffer_px, "core_px": config.patches.core_px}
        if config.patches.stride_px is not None:
            settings["stride_px"] = config.patches.stride_px
        if settings["regions"] is None:
            del settings["regions"]
        else:
            settings["regions"]["files"] = list(polygons)
        return f"{self.run_dir}/splits/{config_hash(settings)}.zarr"

    def model_dir(self, model: str) -> str:
        """Checkpoints and training log of one model."""
        return f"{self.run_dir}/models/{model}"

    def checkpoint(self, model: str) -> str:
        """The checkpoint with the best validation loss."""
        return f"{self.model_dir(model)}/best.ckpt"

    def unfinished(self, model: str) -> str:
        """The best checkpoint so far of a training that is under way."""
        return f"{self.model_dir(model)}/unfinished.ckpt"

    def history(self, model: str) -> str:
        """Losses and learning rate of every epoch, JSON."""
        return f"{self.model_dir(model)}/history.json"

    def calibration(self, model: str) -> str:
        """Temperature of one model, and its reliability before and after, JSON."""
        return f"{self.model_dir(model)}/calibration.json"

    def prediction(self, model: str) -> str:
        """Zarr group of the predicted probability."""
        return f"{self.run_dir}/predictions/{model}.zarr"

    def cog(self, model: str, variable: str = "probability") -> str:
        """Cloud-Optimised GeoTIFF of a predicted variable; of the probability, plainly named."""
        suffix = "" if variable == "probability" else f"_{variable}"
        return f"{self.run_dir}/predictions/{model}{suffix}.tif"

    def export(self, model: str) -> str:
        """Folder of what `export` publishes of one model."""
        return f"{self.run_dir}/export/{model}"

    def explain(self, model: str) -> str:
        """Folder of what explains one model."""
        return f"{self.run_dir}/explain/{model}"

    def inventory(self, name: str, suffix: str) -> str:
        """Landslides of one map, ``gpkg`` or ``geojson``."""
        return f"{self.run_dir}/inventory/{name}.{suffix}"

    def view(self, name: str) -> str:
        """Zarr group of the levels of detail that the viewer draws from."""
        return f"{self.run_dir}/view/{name}.zarr"

    @property
    def metrics(self) -> str:
        """All scores of the run, JSON."""
        return f"{self.run_dir}/metrics.json"

    @property
    def report(self) -> str:
        """The self-contained report, HTML."""
        return f"{self.run_dir}/report.html"

    @property
    def comparison(self) -> str:
        """The self-contained page that sets runs side by side, HTML."""
        return f"{self.run_dir}/comparison.html"

    @property
    def experiment(self) -> str:
        """Scores of all divisions and their summary, JSON."""
        return f"{self.run_dir}/experiment.json"

    @property
    def experiment_page(self) -> str:
        """The self-contained page of the experiment, HTML."""
        return f"{self.run_dir}/experiment.html"

    @property
    def experiment_dir(self) -> str:
        """What an experiment keeps: a run of its own for each division, and figures."""
        return f"{self.run_dir}/experiment"

    def experiment_table(self, suffix: str) -> str:
        """The paper's table 2, ``md`` or ``csv``."""
        return f"{self.run_dir}/table2.{suffix}"

    def experiment_figure(self, name: str) -> str:
        """A figure of the experiment's page."""
        return f"{self.experiment_dir}/{name}.png"

    def part_scores(self, model: str) -> str:
        """Counts of the pixels of each part, as an experiment keeps them."""
        return f"{self.model_dir(model)}/scores.npz"

    def chip_scores(self, model: str) -> str:
        """Scores of classified chips, as an experiment keeps them, JSON."""
        return f"{self.model_dir(model)}/scores.json"

    def window_map(self, model: str) -> str:
        """Probability of the window that an experiment shows."""
        return f"{self.model_dir(model)}/window.npz"

    @property
    def search(self) -> str:
        """Every setting that `search` tried and its held-out loss, JSON."""
        return f"{self.run_dir}/search.json"

    @property
    def tuned(self) -> str:
        """The run with the best settings that `search` found, YAML."""
        return f"{self.run_dir}/tuned.yaml"
