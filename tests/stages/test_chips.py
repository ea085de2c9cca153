"""A run of chips through the real command line."""

import json
import re

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from landslide_dist.config.load import load_any, load_chips
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.chips import ChipScores, Summary
from landslide_dist.inference.chips import classify
from landslide_dist.stages.chips.importing import import_landslide4sense
from landslide_dist.stages.chips.train import ChipTrainer

from ..chip_files import settings, write_chips


@pytest.fixture
def folder(tmp_path):
    return write_chips(tmp_path)


def write(folder, **own):
    (folder / "chips.yaml").write_text(yaml.safe_dump(settings(folder, **own)))
    return "chips.yaml"


def test_train_and_evaluate(command_line, folder):
    run = write(folder)
    trained = command_line("train", run)
    assert "chips: 40, 20 with a landslide; 24 train, 8 validation, 8 test" in trained.stderr
    assert "cnn is up to date" in command_line("train", run).stderr
    assert "test" in command_line("evaluate", run).stdout
    scores = json.loads((folder / "run" / "metrics.json").read_text())["models"]["cnn"]
    trainer = ChipTrainer(load_chips(folder / run))
    probability = classify(trainer.trained("cnn")[0], trainer.chips.images)
    for number, part in enumerate(("train", "validation", "test")):
        chosen = trainer.parts == number
        labels, called = trainer.chips.labels[chosen], probability[chosen] >= 0.5
        found = scores[part][0]
        assert found["accuracy"] == accuracy_score(labels, called)
        assert found["precision"] == precision_score(labels, called)
        assert found["recall"] == recall_score(labels, called)
        assert found["f1"] == f1_score(labels, called)
    assert scores["test"][0]["auc"] > 0.9
    (folder / "landslide" / "000.png").unlink()
    refused = command_line("evaluate", run, status=2)
    assert "on other chips: run train" in refused.stderr


def write_patches(folder, count=20, side=48):
    """``image_N.png`` and ``mask_N.png``; a landslide lies across the squares of each second."""
    random = np.random.default_rng(3)
    folder.mkdir()
    for number in range(count):
        image = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        mask = np.zeros((side, side), np.uint8)
        mask[10:22, 10:22] = 255 * (number % 2)
        Image.fromarray(image).save(folder / f"image_{number}.png")
        Image.fromarray(mask).save(folder / f"mask_{number}.png")
    return folder


@pytest.mark.parametrize("imported", [False, True])
def test_no_image_is_both_learnt_and_tested(tmp_path, imported):
    patches = write_patches(tmp_path / "patches")
    source = {"kind": "crops", "folder": str(patches), "size_px": 16}
    if imported:
        import_landslide4sense(patches, tmp_path / "chips", chip_px=16)
        names = {"landslide": "landslide", "other": "non_landslide"}
        found = {key: str(tmp_path / "chips" / name / "*.png") for key, name in names.items()}
        source = {"kind": "pictures", "size_px": 16, **found}
    trainer = ChipTrainer(load_chips(tmp_path / write(tmp_path, chips=source)))
    # "image_7, row 0, column 16", or ".../image_7_r000_c016.png".
    images = [re.search(r"image_\d+", name)[0] for name in trainer.chips.names]
    assert len(images) == 180
    parts = {(image, part) for image, part in zip(images, trainer.parts.tolist(), strict=True)}
    assert len(parts) == len(set(images)) == 20
    assert np.bincount(trainer.parts).tolist() == [12 * 9, 4 * 9, 4 * 9]


