"""The chart: what it renders is what a cluster takes, and what the command line understands."""

import copy

import pytest
import typer
import yaml
from pydantic import TypeAdapter

from landslide_dist.cli.app import app
from landslide_dist.cluster.resource import cluster_spec
from landslide_dist.cluster.steps import ON_DASK
from landslide_dist.config import load
from landslide_dist.config.cluster import ClusterConfig, KubernetesCluster

from ..services.helm import CHART, jobs_of, problems
from .variants import BASE, CLUSTER, EVENTS, REGION, VARIANTS, merged

for _package in ("jsonschema", "kubernetes_validate", "kubeflow_trainer_api", "dask_kubernetes"):
    pytest.importorskip(_package)

TORCHRUN = ["python", "/config/launch.py"]


def of_kind(manifests, kind):
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def containers_of(manifests):
    """Containers of all jobs, once each."""
    found = [m for m in manifests if m["kind"] in ("JobSet", "TrainingRuntime")][:1]
    return [
        (job["metadata"]["name"], container)
        for job in jobs_of(found[0])
        for pod in [job["spec"]["template"]["spec"]]
        for container in pod.get("initContainers", []) + pod["containers"]
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_manifest_is_valid(helm, values, name):
    options = values(VARIANTS[name])
    linted = helm.run("lint", "--strict", CHART, *options)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    manifests = helm.manifests(*options)
    for manifest in manifests:
        assert problems(manifest) == []
    kinds = {manifest["kind"] for manifest in manifests}
    as_trainjob = name in ("trainjob", "gpus")
    assert ("TrainJob" in kinds, "JobSet" in kinds) == (as_trainjob, not as_trainjob)
    assert ("DaskCluster" in kinds) == (name != "no training")


@pytest.mark.parametrize("trainer", ["trainjob", "jobset"])
@pytest.mark.parametrize("steps", ["default", "parts"])
def test_the_shipped_file_works(helm, values, trainer, steps, monkeypatch):
    monkeypatch.setenv("LANDSLIDE_IMAGE", "registry.example/landslide-dist:0.1.0")
    shipped = load(REGION, cluster=CLUSTER).cluster.model_dump(mode="json")
    own = {"pipeline": {"trainer": trainer}}
    if steps == "parts":
        own["steps"] = VARIANTS[steps]["steps"]
    for manifest in helm.manifests(*values(merged(shipped, own))):
        assert problems(manifest) == []
    # As it stands Helm takes it too; only the names in ${} stay as they are.
    helm.manifests("-f", CLUSTER, "--set-file", f"run={REGION}")


def test_every_validator_sees_a_misspelt_field(helm, values):
    manifests = helm.manifests(*values()) + helm.manifests(*values(VARIANTS["jobset"]))
    spoilt = {}
    for manifest in manifests:
        bad = copy.deepcopy(manifest)
        bad.setdefault("spec", bad)["misspelt"] = 1
        spoilt[manifest["kind"]] = problems(bad)
    assert len(spoilt) == 6
    assert all(spoilt.values()), spoilt
    for kind in ("JobSet", "TrainingRuntime"):
        (bad, *_) = copy.deepcopy(of_kind(manifests, kind))
        container = jobs_of(bad)[0]["spec"]["template"]["spec"]["containers"][0]
        container["imagePullPolice"] = "Always"
        found = problems(bad)
        assert any("imagePullPolice" in p and p.startswith("Job:") for p in found), "the core one"
        assert not all(p.startswith("Job:") for p in found), "and that of the resource itself"


def test_the_dask_cluster_is_that_of_the_package(helm, values):
    changes = {
        "env": {"HTTPS_PROXY": "http://proxy:3128"},
        "threads_per_worker": 3,
        "cores": 2.5,
        "memory_gib": 8.5,
        "idle_timeout_s": 1000000,
    }
    config = TypeAdapter(ClusterConfig).validate_python(merged(BASE, changes))
    (rendered,) = of_kind(helm.manifests(*values(changes)), "DaskCluster")
    rendered["metadata"] = {"name": rendered["metadata"]["name"]}
    for role in ("worker", "scheduler"):
        pod = rendered["spec"][role]["spec"]
        claim = pod["volumes"].pop(1)
        assert claim["persistentVolumeClaim"] == {"claimName": "landslide-dist"}
        (container,) = pod["containers"]
        assert container["volumeMounts"].pop(1) == {"name": claim["name"], "mountPath": "/work"}
        assert container.pop("workingDir") == "/work"
    assert rendered == cluster_spec(config)


def test_a_name_is_in_an_environment_once(helm, values):
    manifests = helm.manifests(*values({"env": {"HOME": "/x", "OMP_NUM_THREADS": "9", "A": "b"}}))
    (dask,) = of_kind(manifests, "DaskCluster")
    pods = [dask["spec"][role]["spec"]["containers"][0] for role in ("worker", "scheduler")]
    for container in pods + [container for _, container in containers_of(manifests)]:
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names)), "server-side apply refuses a list with a key twice"
        assert {"name": "HOME", "value": "/tmp"} in container["env"]
        assert "A" in names


