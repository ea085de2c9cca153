"""`submit` to Kubernetes: the values it hands over, by the real helm, without a cluster."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from landslide_dist.cluster.chart import Release
from landslide_dist.cluster.steps import steps_of, steps_of_experiment, steps_of_search
from landslide_dist.cluster.submission import Invocation
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.config.load import load_any
from landslide_dist.errors import ConfigError

from ..services.helm import jobs_of, problems

ROOT = Path(__file__).parents[2]
RUN = ROOT / "configs" / "susceptibility" / "synthetic.yaml"
CHIPS = ROOT / "configs" / "chips" / "eugene_rwenzori.yaml"


@pytest.fixture
def on_path(helm, monkeypatch):
    monkeypatch.setenv("PATH", f"{helm.program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LANDSLIDE_DATA", "data")


def manifests(config, steps, **settings):
    cluster = KubernetesCluster(**{"kind": "kubernetes", "image": "x:1", "name": "map"} | settings)
    text = Release(cluster, Invocation(config, ("name=b",)), steps).manifests()
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@pytest.mark.parametrize(
    ("path", "steps", "expected"),
    [
        (RUN, steps_of, ["prepare", "node", "predict", "report"]),
        (CHIPS, steps_of, ["node", "predict", "report"]),
        (RUN, lambda run: steps_of_experiment(run, 3), ["prepare", "experiment", "report"]),
    ],
    ids=["region", "chips", "experiment"],
)
def test_the_steps_of_a_run_are_the_jobs_of_the_release(on_path, path, steps, expected):
    config = load_any(path)
    rendered = manifests(path, steps(config), pipeline={"trainer": "jobset"})
    assert [problem for manifest in rendered for problem in problems(manifest)] == []
    (jobset,) = [manifest for manifest in rendered if manifest["kind"] == "JobSet"]
    assert [job["name"] for job in jobset["spec"]["replicatedJobs"]] == expected
    (run,) = [m["data"]["run.yaml"] for m in rendered if "run.yaml" in m.get("data", {})]
    assert run == path.read_text()
    words = yaml.safe_dump(jobset)
    for step in steps(config):
        for command in step.commands:
            assert f"- {command[0]}\n" in words
    assert "name=b" in words


def test_settings_of_the_cluster_are_not_those_of_its_commands():
    settings = ("seed=1", "cluster.pipeline.train.nodes=3", "common.cluster.jobs=2")
    beside = Invocation(Path("/run.yaml"), settings, Path("/cluster.yaml"))
    assert beside.words(("train",)) == ["train", "/run.yaml", "--set", "seed=1"]
    prepared = beside.words(("derive",), with_cluster=True)
    assert prepared[2:4] == ["--cluster", "/cluster.yaml"]
    assert prepared[5::2] == list(settings)
    # Where the run's own file has the cluster, its settings are the run's.
    assert Invocation(Path("/run.yaml"), settings).words(("train",))[3::2] == list(settings)


def test_a_search_is_shared_by_pods(on_path):
    """Also the models that look uphill: they come when all parts of the LLR are there."""
    config = load_any(RUN)
    rendered = manifests(RUN, steps_of_search(config, 2), pipeline={"trainer": "jobset"})
    assert [problem for manifest in rendered for problem in problems(manifest)] == []
    (jobset,) = [manifest for manifest in rendered if manifest["kind"] == "JobSet"]
    found = [
        (
            job["metadata"]["name"],
            job["spec"]["completions"],
            container["args"][0],
            "$(JOB_COMPLETION_INDEX)/2" in container["args"],
        )
        for job in jobs_of(jobset)
        for container in job["spec"]["template"]["spec"]["containers"]
    ]
    assert found == [
        ("prepare", 1, "search", False),
        ("search", 2, "search", True),
        ("uphill", 2, "search", True),
        ("report", 1, "search", False),
    ]
    after = [job.get("dependsOn") for job in jobset["spec"]["replicatedJobs"]]
    assert after[2] == [{"name": "search", "status": "Complete"}]


def test_helm_is_needed_and_what_it_refuses_is_one_line(on_path, monkeypatch):
    config = load_any(RUN)
    with pytest.raises(ConfigError, match="helm template failed: .*"):
        manifests(RUN, steps_of(config), image="")
    monkeypatch.setenv("PATH", str(Path(shutil.which("true")).parent / "none"))
    with pytest.raises(ConfigError, match="needs helm on PATH"):
        manifests(RUN, steps_of(config))


def test_jobs_of_a_run_of_chips_do_what_run_does(monkeypatch):
    monkeypatch.setenv("LANDSLIDE_DATA", "data")
    commands = [words[0] for step in steps_of(load_any(CHIPS)) for words in step.commands]
    assert commands == ["train", "predict", "evaluate", "report", "bias"]
