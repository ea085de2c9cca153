"""``doctor`` through the real command line: what it finds, what it says, how it ends."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from distributed import LocalCluster

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import load, load_any
from landslide_dist.errors import ConfigError
from landslide_dist.stages.doctor.check import guarded
from landslide_dist.stages.doctor.cubes import cubes
from landslide_dist.stages.doctor.examine import doctor as stage
from landslide_dist.stages.doctor.machine import Limits, cores, open_files
from landslide_dist.stages.doctor.needs import Needs
from landslide_dist.stages.ingest import ingest
from landslide_dist.store import cube as store_cube
from landslide_dist.store.lock import Holder, hold
from landslide_dist.store.lock_file import open_lock_file

from ..chip_files import scene, write_chips, write_scene
from ..chip_files import settings as chip_settings
from ..services import kube_api

REGION = {
    "name": "region",
    "run_dir": "run",
    "cube": {"location": "store/cube.zarr", "storage": {"chunk_px": 32, "shard_px": 96}},
    "sources": {"synthetic": {"seed": 1, "height": 100, "width": 120}},
    "models": {"llr": {"kind": "llr", "epochs": 1}},
}


GPU = "training.accelerator=gpu"
MAIN = "from landslide_dist.cli import main; main()"


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """Looks at a run, and gives the checks by name; ``healthy``: whether none is to fail."""
    monkeypatch.chdir(tmp_path)

    def look(settings, *overrides, healthy=True):
        Path("run.yaml").write_text(yaml.safe_dump(settings))
        assert stage(load_any("run.yaml", overrides), "result.json") == healthy
        return checked(json.loads(Path("result.json").read_text()), capsys.readouterr().out)

    return look


@pytest.fixture
def doctor_command(command_line):
    """The same by the real command, which ends with a status."""

    def look(settings, *overrides, status=0):
        run = command_line.write(settings)
        done = command_line("doctor", run, "--json", "result.json", *overrides, status=status)
        assert "Traceback" not in done.stdout + done.stderr
        found = json.loads((command_line.folder / "result.json").read_text())
        return checked(found, done.stdout)

    return look


def checked(found, printed):
    """Checks by name, once all are known to be whole and printed."""
    for check in found:
        assert bool(check["remedy"]) == (check["status"] != "ok"), check
        assert f"{check['status']:<4}  {check['name']}: {check['found']}" in printed
        assert check["remedy"] in printed
    named = {check["name"]: check for check in found}
    assert len(named) == len(found)
    return named


def files_of(folder):
    return {path: path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}


def test_a_healthy_run_has_no_failures_and_is_left_as_it_was(command_line, doctor_command):
    run = command_line.write(REGION)
    command_line("ingest", run)
    command_line("derive", run)
    there = files_of(command_line.folder / "store")
    checks = doctor_command(REGION)
    assert files_of(command_line.folder / "store") == there
    assert {check["status"] for check in checks.values()} <= {"ok", "warn"}
    assert "100 x 120 px" in checks["cube store/cube.zarr"]["found"]
    assert checks["cube store/cube.zarr, progress"]["found"] == "ingested and derived"
    assert "zarr 3" in checks["packages"]["found"]
    store = f"store {command_line.folder / 'store'}"
    assert "MiB/s read" in checks[f"{store}, writing"]["found"]
    assert checks[f"{store}, locks"]["status"] == "ok"


def test_a_run_that_is_half_done(doctor, tmp_path):
    before = doctor(REGION)
    assert before["cube store/cube.zarr"]["found"] == "is not there yet"
    assert not (tmp_path / "store").exists(), "nothing is made by looking"
    ingest(load("run.yaml"))
    half = doctor(REGION)["cube store/cube.zarr, progress"]
    assert half["status"] == "warn"
    assert "derive has done 0 of 4 blocks" in half["found"]
    assert half["remedy"] == "landslide-dist derive CONFIG goes on"


def test_without_a_run_only_the_machine_and_json_on_standard_output(command_line):
    done = command_line("doctor", "--json", "-")
    names = [check["name"] for check in json.loads(done.stdout)]
    assert {"Python", "packages", "memory", "cores", "open files", "torch"} <= set(names)
    assert not [name for name in names if name.startswith(("store", "cube", "input", "cluster"))]
    assert "ok    Python: 3." in done.stderr
    assert "give its CONFIG" in command_line("doctor", "--set", "a.b=1", status=2).stderr


def test_a_config_that_cannot_be_read_is_a_mistake_of_its_own(command_line):
    assert "cannot be read" in command_line("doctor", "missing.yaml", status=2).stderr


def test_a_gpu_that_is_not_there(doctor, doctor_command):
    check = doctor_command(REGION, "--set", GPU, status=1)["training.accelerator"]
    assert check["status"] == "fail"
    assert "training.accelerator=auto" in check["remedy"]
    # A login node submits; it need not have one.
    slurm = {**REGION, "cluster": {"kind": "kubernetes", "image": "registry.example/image"}}
    submits = doctor(slurm, GPU, healthy=False)["training.accelerator"]
    assert submits["status"] == "warn"


def test_settings_that_cost_time_or_memory(doctor, doctor_command):
    settings = {**REGION, "training": {"precision": "bf16-mixed", "host_memory_gib": 1e6,
                                       "devices": 500}}  # fmt: skip
    settings["cluster"] = {"kind": "local", "workers": 1000, "memory_gib": 1000}
    checks = doctor(settings)
    for name in ("training.precision", "memory of training", "training.devices",
                 "memory of derive"):  # fmt: skip
        assert checks[name]["status"] == "warn", name
    small = {**settings, "cluster": {"kind": "local", "memory_gib": 0.1}}
    assert "cluster.memory_gib" in doctor(small, healthy=False)["memory of derive"]["remedy"]
    workers = doctor_command(REGION, "--set", "training.workers=1")
    assert "started by forkserver, which works" in workers["processes"]["found"]


def test_damaged_cubes(doctor, tmp_path):
    doctor(REGION)
    ingest(load("run.yaml"))
    cube = tmp_path / "store" / "cube.zarr"
    (shard,) = [p for p in (cube / "elevation").rglob("0/0") if p.is_file()]
    shard.write_bytes(shard.read_bytes()[:100])
    damaged = doctor(REGION, healthy=False)["cube store/cube.zarr"]
    assert damaged["status"] == "fail"
    assert "damaged shard" in damaged["found"]
    assert "make it again" in damaged["remedy"]
    (cube / "zarr.json").write_text((cube / "zarr.json").read_text()[:-200])
    assert doctor(REGION, healthy=False)["cube store/cube.zarr"]["status"] == "fail"


def test_a_cube_that_ingest_refuses(doctor):
    name, other = "cube store/cube.zarr", "sources.synthetic.seed=99"
    doctor(REGION)
    config = load("run.yaml")
    ingest(config)
    refusal = {
        "name": f"{name}, inputs",
        "status": "fail",
        "found": "it was ingested from other inputs or settings",
        "remedy": "landslide-dist ingest CONFIG --overwrite replaces it; "
        "or give another cube.location",
    }
    for whole in (True, False):
        store_cube.add_variables(
            config.cube.location, [], config.cube.storage, attrs={"ingested": whole}
        )
        same = doctor(REGION)
        assert f"{name}, inputs" not in same
        assert ("ingest has done 4 of 4" in same[f"{name}, progress"]["found"]) == (not whole)
        refused = doctor(REGION, other, healthy=False)
        assert refused[f"{name}, inputs"] == refusal
        assert f"{name}, progress" not in refused
        with pytest.raises(ConfigError, match="was ingested from other inputs or settings"):
            ingest(load("run.yaml", [other]))


def test_a_scene_of_geotiff_bands_is_healthy(doctor, tmp_path):
    """Its files state a CRS, which need not be given beside them."""
    shape, file = (40, 40), tmp_path / "scene.tif"
    write_scene(file, shape)
    doctor(chip_settings(write_chips(tmp_path), scenes={"here": scene(file, shape)}))


def test_a_cube_whose_inputs_have_changed_or_are_gone(tmp_path):
    shape, file = (40, 40), tmp_path / "scene.tif"
    write_scene(file, shape)
    settings = chip_settings(write_chips(tmp_path), scenes={"here": scene(file, shape)})
    config = ChipsConfig.model_validate(settings)
    run = config.scene("here", None)
    ingest(run)

    def look():
        checks = {check.name: check for check in cubes(Needs.of(config))}
        name = f"cube {run.cube.location}"
        return checks.get(f"{name}, inputs"), checks.get(f"{name}, progress")

    inputs, progress = look()
    assert inputs is None
    assert progress.found == "ingested"
    write_scene(file, shape, seed=1)
    inputs, progress = look()
    assert (inputs.status, progress) == ("fail", None)
    assert inputs.found == "it was ingested from other inputs or settings"
    assert "run CONFIG --overwrite" in inputs.remedy
    file.unlink()
    inputs, progress = look()
    assert inputs.status == "warn"
    assert inputs.found.startswith("cannot tell")
    assert str(file) in inputs.found
    assert progress.found == "ingested"
    settings["scenes"]["here"]["sources"]["reflectance"].pop("boa_offset")
    write_scene(file, shape)
    config = ChipsConfig.model_validate(settings)
    inputs, _ = look()
    assert inputs.status == "fail"
    assert "boa_offset" in inputs.found + inputs.remedy


def test_a_lock_that_another_run_holds(doctor):
    location = REGION["cube"]["location"]
    with hold(location, "derive"):
        held = doctor(REGION)["cube store/cube.zarr, lock"]
    assert held["status"] == "warn"
    assert f"`derive` on {socket.gethostname()} (process {os.getpid()})" in held["found"]
    dead = replace(Holder.here("derive"), machine="another", seen=time.time() - 1000)
    open_lock_file(location).create(dead.content())
    assert doctor(REGION)["cube store/cube.zarr, lock"]["status"] == "ok"


def test_input_files_by_their_headers(doctor, tmp_path):
    folder = tmp_path
    (folder / "slides.csv").write_text("x,y\n1,2\n")
    (folder / "geology.gpkg").write_bytes(b"not a geopackage")
    polygons = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    ]}  # fmt: skip
    (folder / "area.geojson").write_text(json.dumps(polygons))
    settings = {**REGION, "sources": {
        "elevation": {"path": "dem.tif"},
        "categorical": {"lithology": {"source": {"kind": "vector", "path": "geology.gpkg"}}},
        "inventory": {"kind": "points", "path": "slides.csv", "crs": "EPSG:32632", "label": "kind"},
        "study_area": {"kind": "vector", "path": "area.geojson"},
    }}  # fmt: skip
    settings["cube"] = {**REGION["cube"], "grid": {"like": "dem.tif"}}
    checks = doctor(settings, healthy=False)
    for name, word in [
        ("input sources.elevation", "dem.tif"),
        ("input cube.grid", "dem.tif"),
        ("input sources.categorical.lithology.source", "geology.gpkg"),
        ("input sources.inventory", "has no column kind"),
    ]:
        assert checks[name]["status"] == "fail", name
        assert word in checks[name]["found"]
    assert checks["input sources.study_area"]["found"] == "area.geojson, 1 features"


def test_every_kind_of_run_is_looked_at(doctor, tmp_path):
    chips = doctor(chip_settings(write_chips(tmp_path)))
    assert "20 of" in chips["input chips"]["found"]
    event = {"sources": {"synthetic": {"height": 64, "width": 64, "event": {}}}}
    events = {"name": "events", "run_dir": "run", "events": {"one": event, "two": event},
              "experiments": ["combined"], 
              "common": {"training": {"accelerator": "gpu"}}}  # fmt: skip
    checks = doctor(events, healthy=False)
    assert checks["training.accelerator"]["status"] == "fail"
    assert [name for name in checks if name.startswith("cube")] == [
        "cube run/events/one/10m/cube.zarr",
        "cube run/events/two/10m/cube.zarr",
    ]


def test_places_that_cannot_be_written(doctor):
    settings = {**REGION, "run_dir": "s3://bucket/run"}
    settings["cube"] = {**REGION["cube"], "location": "/proc/cube.zarr"}
    checks = doctor(settings, healthy=False)
    assert checks["run_dir"]["status"] == "fail"
    assert "folder that you may write to" in checks["store /proc, writing"]["remedy"]
    checks = doctor(REGION, "cube.location=ftp://host/cube.zarr", healthy=False)
    assert "scheme 'ftp'" in checks["store ftp://host"]["found"]


def test_few_open_files(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
        (few,) = open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert few.status == "warn"
    assert few.remedy.startswith("ulimit -n ")
    program = f"ulimit -S -n 900; exec {sys.executable} -c '{MAIN}' doctor"
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "fail  open files: up to 900 at a time\n      ulimit -n " in done.stdout
    assert done.returncode == 1


def test_packages_that_break_an_installation(tmp_path):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms')")
    old = tmp_path / "zarr-2.0.0.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 2.0.0\n")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "doctor"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "fail  torchvision: cannot be imported" in done.stdout
    assert "operator torchvision::nms" in done.stdout
    assert "pip uninstall torchvision" in done.stdout
    assert "fail  package zarr: 2.0.0 is installed, >=3.1.6 is needed" in done.stdout


def test_limits_of_control_groups(tmp_path, monkeypatch):
    inner = tmp_path / "job" / "step"
    inner.mkdir(parents=True)
    (tmp_path / "job" / "memory.max").write_text("2147483648\n")
    (tmp_path / "job" / "cpu.max").write_text("150000 100000\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "cpu.max").write_text("max 100000\n")
    limits = Limits.read(tmp_path, "/job/step")
    assert limits == Limits(2 * 2**30, 1.5)
    old = tmp_path / "old"
    for name, content in [("memory/memory.limit_in_bytes", "1000"), ("cpu/cpu.cfs_quota_us", "-1"),
                          ("cpu/cpu.cfs_period_us", "100000")]:  # fmt: skip
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(content)
    assert Limits.read(old, "/") == Limits(1000, None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads, waiting = cores(limits)
    assert threads.status == waiting.status == "warn"
    assert threads.remedy == f"export OMP_NUM_THREADS={min(2, len(os.sched_getaffinity(0)))}"


def test_a_look_that_crashes_is_a_failure_after_what_it_found():
    def look():
        yield from guarded("inner", lambda: [])
        raise KeyError("x")

    (check,) = guarded("outer", look)
    assert check.status == "fail"
    assert "KeyError" in check.found


def test_a_scheduler_that_is_not_there(doctor):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    settings = {**REGION, "cluster": {"kind": "address", "address": address}}
    start = time.monotonic()
    check = doctor(settings, healthy=False)["cluster"]
    assert time.monotonic() - start < 60
    assert "no Dask scheduler answers" in check["found"]
    assert "cluster.address" in check["remedy"]


def test_a_scheduler_that_is_there(doctor):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0",
        protocol="tcp", host="127.0.0.1",
    ) as running:  # fmt: skip
        settings = {**REGION, "cluster": {"kind": "address", "workers": 1,
                                          "address": running.scheduler_address}}  # fmt: skip
        checks = doctor(settings)
        assert checks["cluster, scheduler"]["status"] == "ok"
        assert checks["cluster, versions"]["status"] == "ok"
        assert checks["cluster, workers"]["found"].startswith("1 with landslide-dist")
        assert ("cluster, profiler" in checks) == (sys.version_info < (3, 12))
        settings["cluster"]["workers"] = 3
        assert "1 of 3" in doctor(settings)["cluster, number of workers"]["found"]


def test_slurm_without_its_commands(doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm = {"kind": "slurm", "interface": "ib99"}
    checks = doctor({**REGION, "cluster": slurm}, healthy=False)
    assert "login node" in checks["cluster, commands"]["remedy"]
    assert "'ib99'" in checks["cluster, interface"]["found"]


@pytest.mark.slurm
def test_partitions_of_a_real_slurm(doctor, slurm, monkeypatch):
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    settings = {**REGION, "cluster": {"kind": "slurm", "partition": "cpu"}}
    assert doctor(settings)["cluster, partition"]["found"] == "'cpu' is up"
    settings["cluster"]["partition"] = "gpu"
    missing = doctor(settings, healthy=False)["cluster, partition"]
    assert missing["remedy"] == "set cluster.partition to one of cpu"
    monkeypatch.setenv("SLURM_CONF", "/nowhere")
    silent = doctor(settings, healthy=False)["cluster"]
    assert silent["found"].startswith("sinfo")
    assert "login node" in silent["remedy"]


@pytest.mark.slow
def test_kinds_of_a_kubernetes_cluster(command_line, doctor_command, monkeypatch):
    kubernetes = {"kind": "kubernetes", "image": "registry.example/image"}

    def look(server, status):
        (command_line.folder / "kube").write_text(json.dumps(server.kube_config()))
        command_line.environment["KUBECONFIG"] = "kube"
        return doctor_command({**REGION, "cluster": kubernetes}, status=status)

    with kube_api.kube_api() as server:
        bare = look(server, 1)
    assert bare["cluster, operator"]["status"] == "fail"
    assert "helm install" in bare["cluster, operator"]["remedy"]
    assert bare["cluster, trainer"]["status"] == "warn"
    groups = {"kubernetes.dask.org/v1": "DaskCluster", "trainer.kubeflow.org/v1alpha1": "TrainJob"}
    listed = [{"name": v.split("/")[0], "versions": [{"groupVersion": v}]} for v in groups]
    monkeypatch.setitem(kube_api.ABOUT, "/apis", {"groups": listed})
    for version, kind in groups.items():
        resource = {"name": kind.lower() + "s", "kind": kind, "namespaced": True}
        monkeypatch.setitem(kube_api.ABOUT, f"/apis/{version}", {"resources": [resource]})
    with kube_api.kube_api() as server:
        whole = look(server, 0)
    assert whole["cluster, operator"]["status"] == whole["cluster, trainer"]["status"] == "ok"
    assert "no Kubernetes cluster answers" in look(server, 1)["cluster"]["found"]
