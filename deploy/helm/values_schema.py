"""Print the schema of the chart's values: the model of a cluster file, and what is the chart's own.

python deploy/helm/values_schema.py > deploy/helm/landslide-dist/values.schema.json
"""

import json
from typing import Annotated, Any

from pydantic import Field

from landslide_dist.config.base import Config
from landslide_dist.config.cluster import KubernetesCluster

_Words = Annotated[tuple[str, ...], Field(min_length=1)]
_Commands = tuple[_Words, ...]


class Commands(Config):
    """What each step calls, instead of what it calls otherwise; empty: the step is left out."""

    prepare: _Commands = ()
    train: _Commands = ()
    predict: _Commands = ()
    experiment: _Commands = ()
    report: _Commands = ()


class Values(KubernetesCluster):
    """Values of the chart."""

    run: str = Field(description="text of the run's YAML file")
    settings: tuple[Annotated[str, Field(pattern=r"^[\w.-]+=")], ...] = Field(
        (), description="a.b=value, as after --set"
    )
    parts: int = Field(0, ge=0, description="pods that share the experiment; 0: the run itself")
    commands: Commands = Field(Commands(), description="words after landslide-dist")
    operator_namespace: str = Field("dask-operator", description="where the Dask operator runs")


def values_schema() -> dict[str, Any]:
    """The schema as Helm reads it; it fills in nothing, so defaults stay in the values file."""
    schema = Values.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    without: dict[str, Any] = _without_defaults(schema)
    return without


def _without_defaults(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_defaults(entry) for entry in node]
    if isinstance(node, dict):
        return {k: _without_defaults(v) for k, v in node.items() if k not in ("default", "title")}
    return node


if __name__ == "__main__":
    print(json.dumps(values_schema(), indent=2))