@pytest.mark.parametrize(
    ("name", "run"), [*((name, REGION) for name in VARIANTS), ("parts", EVENTS)]
)
def test_the_command_line_understands_every_container(helm, values, name, run):
    from torch.distributed.run import get_args_parser

    config = KubernetesCluster.model_validate(
        {k: v for k, v in merged(BASE, VARIANTS[name]).items()
         if k in KubernetesCluster.model_fields}
    )  # fmt: skip
    command_line = typer.main.get_command(app)
    containers = containers_of(helm.manifests(*values(VARIANTS[name], run)))
    assert containers
    for job, container in containers:
        words = [*container["command"], *container["args"]]
        words = [word.replace("$(JOB_COMPLETION_INDEX)", "1") for word in words]
        if words[:2] == TORCHRUN:
            size = config.pipeline.train if job == "node" else config.pipeline.predict
            options = get_args_parser().parse_args(words[2:])
            assert (options.nnodes, options.nproc_per_node) == (
                str(size.nodes),
                str(size.processes),
            )
            assert options.no_python
            assert options.master_addr == f"landslide-dist-{job}-0-0.landslide-dist"
            words = [options.training_script, *options.training_script_args]
            assert f"training.num_nodes={size.nodes}" in words
            assert f"training.devices={size.processes}" in words
        else:
            assert job in ("prepare", "report", "experiment")
        assert words[0] == "landslide-dist"
        assert words[2] == "/config/run.yaml"
        parsed = with_existing_files(command_line, words[1:])
        assert ("cluster" in parsed and parsed["cluster"] is not None) == (words[1] in ON_DASK)
        for setting in VARIANTS[name].get("settings", ()):
            assert setting in parsed["set_"]


def with_existing_files(command_line, words):
    """Parse a command as the program does, without running it."""
    name, *rest = words
    command = command_line.get_command(None, name)
    return command.make_context(name, rest, resilient_parsing=False).params


def test_settings_of_the_containers_fit_the_run(helm, values):
    """What the chart adds by --set is a setting that exists, also where several events share it."""
    for run, prefix in ((REGION, ""), (EVENTS, "common.")):
        containers = containers_of(helm.manifests(*values(VARIANTS["parts"], run)))
        (part,) = [c["args"] for job, c in containers if job == "experiment"]
        assert part[part.index("--set") + 1] == f"{prefix}training.devices=2"
        assert part[-2:] == ["--part", "$(JOB_COMPLETION_INDEX)/7"]
        from landslide_dist.config.load import load_any

        load_any(run, [part[part.index("--set") + 1]])


@pytest.mark.parametrize("name", VARIANTS)
def test_jobs_follow_each_other(helm, values, name):
    manifests = helm.manifests(*values(VARIANTS[name]))
    spec = next(m for m in manifests if m["kind"] in ("JobSet", "TrainingRuntime"))["spec"]
    spec = spec.get("template", {}).get("spec", spec)
    names = [job["name"] for job in spec["replicatedJobs"]]
    expected = {
        "parts": ["prepare", "experiment", "report"],
        "no training": ["predict", "report"],
    }
    assert names == expected.get(name, ["prepare", "node", "predict", "report"])
    for before, job in zip([None, *names], spec["replicatedJobs"], strict=False):
        after = [] if before is None else [{"name": before, "status": "Complete"}]
        assert job.get("dependsOn", []) == after
        assert job["replicas"] == 1
    pods = {job["name"]: job["template"]["spec"]["completions"] for job in spec["replicatedJobs"]}
    alone = dict.fromkeys(names, 1)
    wanted = {"gpus": alone | {"node": 3, "predict": 2}, "parts": alone | {"experiment": 7}}
    assert pods == wanted.get(name, alone)


