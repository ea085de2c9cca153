"""Two inventories of one place: which landslides they share, and how well areas agree.

A landslide of the reference and one that was mapped are *matched* where they agree well enough,
each with one other at most, the best agreements first. Of the landslides left, one of the reference
is *merged* where most of it lies in a mapped landslide that holds most of several, *split* where
several mapped landslides lie in it for the most part, and otherwise *missed*; one that was mapped
is *merging*, a *piece* or *false* in the same way. A landslide may thus be matched and still hold
others that count as merged.

By area, precision and recall are shares of what each inventory covers; one less the intersection
over union of both is the mapping error of Galli et al. 2008 (Geomorphology 94, 268-289).
"""

from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

Criterion = Literal["iou", "overlap"]
#: Share of a landslide that is most of it.
MOST = 0.5


@dataclass(frozen=True)
class Pairs:
    """Landslides that overlap, shape (pairs,).

    Attributes:
        reference: Position in the reference.
        mapped: Position among those mapped.
        overlap_m2: Area they share.
        iou: Intersection over union.
        of_reference: Share of the landslide of the reference that is covered.
        of_mapped: Share of the mapped landslide that is right.
        outlines: What they share.
    """

    reference: NDArray[np.int64]
    mapped: NDArray[np.int64]
    overlap_m2: NDArray[np.float64]
    iou: NDArray[np.float64]
    of_reference: NDArray[np.float64]
    of_mapped: NDArray[np.float64]
    outlines: NDArray[np.object_]

    @classmethod
    def of(cls, reference: gpd.GeoSeries, mapped: gpd.GeoSeries) -> "Pairs":
        """All pairs that share area."""
        first, second = reference.to_numpy(), mapped.to_numpy()
        at_first, at_second = shapely.STRtree(second).query(first, predicate="intersects")
        shared = shapely.intersection(first[at_first], second[at_second])
        overlap_m2 = shapely.area(shared)
        there = overlap_m2 > 0
        at_first, at_second, overlap_m2 = at_first[there], at_second[there], overlap_m2[there]
        area, other = shapely.area(first)[at_first], shapely.area(second)[at_second]
        return cls(
            at_first,
            at_second,
            overlap_m2,
            overlap_m2 / (area + other - overlap_m2),
            overlap_m2 / area,
            overlap_m2 / other,
            shared[there],
        )

    def agreement(self, criterion: Criterion) -> NDArray[np.float64]:
        """How well the two of each pair agree, in [0, 1]."""
        if criterion == "iou":
            return self.iou
        return np.maximum(self.of_reference, self.of_mapped)


@dataclass(frozen=True)
class Match:
    """What became of each landslide.

    Attributes:
        reference: ``matched``, ``merged``, ``split`` or ``missed`` by landslide of the reference.
        mapped: ``matched``, ``merging``, ``piece`` or ``false`` by mapped landslide.
        pairs: Positions of the matched, shape (n, 2).
        merged: Mapped landslide -> those of the reference that it holds.
        split: Landslide of the reference -> the mapped ones in it.
    """

    reference: NDArray[np.str_]
    mapped: NDArray[np.str_]
    pairs: NDArray[np.int64]
    merged: dict[int, list[int]]
    split: dict[int, list[int]]


def match(
    pairs: Pairs, num_reference: int, num_mapped: int, criterion: Criterion, threshold: float
) -> Match:
    """Match landslides.

    Args:
        pairs: Those that overlap.
        num_reference: Landslides of the reference.
        num_mapped: Mapped landslides.
        criterion: ``iou``: intersection over union; ``overlap``: share of the smaller of the two.
        threshold: Least agreement of a match.
    """
    merged = _several(pairs.mapped, pairs.reference, pairs.of_reference)
    split = _several(pairs.reference, pairs.mapped, pairs.of_mapped)
    matched = _best_first(pairs, criterion, threshold)
    reference = np.full(num_reference, "missed", dtype="<U7")
    mapped = np.full(num_mapped, "false", dtype="<U7")
    # What is named later outweighs what is named before.
    for whole, pieces in split.items():
        reference[whole] = "split"
        mapped[pieces] = "piece"
    for whole, pieces in merged.items():
        mapped[whole] = "merging"
        reference[pieces] = "merged"
    reference[matched[:, 0]] = "matched"
    mapped[matched[:, 1]] = "matched"
    return Match(reference, mapped, matched, merged, split)


