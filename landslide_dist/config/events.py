"""Several events: which are trained on together, on which ones models are tested."""

import copy
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.run import RunConfig

Experiment = Literal["single", "combined", "jackknife"]


class EventsConfig(Config):
    """The experiments of Prakash et al. 2021, each event a run of its own.

    Every model is tested on the test part of the events that train, and on the whole of those that
    do not (``unseen``).
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="title of the page")
    run_dir: str = Field(description="local folder of cubes, models, scores, page")
    common: dict[str, Any] = Field(
        default_factory=dict, description="settings of all events, as in the YAML of a run"
    )
    events: dict[str, dict[str, Any]] = Field(
        min_length=1, description="event -> its own settings, which go before the common ones"
    )
    unseen: tuple[str, ...] = Field((), description="events that no model is trained on")
    experiments: tuple[Experiment, ...] = Field(
        ("single", "combined", "jackknife"),
        min_length=1,
        description="single: one model an event; combined: one for all; jackknife: without each",
    )
    pixel_sizes_m: tuple[float, ...] = Field(
        (10.0,), min_length=1, description="base resolutions, each with models of its own"
    )
    matching: bool = Field(
        True,
        description="match all images to the training parts of the training events, pre and post "
        "apart",
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="of weights and samples")
    ablations: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="name -> settings that change the run of the combined models",
    )

    @model_validator(mode="after")
    def _events_are_there(self) -> "EventsConfig":
        unknown = [name for name in self.unseen if name not in self.events]
        if unknown:
            raise ValueError(
                f"unseen {unknown} are not among the events ({', '.join(self.events)})"
            )
        if not self.trained_on:
            raise ValueError("every event is unseen: leave some to train on")
        if "jackknife" in self.experiments and len(self.trained_on) < 3:
            raise ValueError("jackknife leaves one event out: it needs three or more to train on")
        for name in self.events:
            if not name.isidentifier():
                raise ValueError(f"names of events are plain words; got {name!r}")
            self.run(name, self.pixel_sizes_m[0])
        for name, changes in self.ablations.items():
            # Cubes and splits are made once: what would need others must not be taken for done.
            cube = changes.get("cube", {"matching": None})
            if changes.keys() - {"models", "training", "predict", "cube"} or (
                cube != {"matching": None}
            ):
                raise ValueError(
                    f"ablation {name!r} changes {', '.join(changes)}: models, training, predict "
                    "and cube: {matching: null} can change; others are events of their own"
                )
            self.run(self.trained_on[0], self.pixel_sizes_m[0], changes=changes)
        return self

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Events with a training part."""
        return tuple(name for name in self.events if name not in self.unseen)

    def trainings(self) -> dict[str, tuple[str, ...]]:
        """Name of each model as the paper has it -> events that it is trained on."""
        events = self.trained_on
        named: dict[str, tuple[str, ...]] = {}
        if "single" in self.experiments:
            named |= {event: (event,) for event in events}
        if "combined" in self.experiments:
            named["ALL"] = events
        if "jackknife" in self.experiments:
            for left_out in events:
                named[f"ALL-{left_out}"] = tuple(e for e in events if e != left_out)
        return named

    def run(
        self, event: str, pixel_m: float, seed: int = 0, changes: Mapping[str, Any] | None = None
    ) -> RunConfig:
        """The run of one event.

        Args:
            event: Which.
            pixel_m: Base resolution, metres.
            seed: Of weights and samples.
            changes: Of an ablation.
        """
        tree = merged(self.common, self.events[event])
        folder = self.folder(event, pixel_m)
        own: dict[str, Any] = {
            "name": event,
            "task": "event_mapping",
            "run_dir": folder,
            "cube": {"location": f"{folder}/cube.zarr"},
            "training": {"seed": seed},
        }
        if self.matching:
            table = {"kind": "table", "path": self.reference(pixel_m)}
            own["cube"]["matching"] = {"reference": table}
        if event in self.unseen:
            whole = {"kind": "random", "fractions": [0, 0, 1], "folds": None, "regions": None}
            own["split"] = whole
        tree = merged(merged(tree, own), changes or {})
        return RunConfig.model_validate(at_pixel_size(tree, pixel_m))

    def reference(self, pixel_m: float) -> str:
        """File of what images of one resolution are matched to; ``{role}`` is pre or post."""
        return f"{self.run_dir.rstrip('/')}/events/reference_{pixel_m:g}m_{{role}}.json"

    def folder(self, event: str, pixel_m: float) -> str:
        """Where the cube of an event lies at one resolution."""
        return f"{self.run_dir.rstrip('/')}/events/{event}/{pixel_m:g}m"


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of two trees; where both have a value, that of ``above``."""
    result = copy.deepcopy(dict(below))
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(old, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def at_pixel_size(tree: dict[str, Any], pixel_m: float) -> dict[str, Any]:
    """The run on another grid; a made-up event keeps its ground and changes its pixels."""
    synthetic = tree.get("sources", {}).get("synthetic")
    if synthetic is None:
        return merged(tree, {"cube": {"grid": {"pixel_m": pixel_m}}})
    factor = synthetic.get("pixel_m", 10.0) / pixel_m
    sides = {
        side: max(32, round(synthetic.get(side, 1024) * factor)) for side in ("height", "width")
    }
    return merged(tree, {"sources": {"synthetic": {**sides, "pixel_m": pixel_m}}})