def test_what_a_lost_pod_and_a_mistake_do(helm, values):
    def actions(name):
        manifests = helm.manifests(*values(VARIANTS[name]))
        (first, *_) = [m for m in manifests if m["kind"] in ("JobSet", "TrainingRuntime")]
        spec = first["spec"].get("template", {}).get("spec", first["spec"])
        found = {}
        for job in spec["replicatedJobs"]:
            lost, mistake = job["template"]["spec"]["podFailurePolicy"]["rules"]
            assert lost["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
            assert mistake["action"] == "FailJob"
            assert mistake["onExitCodes"] == {"operator": "In", "values": [2]}
            pod = job["template"]["spec"]["template"]["spec"]
            assert pod["restartPolicy"] == "Never", "a policy for failures needs it"
            found[job["name"]] = lost["action"]
        return found, spec["failurePolicy"]

    alone, policy = actions("trainjob")
    assert set(alone.values()) == {"Ignore"}
    (rule,) = policy["rules"]
    assert rule["action"] == "FailJobSet"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy", "FailedIndexes"]
    assert policy["maxRestarts"] == 20
    together, _ = actions("gpus")
    assert together == alone | {"node": "Count", "predict": "Count"}, "all start again"
    parts, _ = actions("parts")
    assert parts["experiment"] == "Ignore", "parts need each other not"


@pytest.mark.parametrize("name", VARIANTS)
def test_pods_have_few_rights_and_fixed_sizes(helm, values, name):
    manifests = helm.manifests(*values(VARIANTS[name]))
    (dask, *_) = [*of_kind(manifests, "DaskCluster"), None]
    pods = [] if dask is None else [dask["spec"][r]["spec"] for r in ("worker", "scheduler")]
    jobs = jobs_of(next(m for m in manifests if m["kind"] in ("JobSet", "TrainingRuntime")))
    pods += [job["spec"]["template"]["spec"] for job in jobs]
    account = VARIANTS[name].get("service_account")
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is (account is not None)
        assert pod.get("serviceAccountName") == account
        selector = {"pool": "spot"} if name == "gpus" else None
        assert pod.get("nodeSelector") == selector
        for container in pod.get("initContainers", []) + pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {"secretRef": {"name": "landslide-s3"}} in container["envFrom"]
            environment = {entry["name"]: entry["value"] for entry in container["env"]}
            writable = [m["mountPath"] for m in container["volumeMounts"] if "readOnly" not in m]
            assert "/tmp" in writable
            assert environment["NUMBA_CACHE_DIR"].startswith("/tmp/")
    for job, container in containers_of(manifests):
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        of_torch = name == "gpus" and job in ("node", "predict")
        assert gpus == ("4" if of_torch else None)
        if of_torch:
            assert environment["OMP_NUM_THREADS"] == "4", "16 cores, 4 processes"


def test_kubeflow_trainer_finds_the_training(helm, values):
    manifests = helm.manifests(*values(VARIANTS["gpus"]))
    (job,) = of_kind(manifests, "TrainJob")
    runtimes = of_kind(manifests, "TrainingRuntime")
    assert [r["metadata"]["name"] for r in runtimes] == [job["spec"]["runtimeRef"]["name"]] * 2
    assert len({r["metadata"]["namespace"] for r in runtimes} | {job["metadata"]["namespace"]}) == 1
    before, after = (r["metadata"]["annotations"]["helm.sh/hook"] for r in runtimes)
    assert before.startswith("pre-install"), "Trainer refuses a job whose runtime is not there"
    assert after == "post-delete", "Helm leaves what hooks have made"
    assert runtimes[0]["spec"] == runtimes[1]["spec"]
    assert runtimes[0]["spec"]["mlPolicy"] == {"numNodes": 3}, "no torch: it would add variables"
    labels = {
        job["metadata"]["name"]: job["metadata"].get("labels", {}) for job in jobs_of(runtimes[0])
    }
    step = "trainer.kubeflow.org/trainjob-ancestor-step"
    assert [name for name, found in labels.items() if found.get(step) == "trainer"] == ["node"]
    (container,) = [c for name, c in containers_of(manifests) if name == "node"]
    assert container["name"] == "node"
    (as_jobset,) = of_kind(
        helm.manifests(*values(merged(VARIANTS["gpus"], VARIANTS["jobset"]))), "JobSet"
    )
    assert as_jobset["spec"] == runtimes[0]["spec"]["template"]["spec"]


def test_the_configuration_of_the_pods(helm, values):
    (config,) = of_kind(helm.manifests(*values({"workers": 5})), "ConfigMap")
    assert yaml.safe_load(config["data"]["run.yaml"]) == yaml.safe_load(REGION.read_text())
    assert config["data"]["launch.py"] == (CHART / "files/launch.py").read_text()
    cluster = TypeAdapter(ClusterConfig).validate_python(
        yaml.safe_load(config["data"]["cluster.yaml"])
    )
    assert cluster.kind == "address"
    assert (cluster.address, cluster.workers) == ("tcp://landslide-dist-scheduler:8786", 5)
