"""What the chart puts around torchrun: statuses and signals reach whom they are meant for."""

import subprocess
import sys
import time

from ..services.helm import CHART


def test_a_mistake_passes_through_the_launcher(tmp_path):
    # torchrun takes $$ for one $.
    for status, expected in (("exit 2", 2), ("kill -9 $$$$", 137)):
        done = subprocess.run(
            [sys.executable, CHART / "files/launch.py", "--nproc-per-node=1", "--no-python",
             "--master-port=0", "sh", "-c", status],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == expected, done.stderr


def test_a_training_told_to_end_has_time_for_its_state(tmp_path):
    training = tmp_path / "training.sh"
    training.write_text(
        "trap 'sleep 2; echo state > state; exit 143' TERM\necho > started\nsleep 60 & wait\n"
    )
    pod = subprocess.Popen(
        [sys.executable, CHART / "files/launch.py", "--nproc-per-node=1", "--no-python",
         "--master-port=0", "--shutdown-timeout=110", "sh", str(training)],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            if (tmp_path / "started").exists():
                break
            time.sleep(0.1)
        pod.terminate()
        assert pod.wait(30) not in (0, 2), "neither done nor a mistake"
        assert (tmp_path / "state").read_text() == "state\n"
    finally:
        pod.kill()
