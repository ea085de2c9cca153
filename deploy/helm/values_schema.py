"""Print the schema of the chart's values: the model of a cluster file, and what is the chart's own.

python deploy/helm/values_schema.py > deploy/helm/landslide-dist/values.schema.json
"""

import json
from typing import Annotated, Any

from pydantic import Field

from landslide_dist.cluster.steps import Size
from landslide_dist.config.base import Config
from landslide_dist.config.cluster import KubernetesCluster

_Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Step(Config):
    """A step of :mod:`landslide_dist.cluster.steps`, whose jobs come one after the other."""

    # As the end of a pod's host name, which has 63 characters; the run's name takes 45.
    name: str = Field(max_length=10, pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")
    size: Size
    commands: Annotated[tuple[_Words, ...], Field(min_length=1)]
    parts: int = Field(0, ge=0, description="pods that share the command; 0: it is one job")


class Values(KubernetesCluster):
    """Values of the chart."""

    run: str = Field(description="text of the run's YAML file")
    settings: tuple[Annotated[str, Field(pattern=r"^[\w.-]+=")], ...] = Field(
        (), description="a.b=value, as after --set"
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
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