def _several(
    wholes: NDArray[np.int64], pieces: NDArray[np.int64], share: NDArray[np.float64]
) -> dict[int, list[int]]:
    """Landslides that hold most of at least two of the other inventory."""
    held: dict[int, list[int]] = {}
    inside = share >= MOST
    for whole, piece in zip(wholes[inside].tolist(), pieces[inside].tolist(), strict=True):
        held.setdefault(whole, []).append(piece)
    return {whole: sorted(found) for whole, found in sorted(held.items()) if len(found) > 1}


def _best_first(pairs: Pairs, criterion: Criterion, threshold: float) -> NDArray[np.int64]:
    agreement = pairs.agreement(criterion)
    # Among equal agreements the larger overlap, then the earlier landslides.
    order = np.lexsort((pairs.mapped, pairs.reference, -pairs.overlap_m2, -agreement))
    taken: tuple[set[int], set[int]] = (set(), set())
    found = []
    for at in order[agreement[order] >= threshold].tolist():
        one, other = int(pairs.reference[at]), int(pairs.mapped[at])
        if one not in taken[0] and other not in taken[1]:
            taken[0].add(one)
            taken[1].add(other)
            found.append((one, other))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def compare_outlines(
    reference: gpd.GeoSeries,
    mapped: gpd.GeoSeries,
    criterion: Criterion = "iou",
    threshold: float = 0.5,
) -> dict[str, Any]:
    """All numbers of the comparison of two inventories, as plain data.

    Args:
        reference: Valid polygons in a CRS in metres.
        mapped: Others in the same.
        criterion: As :func:`match` has it.
        threshold: Least agreement of a match.

    Returns:
        ``number``: landslides by what became of them, precision, recall and F1 of the matched;
        ``area``: m2 that each inventory covers and that both do, precision, recall, F1 and
        ``iou``; ``groups``: index (feature id) of the landslides that were merged or split.
    """
    pairs = Pairs.of(reference, mapped)
    found = match(pairs, len(reference), len(mapped), criterion, threshold)
    reference_m2, mapped_m2, overlap_m2 = (
        float(shapely.area(shapely.union_all(outlines)))
        for outlines in (reference.to_numpy(), mapped.to_numpy(), pairs.outlines)
    )
    reference_ids, mapped_ids = reference.index.tolist(), mapped.index.tolist()
    untouched = np.setdiff1d(np.arange(len(reference)), pairs.reference)
    return {
        "criterion": criterion,
        "threshold": threshold,
        "number": {
            "reference": _counts(found.reference, ("matched", "merged", "split", "missed")),
            "mapped": _counts(found.mapped, ("matched", "merging", "piece", "false")),
            "missed_without_overlap": len(untouched),
            **_scores(len(found.pairs), len(found.mapped), len(found.reference)),
        },
        "area": {
            "reference_m2": reference_m2,
            "mapped_m2": mapped_m2,
            "overlap_m2": overlap_m2,
            **_scores(overlap_m2, mapped_m2, reference_m2),
            "iou": overlap_m2 / (reference_m2 + mapped_m2 - overlap_m2),
        },
        "groups": {
            "merged": [
                {"mapped": mapped_ids[whole], "reference": [reference_ids[p] for p in pieces]}
                for whole, pieces in found.merged.items()
            ],
            "split": [
                {"reference": reference_ids[whole], "mapped": [mapped_ids[p] for p in pieces]}
                for whole, pieces in found.split.items()
            ],
        },
    }


def _counts(status: NDArray[np.str_], names: tuple[str, ...]) -> dict[str, int]:
    return {"total": len(status), **{name: int((status == name).sum()) for name in names}}


def _scores(right: float, mapped: float, reference: float) -> dict[str, float]:
    return {
        "precision": right / mapped,
        "recall": right / reference,
        "f1": 2 * right / (mapped + reference),
    }
