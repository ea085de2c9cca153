"""Where a run keeps what it makes, below ``run_dir``."""

from dataclasses import dataclass

from landslide_dist.config.run import RunConfig, config_hash


@dataclass(frozen=True)
class RunPaths:
    """File and store locations of one run."""

    run_dir: str

    @classmethod
    def of(cls, config: RunConfig) -> "RunPaths":
        """The paths of a run."""
        return cls(config.run_dir.rstrip("/"))

    def split(self, config: RunConfig, buffer_px: int) -> str:
        """Zarr group of the split raster; folds of one division share it."""
        settings = config.split.model_dump(
            mode="json", exclude={"test_fold", "validation", "buffer_px"}
        )
        settings |= {"buffer_px": buffer_px, "core_px": config.patches.core_px}
        return f"{self.run_dir}/splits/{config_hash(settings)}.zarr"

    def model_dir(self, model: str) -> str:
        """Checkpoints and training log of one model."""
        return f"{self.run_dir}/models/{model}"

    def checkpoint(self, model: str) -> str:
        """The checkpoint with the best validation loss."""
        return f"{self.model_dir(model)}/best.ckpt"

    def prediction(self, model: str) -> str:
        """Zarr group of the predicted probability."""
        return f"{self.run_dir}/predictions/{model}.zarr"

    def cog(self, model: str) -> str:
        """Cloud-Optimised GeoTIFF of the predicted probability."""
        return f"{self.run_dir}/predictions/{model}.tif"

    @property
    def metrics(self) -> str:
        """All scores of the run, JSON."""
        return f"{self.run_dir}/metrics.json"

    @property
    def report(self) -> str:
        """The self-contained report, HTML."""
        return f"{self.run_dir}/report.html"

    @property
    def experiment(self) -> str:
        """Cross-validation scores, JSON."""
        return f"{self.run_dir}/experiment.json"
