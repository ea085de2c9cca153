"""``doctor`` on a real S3 server: who may do what, and what nobody is shown."""

import json

import fsspec
import pytest

from landslide_dist.config.load import validate
from landslide_dist.stages.doctor.examine import doctor
from landslide_dist.store.location import filesystem

pytestmark = pytest.mark.s3

FOLDER = "s3://landslides/test"


@pytest.fixture
def look(tmp_path, capsys):
    """Gives the checks of a cube's place by name, the rest aside, and what was printed."""

    def checks(folder=FOLDER):
        tree = {
            "name": "region",
            "run_dir": str(tmp_path / "run"),
            "cube": {"location": f"{folder}/cube.zarr"},
            "sources": {"synthetic": {"height": 64, "width": 64}},
        }
        healthy = doctor(validate(tree, "test"), str(tmp_path / "result.json"))
        found = json.loads((tmp_path / "result.json").read_text())
        assert healthy == (not [c for c in found if c["status"] == "fail"])
        printed = capsys.readouterr()
        assert "secret-12345" not in printed.out + printed.err
        start = f"store {folder}, "
        return {c["name"].removeprefix(start): c for c in found if c["name"].startswith(start)} | {
            "healthy": healthy
        }

    return checks


def left():
    fs, path = filesystem("s3://landslides")
    fs.invalidate_cache()
    return fs.find(path)


def test_a_store_that_may_be_written(identity, look):
    before = left()
    checks = look()
    assert checks.pop("healthy")
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert set(checks) == {"credentials", "reading", "writing", "locks"}
    assert "by env; set are AWS_ACCESS_KEY_ID" in checks["credentials"]["found"]
    assert left() == before


def test_wrong_keys(identity, look):
    identity(("nobody", "wrong-secret-12345"))
    checks = look()
    assert not checks["healthy"]
    assert "was refused" in checks["reading"]["found"]
    assert "AWS_ACCESS_KEY_ID" in checks["reading"]["remedy"]
    assert "writing" not in checks


def test_a_bucket_that_is_not_there(identity, look):
    checks = look("s3://no-such-bucket/runs")
    assert not checks["healthy"]
    assert "no-such-bucket" in checks["reading"]["found"]
    assert "bucket" in checks["reading"]["remedy"]


def test_an_identity_that_may_only_read(identity, s3_server, look):
    identity(s3_server.reader)
    checks = look()
    assert not checks["healthy"]
    assert checks["reading"]["status"] == "ok"
    assert checks["writing"]["status"] == "fail"
    assert "was refused" in checks["writing"]["found"]
    identity(s3_server.admin)
    assert not [path for path in left() if "doctor" in path]


def test_a_server_that_does_not_answer(identity, s3_server, look, monkeypatch):
    identity(s3_server.admin, "http://127.0.0.1:9")
    fsspec.config.conf["s3"] = {"config_kwargs": {"connect_timeout": 1}}
    checks = look()
    assert checks["reading"]["status"] == "fail"
    assert "127.0.0.1:9" in checks["reading"]["found"]
