"""What a run says of itself: on a terminal, in a batch log, to programs, to Prometheus."""

import io
import json
import socket
import urllib.request

import pytest

from landslide_dist import progress, telemetry
from landslide_dist.errors import ConfigError
from landslide_dist.progress import Messages, duration, stage, track

pytest.importorskip("prometheus_client")


@pytest.fixture
def said(monkeypatch):
    """What is written, not to a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "console", Messages(file=stream, soft_wrap=True))
    return stream


@pytest.fixture
def served():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    telemetry.serve(port)
    yield f"http://127.0.0.1:{port}/metrics"
    telemetry._gauges = None


def test_a_batch_log_gets_a_line_now_and_then(said, monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", -1.0)
    assert list(track(iter("abc"), "derive", total=3)) == ["a", "b", "c"]
    assert said.getvalue().splitlines()[-1] == "derive: 3/3, about 0 s left"


def test_a_json_log_is_an_object_a_line(said, monkeypatch):
    monkeypatch.setenv("LANDSLIDE_LOG", "json")
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", -1.0)

    @stage
    def map_event():
        progress.console.print("[bold]10 °C[/bold], a/b", markup=True)
        progress.console.print("[plain]", markup=False)
        list(track(iter("a"), "blocks", total=1))

    map_event()
    first, second, third = map(json.loads, said.getvalue().splitlines())
    assert first["message"] == "10 °C, a/b"
    assert second["message"] == "[plain]"
    assert (first["stage"], first["rank"]) == ("map event", 3)
    assert (third["work"], third["done"], third["total"]) == ("blocks", 1, 1)
    assert progress.stage_name.get() == ""


def test_a_stage_tells_what_it_took_on_the_first_rank(said, monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "_WORTH_A_LINE_S", -1.0)

    @stage
    def write(size):
        (tmp_path / "file").write_bytes(b"0" * size)
        return size

    assert write(3 * 2**20) == 3 * 2**20
    line = said.getvalue().strip()
    assert line.startswith("write: 0 s, files: ")
    assert " 3 MiB written; peak memory " in line
    monkeypatch.setenv("RANK", "1")
    write(1)
    assert said.getvalue().strip() == line


def test_prometheus_reads_how_far_the_work_is(said, served):
    for _ in track(iter(range(2)), "ingest", total=5):
        pass
    telemetry.gauge("loss", 0.25, model="llr", part="val")
    with urllib.request.urlopen(served) as answer:
        page = answer.read().decode()
    assert 'landslide_dist_done{work="ingest"} 2.0' in page
    assert 'landslide_dist_total{work="ingest"} 5.0' in page
    assert 'landslide_dist_loss{model="llr",part="val"} 0.25' in page


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"--metrics-port \d+: .*; give one that is free"):
            telemetry.serve(taken.getsockname()[1])


def test_nothing_is_kept_where_nobody_asks():
    telemetry.gauge("done", 1, work="x")
    assert telemetry._gauges is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (425, "7 min 5 s"), (12000, "3 h 20 min")],
)
def test_durations_are_those_of_people(seconds, expected):
    assert duration(seconds) == expected