def test_a_model_is_of_its_division(folder):
    def fingerprint(rows=None):
        if rows is not None:
            table = "".join(f"{name},{patch}\n" for name, patch in rows)
            (folder / "chips.csv").write_text(f"file,patch\n{table}")
        return ChipTrainer(load_chips(folder / write(folder))).fingerprint("cnn")

    names = [f"{kind}/{n:03}.png" for kind in ("landslide", "other") for n in range(20)]
    alone = fingerprint()
    assert fingerprint((name, f"patch {n}") for n, name in enumerate(reversed(names))) == alone
    of_two = fingerprint((name, n // 2) for n, name in enumerate(names))
    assert of_two != alone
    assert fingerprint((name, f"other {n // 2}") for n, name in enumerate(names)) == of_two


@pytest.mark.slow
def test_an_experiment_is_the_papers_table_over_seeds(command_line, folder):
    target = folder / "target"
    for name in ("images", "masks"):
        (target / name).mkdir(parents=True)
    random = np.random.default_rng(5)
    for number in range(4):
        image = np.clip(random.normal((40, 60, 30), 10, (40, 40, 3)), 0, 255)
        mask = np.zeros((40, 40), np.uint8)
        mask[2:18, 2:18] = 255
        image[mask > 0] += [70, 10, 20]
        Image.fromarray(image.astype(np.uint8)).save(target / "images" / f"image_{number}.png")
        Image.fromarray(mask).save(target / "masks" / f"mask_{number}.png")
    crops = {"kind": "crops", "folder": str(target), "size_px": 20}
    run = write(folder, targets={"sentinel": crops}, experiment={"seeds": [0, 1]})
    command_line("experiment", run)
    results = json.loads((folder / "run" / "experiment.json").read_text())
    rows = results["models"]["cnn"]
    assert list(rows) == ["train", "validation", "test", "sentinel", "sentinel, matched"]
    assert [entry["landslides"] for entry in rows["sentinel"]] == [4, 4]
    assert rows["sentinel"] != rows["sentinel, matched"]
    page = (folder / "run" / "experiment.html").read_text()
    assert page.count("<img") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    table = (folder / "run" / "table1.csv").read_text().splitlines()
    assert len(table) == 6
    assert table[0].startswith("model,tested_on,seeds,chips,landslides,accuracy,accuracy_low")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.ckpt")}
    command_line("experiment", run)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert json.loads((folder / "run" / "experiment.json").read_text()) == results
    # Other chips of a target are scored, whatever was kept.
    Image.fromarray(mask.T * 0).save(target / "masks" / "mask_3.png")
    command_line("experiment", run)
    rows = json.loads((folder / "run" / "experiment.json").read_text())["models"]["cnn"]
    assert [entry["landslides"] for entry in rows["sentinel"]] == [3, 3]
    assert rows["test"] == results["models"]["cnn"]["test"]


def test_scores_of_nothing_found_are_not_numbers():
    labels = np.array([1, 0, 0], np.uint8)
    scores = ChipScores.of(labels, np.zeros(3, np.float32))
    assert (scores.accuracy, scores.recall) == (2 / 3, 0)
    assert np.isnan(scores.precision)
    assert scores.to_dict()["precision"] is None
    assert ChipScores.of(labels[1:], np.zeros(2, np.float32)).to_dict()["auc"] is None


def test_intervals_over_seeds_are_students():
    found = Summary.of([0.5, 0.6, 0.7], 0.95)
    # t of 2 degrees of freedom at 97.5 % is 4.3027; the error of the mean is 0.1 / sqrt(3).
    assert found.mean == pytest.approx(0.6)
    assert found.high - found.mean == pytest.approx(4.30265 * 0.1 / np.sqrt(3), rel=1e-5)
    assert np.isnan(Summary.of([0.5], 0.95).low)
    assert str(Summary.of([], 0.95)) == "–"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {}}, "models: give at least one"),
        ({"models": {"a b": {"kind": "chip_cnn"}}}, "names are plain words"),
        ({"models": {"a": {"kind": "chip_cnn", "seen_at_m": 0.5}}}, "no coarser than the chips'"),
        ({"split": {"fractions": [0.5, 0.5, 0]}}, "are not three shares above 0"),
        ({"scenes": {"here": {"cube": {}}}}, "scenes.here.sources: Field required"),
        ({"bias": {"catalog": "x.csv", "model": "cnn", "regions": {}, "periods": {}}}, "periods"),
    ],
)
def test_mistakes_in_the_file_name_the_field(folder, change, message):
    with pytest.raises(ConfigError) as caught:
        load_any(folder / write(folder, **change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_kind_of_run_is_named(command_line, folder, smoke):
    run = write(folder)
    refused = command_line("ingest", run, status=2)
    assert "is a run of chips; this command takes the run of one region" in refused.stderr
    region = command_line.write(smoke)
    with pytest.raises(ConfigError, match="is the run of one region; this command takes a run of"):
        load_chips(folder / region)


@pytest.mark.slow
def test_two_processes_train_the_classifier_of_one(command_line, folder):
    losses = {}
    for processes in (1, 2):
        own = settings(folder)["models"]["cnn"] | {"augment": {}}
        run = write(
            folder,
            run_dir=str(folder / f"run{processes}"),
            models={"cnn": own},
            training={"accelerator": "cpu", "devices": processes},
        )
        command_line("train", run)
        history = folder / f"run{processes}" / "models" / "cnn" / "history.json"
        losses[processes] = [e["train_loss"] for e in json.loads(history.read_text())]
    assert losses[1][-1] < losses[1][0] / 2
    assert losses[2] == pytest.approx(losses[1], rel=1e-5)
