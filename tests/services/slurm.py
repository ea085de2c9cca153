"""A real SLURM of two nodes on this machine, for the tests that are marked slurm.

Controller, node daemons and munge run in the foreground as children of the test process, with all
they write below one folder, so that stopping them leaves nothing behind. Debian's packages are
slurm-wlm and munge.
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
NODES = ("n1", "n2")

SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
SlurmdParameters=config_overrides
KillWait=2
SlurmdTimeout=60
{nodes}
PartitionName=cpu Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@dataclass(frozen=True)
class Slurm:
    """Where its settings and logs are, and what a user's shell needs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __call__(self, *command: str) -> str:
        """Run one of SLURM's commands and give its output."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    def jobs(self, state: str = "PENDING,RUNNING") -> list[str]:
        """Ids of the jobs in a state, by default all that are not done or about to end."""
        return self("squeue", "--noheader", "--format=%i", f"--states={state}").split()

    def kill(self, job_id: str) -> None:
        """``kill -9`` of all processes of a job, as when memory runs out or a node is lost."""
        mark = f"SLURM_JOB_ID={job_id}".encode()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)

    def end_jobs(self) -> None:
        """Cancel all jobs and wait until their processes have ended."""
        self("scancel", f"--user={getpass.getuser()}")
        end = time.monotonic() + 30
        while self.jobs("PENDING,RUNNING,COMPLETING") and time.monotonic() < end:
            time.sleep(0.2)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no SLURM here ({', '.join(missing)}): apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    # munge refuses a socket whose folder others cannot enter, and a key that they can read.
    folder.chmod(0o755)
    cluster = Slurm(folder)
    with _munge(folder), _daemons(cluster):
        yield cluster
        cluster.end_jobs()


@contextmanager
def _munge(folder):
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    socket_file = folder / "munge.socket"
    command = [
        "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_file}",
        f"--pid-file={folder / 'munge.pid'}", f"--seed-file={folder / 'munge.seed'}",
    ]  # fmt: skip
    with _running("munged", command, folder) as process:
        _wait(socket_file.exists, [process], folder)
        yield


@contextmanager
def _daemons(cluster):
    folder = cluster.folder
    _write_settings(folder)
    environment = {**os.environ, **cluster.environment}
    with (
        _running("slurmctld", ["slurmctld", "-D"], folder, environment) as controller,
        _running("n1", ["slurmd", "-D", "-N", "n1"], folder, environment) as first,
        _running("n2", ["slurmd", "-D", "-N", "n2"], folder, environment) as second,
    ):
        _wait(lambda: _num_idle(cluster) == len(NODES), [controller, first, second], folder)
        yield


def _write_settings(folder):
    host = socket.gethostname().partition(".")[0]
    controller_port, *node_ports = _free_ports(1 + len(NODES))
    # As many CPUs as a test may ask for, whatever this machine has.
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 "
        "RealMemory=16000 State=UNKNOWN"
        for name, port in zip(NODES, node_ports, strict=True)
    ]
    (folder / "state").mkdir()
    for name in NODES:
        (folder / "spool" / name).mkdir(parents=True)
    settings = SETTINGS.format(
        host=host,
        controller_port=controller_port,
        user=getpass.getuser(),
        folder=folder,
        nodes="\n".join(nodes),
        names=",".join(NODES),
    )
    (folder / "slurm.conf").write_text(settings)


def _free_ports(number):
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@contextmanager
def _running(name, command, folder, environment=None):
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(ready, processes, folder, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            logs = "\n".join(path.read_text()[-1000:] for path in folder.glob("*.log"))
            raise RuntimeError(f"SLURM did not start:\n{logs}")
        time.sleep(0.2)


def _num_idle(cluster):
    try:
        return len(cluster("sinfo", "--noheader", "-N", "--states=idle", "--format=%N").split())
    except subprocess.CalledProcessError:
        return 0
