import csv
import io

import numpy as np
import pytest

from landslide_dist.evaluation.experiment import RATES, Outcome, differences, leak_of, summarise
from landslide_dist.evaluation.table import Table
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.scores import ScoreCounts

MODELS = ("naive", "llr", "lacnn")


def counts(skill, seed):
    random = np.random.default_rng(seed)
    target = random.random(4000) < 0.1
    logit = -2.2 + skill * (target - 0.5) + 0.5 * random.normal(size=4000) * (skill > 0)
    return ScoreCounts.from_block(1 / (1 + np.exp(-logit)), target)


def outcomes(kinds=("random", "block"), partitions=2, folds=2):
    skill = {("llr", "random"): 1.0, ("lacnn", "random"): 2.0, ("llr", "block"): 0.9}
    return [
        Outcome.of(
            kind, partition, fold, model,
            {
                part: counts(skill.get((model, kind), 0.5 * (model != "naive")), seed)
                for part, seed in (("test", 10 * partition + fold), ("train", 99))
            },
        )
        for kind in kinds
        for partition in range(partitions)
        for fold in range(folds)
        for model in MODELS
    ]  # fmt: skip


def test_means_are_over_folds_and_deviations_over_partitions():
    rows = outcomes()
    summary = summarise(rows, MODELS)
    mine = [r for r in rows if (r.kind, r.model) == ("block", "llr")]
    of_partition = [
        np.mean([r.scores["test_nll"] for r in mine if r.partition == partition])
        for partition in range(2)
    ]
    mean, deviation = summary["block"]["llr"]["test_nll"]
    assert mean == pytest.approx(np.mean(of_partition))
    assert deviation == pytest.approx(np.std(of_partition))
    assert deviation > 0
    assert list(summary["random"]) == list(MODELS)
    assert len(rows[0].plain()) == 4 + 8


def test_the_leak_is_spatial_less_random():
    summary = summarise(outcomes(), MODELS)
    assert leak_of(summary) == ("random", "block")
    leak = differences(summary)["lacnn"]
    assert leak["test_auc"] == pytest.approx(
        summary["block"]["lacnn"]["test_auc"][0] - summary["random"]["lacnn"]["test_auc"][0]
    )
    assert leak["test_auc"] < -0.1 < 0 < leak["test_nll"]
    alone = summarise(outcomes(kinds=("block",)), MODELS)
    assert leak_of(alone) is None
    assert differences(alone) == {}


def test_the_table_is_the_papers_and_the_best_trained_model_is_bold():
    table = Table.of(summarise(outcomes(partitions=1), MODELS), 1)
    lines = table.markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == [
        "method",
        "random split: test err", "random split: train err", "random split: AUC",
        "block split: test err", "block split: train err", "block split: AUC",
        "block − random: test err", "block − random: AUC",
    ]  # fmt: skip
    assert [row[0] for row in cells[2:]] == list(MODELS)
    assert {len(row) for row in cells} == {9}
    naive, llr, lacnn = cells[2:]
    assert all(cell.startswith("**") for cell in lacnn[1:4])
    assert all(cell.startswith("**") for cell in llr[4:7])
    assert naive[3] == "0.500"
    assert not any("±" in cell or "*" in cell for cell in naive)
    assert lacnn[-1].startswith("−0.")
    assert lacnn[-2].startswith("+0.")


def test_the_csv_holds_all_digits_and_deviations_of_partitions():
    summary = summarise(outcomes(), MODELS)
    (*_, row) = csv.DictReader(io.StringIO(Table.of(summary, 2).csv()))
    assert row["method"] == "lacnn"
    mean, deviation = summary["block"]["lacnn"]["test_nll"]
    assert float(row["block_split_test_err"]) == mean
    assert float(row["block_split_test_err_deviation"]) == deviation
    difference = differences(summary)["lacnn"]["test_auc"]
    assert float(row["block_minus_random_AUC"]) == difference
    assert "block_minus_random_AUC_deviation" not in row


def test_what_is_undefined_is_a_dash_and_an_empty_field():
    one_class = ScoreCounts.from_block(np.full(5, 0.2), np.zeros(5))
    row = Outcome.of("block", 0, 0, "llr", {"test": one_class, "train": one_class})
    table = Table.of(summarise([row], ["llr"]), 1)
    assert table.markdown().splitlines()[-1].split("|")[-2].strip() == "–"
    assert table.csv().splitlines()[-1].endswith(",")


def test_the_kept_curve_is_the_roc_with_its_steps():
    target = np.array([1, 0, 1, 0, 0])
    found = ScoreCounts.from_block(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), target)
    row = Outcome.of("random", 0, 0, "llr", {"test": found, "train": found})
    # One of two landslides is above all others, the second below one of three.
    expected = np.where(RATES < 1 / 3, 0.5, 1.0)
    np.testing.assert_allclose(row.roc, expected)
    assert np.trapezoid(row.roc, RATES) == pytest.approx(kernel.auc(found), abs=2e-3)
