"""Values of the chart: they are those of the models, and a mistake in them is named."""

import json
import runpy
import tomllib
from dataclasses import asdict

import pytest
import yaml

from landslide_dist.cluster.steps import steps_of
from landslide_dist.config import load
from landslide_dist.config.cluster import KubernetesCluster

from ..services.helm import CHART
from .variants import REGION, ROOT


def step(name, size=None, command="report", parts=0):
    return {"name": name, "size": size or name, "parts": parts, "commands": [[command]]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": ""}, "image is missing"),
        ({"imgae": "x"}, "additional properties 'imgae' not allowed"),
        ({"pipeline": {"train": {"gpu": 1}}}, "additional properties 'gpu' not allowed"),
        ({"pipeline": {"train": {"gpus": 2}}}, "gpus 2 and processes 1 differ"),
        ({"pipeline": {"train": {"processes": 3}}}, "cores 2 is not a multiple of processes 3"),
        ({"pipeline": {"report": {"nodes": 2}}}, "only train and predict take several"),
        ({"name": "a" * 50}, "maxLength: got 50, want 45"),
        ({"name": "2024"}, "'2024' does not match pattern"),
        ({"settings": ["seed"]}, "does not match pattern"),
        ({"steps": []}, "minItems: got 0, want 1"),
        ({"steps": [step("train"), step("train")]}, "two of the steps make the job node"),
        ({"steps": [step("search", "experiment")]}, "search of size experiment has parts 0"),
        ({"steps": [step("train", parts=2)]}, "train of size train has parts 2"),
        ({"steps": [step("report", command="derive")]}, "only pods of size prepare reach"),
        ({"steps": [step("ingest", "ingest")]}, "value must be one of 'prepare', 'train'"),
        ({"steps": [step("a-long-name", "report")]}, "maxLength: got 11, want 10"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_in_the_values_is_named(helm, values, changes, message):
    assert message in helm.refusal(*values(changes))


def test_a_missing_run_is_named(helm, values):
    assert "run is missing: give --set-file run=run.yaml" in helm.refusal(*values()[:2])


def test_values_are_the_models_defaults():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    defaults = KubernetesCluster(kind="kubernetes", image="").model_dump(mode="json")
    steps = [asdict(step) for step in steps_of(load(REGION))]
    own = {
        "run": "",
        "settings": [],
        "steps": json.loads(json.dumps(steps)),
        "operator_namespace": "dask-operator",
    }
    assert values == defaults | own


def test_the_schema_of_the_values_is_that_of_the_models():
    script = CHART.parent / "values_schema.py"
    schema = runpy.run_path(str(script))["values_schema"]()
    assert json.loads((CHART / "values.schema.json").read_text()) == schema, script.read_text()[
        :200
    ]


def test_the_chart_has_the_version_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]
