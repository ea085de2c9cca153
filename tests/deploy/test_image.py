"""The image, as far as it goes without an engine: its text, and its steps in a fresh place."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
NOBODY = 65534


@pytest.fixture(scope="module")
def instructions():
    """Pairs of word and rest, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def stages(instructions):
    """Instructions of each stage; those before the first are left out."""
    found = []
    for word, rest in instructions:
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def test_every_base_is_pinned(instructions):
    defaults = dict(rest.split("=", 1) for word, rest in instructions if word == "ARG")
    bases = [rest.split()[0] for word, rest in instructions if word == "FROM"]
    assert len(bases) == 2
    for base in bases:
        image = re.sub(r"\$\{(\w+)\}", lambda m: defaults[m[1]], base)
        assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", image), image


def test_the_image_runs_as_a_plain_user(stages):
    final = dict(stages[-1])
    user, group = map(int, final["USER"].split(":"))
    assert user > 0
    assert group > 0
    assert final["ENTRYPOINT"] == '["landslide-dist"]'
    assert [rest for word, rest in stages[-1] if word == "COPY"] == [
        "--from=build /opt/venv /opt/venv"
    ], "no sources, no build tools"
    after = [word for word, _ in stages[-1]]
    assert "RUN" not in after[after.index("USER") :]


def test_the_build_names_what_exists(stages):
    """Extras, torch and copied folders are those of the project; no registry is named."""
    build = stages[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    arguments = dict(rest.split("=", 1) for word, rest in build if word == "ARG")
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert f"torch=={arguments['TORCH_VERSION']}" in (ROOT / "Makefile").read_text()
    assert arguments["TORCH_INDEX"] == ""
    copied = [shlex.split(rest)[:-1] for word, rest in build if word == "COPY"]
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists(), source
    assert "://" not in DOCKERFILE.read_text()
    runs = " ".join(rest for word, rest in build if word == "RUN")
    environment = next(rest for word, rest in build if word == "ENV")
    assert "PIP_NO_CACHE_DIR=1" in environment
    assert runs.count("pip install") == 2


@pytest.mark.slow
def test_the_wheel_runs_from_a_fresh_place(stages):
    """The build's pip commands by a plain user; dependencies come from this environment."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _copy_of_the_sources(stages, folder / "src")
        commands = [rest for word, rest in stages[0] if word == "RUN" and "torch" not in rest]
        user = _plain_user()
        if user:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "EXTRAS": "chips",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

        def run(command, **more):
            words = ["sh", "-c", command] if isinstance(command, str) else command
            done = subprocess.run(
                [*user, *words], cwd=folder / "src", env=environment | more,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done

        made, wheel, install = commands
        assert "venv" in made
        assert "pip wheel" in wheel
        assert "pip install" in install
        for command in (made, wheel, install.replace("pip install", "pip install --no-deps")):
            run(command.replace("/opt/venv", f"{folder}/venv").replace("/dist", f"{folder}/dist"))
        packages = next(Path(p) for p in sys.path if p.endswith("site-packages"))
        program = folder / "venv/bin/landslide-dist"
        (folder / "src/landslide_dist").rename(folder / "gone")
        shown = run([program, "--help"], PYTHONPATH=str(packages))
        assert "ingest" in shown.stdout
        config = ROOT / "configs/susceptibility/synthetic.yaml"
        printed = folder / "run.yaml"
        shutil.copy(config, printed)
        shown = run([program, "ingest", printed, "--print-config"], PYTHONPATH=str(packages))
        assert "name: synthetic" in shown.stdout
        where = run(
            [folder / "venv/bin/python", "-c", "import landslide_dist as l; print(l.__file__)"],
            PYTHONPATH=str(packages),
        )
        installed = Path(where.stdout.strip()).parent
        assert installed.is_relative_to(folder / "venv")
        sources = {p.relative_to(ROOT) for p in (ROOT / "landslide_dist").rglob("*") if _ships(p)}
        missing = [p for p in sources if not (installed.parent / p).exists()]
        assert not missing, "pages, code lists, the demo's settings"


def _plain_user():
    """Words before a command that take root's rights from it, but for reading this environment."""
    if os.geteuid() != 0:
        return []
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
             "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # fmt: skip
    if shutil.which("setpriv") is None or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("started by root, whose rights setpriv cannot take away here")
    return words


def _ships(path):
    return path.is_file() and path.suffix in (".py", ".j2", ".yaml", ".typed")


def _copy_of_the_sources(stages, target):
    target.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for word, rest in stages[0]:
        if word != "COPY":
            continue
        *names, _ = shlex.split(rest)
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, target / name)
