"""``inventory compare``: two inventories side by side, to a table, JSON and a picture."""

import json
from pathlib import Path
from typing import Any

import shapely
from rich.console import Console
from rich.table import Table

from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.inventory_files import Inventory, on_one_map, read_inventory
from landslide_dist.evaluation.inventory_match import Criterion, compare_outlines
from landslide_dist.evaluation.magnitude import area_density, magnitude_frequency_figure
from landslide_dist.progress import console
from landslide_dist.whole_file import whole_file, write_whole


def compare_inventories(
    reference: str,
    mapped: str,
    out: Path | None = None,
    criterion: Criterion = "iou",
    threshold: float = 0.5,
    layers: tuple[str | None, str | None] = (None, None),
) -> dict[str, Any]:
    """Compare an inventory with a reference, and print how they agree.

    Args:
        reference: Vector file of the landslides that there are.
        mapped: Vector file of those that were mapped, in any CRS.
        out: JSON file of all numbers; the picture of the areas goes beside it. None: neither.
        criterion: How well two landslides agree: see :mod:`inventory_match`.
        threshold: Least agreement of a match.
        layers: Layer of each file, where it has several.

    Returns:
        The numbers, as :func:`landslide_dist.evaluation.inventory_match.compare_outlines` has them,
        with the files, the CRS, and the frequency density of the areas of each.

    Raises:
        ConfigError: The JSON file does not end in .json.
        DataError: A file cannot be used, or they do not overlap.
    """
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out {str(out)!r} does not end in .json")
    pair = [
        read_inventory(path, layer) for path, layer in zip((reference, mapped), layers, strict=True)
    ]
    for one in pair:
        if one.num_repaired:
            console.print(f"{one.path}: {one.num_repaired} invalid polygons were repaired")
    outlines = on_one_map(*pair)
    found = compare_outlines(outlines[0], outlines[1], criterion, threshold)
    areas_m2 = [shapely.area(one.to_numpy()) for one in outlines[:2]]
    crs = outlines[2]
    code = crs.to_epsg()
    made_of = {
        "reference": _described(pair[0]),
        "mapped": _described(pair[1]),
        "crs": f"EPSG:{code}" if code else crs.name,
    }
    densities = {
        name: area_density(areas).plain()
        for name, areas in zip(("reference", "mapped"), areas_m2, strict=True)
    }
    result = made_of | found | {"area_density": densities}
    Console().print(_table(found))
    if out is not None:
        names = _names(pair)
        picture = magnitude_frequency_figure(dict(zip(names, areas_m2, strict=True)))
        with whole_file(out.with_suffix(".png")) as unfinished:
            unfinished.write_bytes(picture)
        write_whole(out, json.dumps(result, indent=1))
    return result


def _described(one: Inventory) -> dict[str, Any]:
    return {
        "path": one.path,
        "num_landslides": len(one.frame),
        "num_left_out": one.num_left_out,
        "num_repaired": one.num_repaired,
    }


def _names(pair: list[Inventory]) -> list[str]:
    """Names of the files, or what they are where these are the same."""
    names = [Path(one.path).stem for one in pair]
    return names if names[0] != names[1] else [f"{names[0]}, reference", f"{names[1]}, mapped"]


def _table(found: dict[str, Any]) -> Table:
    number, area = found["number"], found["area"]
    percent = f"{found['threshold']:.0%}"
    table = Table(title=f"landslides, matched from {found['criterion']} {percent}")
    table.add_column("")
    for heading in ("by number", "by area"):
        table.add_column(heading, justify="right")
    of_a, of_b = number["reference"], number["mapped"]
    table.add_row("reference", f"{of_a['total']:,}", f"{area['reference_m2'] / 1e6:,.4f} km2")
    table.add_row("mapped", f"{of_b['total']:,}", f"{area['mapped_m2'] / 1e6:,.4f} km2")
    table.add_row("both", f"{of_a['matched']:,}", f"{area['overlap_m2'] / 1e6:,.4f} km2")
    for name in ("precision", "recall", "f1"):
        table.add_row(name, f"{number[name]:.3f}", f"{area[name]:.3f}")
    table.add_row("intersection over union", "", f"{area['iou']:.3f}", end_section=True)
    for name in ("missed", "merged", "split"):
        table.add_row(f"reference, {name}", f"{of_a[name]:,}", "")
    for name in ("false", "merging", "piece"):
        table.add_row(f"mapped, {name}", f"{of_b[name]:,}", "")
    return table
