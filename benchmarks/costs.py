"""What whole countries would take, from what the benchmarks measured.

    python benchmarks/costs.py [--core-hour P] [--gpu-hour P] [--gb-month P] [--million-requests P]

Every figure is area times a measured one: `bench_region` shows that the time a megapixel takes
stays flat with the size of the region. Core-hours are those of one core of the machine of the
results. An epoch and a prediction of the published LACNN are given as floating-point operations,
which torch counts (a step takes three forward passes; every patch once), and as hours at the rate
at which `bench_loader` trained it: of a core, or of the GPU where it ran on one (to have those, run
it there, then this). Prices are yours; without them no money is printed.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.model import paper_models
from landslide_dist.grid import Window
from landslide_dist.models.unet import UNet
from landslide_dist.store.layout import read_cost

RESULTS = Path(__file__).parent / "results"
#: Megapixels of 10 m: 0.302, 10.2 and 130 million square kilometres.
REGIONS = {"Italy": 3.02e3, "Europe": 1.02e5, "the land surface": 1.3e6}
MEASURED_CORES = 2
VENETO_MPX = 21005 * 19500 / 1e6
#: Of the published configuration: encoded channels, those looked at uphill (22 at three distances).
NUM_CHANNELS, NUM_UPHILL = 94, 66
CORE_PX = 500
#: Variables that are ingested and derived; each shard is looked for, then written, then marked.
INGESTED, DERIVED = 7, 2
REQUESTS_A_SHARD, REQUESTS_A_BLOCK = 2, 2


def main() -> None:
    """Print one table, Markdown."""
    parser = argparse.ArgumentParser(description="Costs of large regions.")
    for price in ("core-hour", "gpu-hour", "gb-month", "million-requests"):
        parser.add_argument(f"--{price}", type=float, help=f"price of a {price}, in any currency")
    prices = parser.parse_args()
    rows = {name: row(megapixels, prices) for name, megapixels in REGIONS.items()}
    columns = list(rows["Italy"])
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, found in rows.items():
        cells = (found[column] for column in columns)
        print(f"| {name}, {REGIONS[name] / 1e3:,g} Gpx | " + " | ".join(cells) + " |")


def row(megapixels: float, prices: argparse.Namespace) -> dict[str, str]:
    """One region."""
    stored_gb = megapixels * measured("region", "cube on disk") / 1e3
    requests = megapixels * requests_per_megapixel()
    core_hours = {
        stage: megapixels * core_seconds_per_megapixel(stage) / 3600
        for stage in ("ingest", "derive")
    }
    forward = flops_per_core_pixel()
    epoch, prediction = (megapixels * 1e6 * times * forward / 1e15 for times in (3, 1))
    gpu = gpu_of_loader()
    hours = "core-hours" if gpu is None else f"hours of {gpu}"
    devices = MEASURED_CORES if gpu is None else 1
    patches_s = measured("loader", "the package's order, streamed, against training", peer=True)
    pflop_an_hour = 3 * forward * CORE_PX**2 / 1e15 * patches_s * 3600 / devices
    read_gb = megapixels * 1e6 / CORE_PX**2 * measured("loader", "bytes read a patch, the") / 1e3
    found = {
        "cube, GB": stored_gb,
        "requests, million": requests / 1e6,
        **{f"{stage}, core-hours": hours for stage, hours in core_hours.items()},
        "epoch of LACNN, PFLOP": epoch,
        f"epoch, {hours}": epoch / pflop_an_hour,
        "read in it, GB": read_gb,
        "prediction, PFLOP": prediction,
        f"prediction, {hours}": prediction / pflop_an_hour,
    }
    if prices.core_hour is not None:
        found["ingest and derive"] = sum(core_hours.values()) * prices.core_hour
    of_device = prices.core_hour if gpu is None else prices.gpu_hour
    if of_device is not None:
        found["an epoch"] = epoch / pflop_an_hour * of_device
        found["a prediction"] = prediction / pflop_an_hour * of_device
    if prices.gb_month is not None:
        found["cube, a month"] = stored_gb * prices.gb_month
    if prices.million_requests is not None:
        found["all requests"] = requests / 1e6 * prices.million_requests
    return {name: two_figures(value) for name, value in found.items()}


def two_figures(value: float) -> str:
    """What is extrapolated this far is no better known."""
    return f"{float(f'{value:.2g}'):,g}"


def measured(benchmark: str, name: str, peer: bool = False) -> float:
    """A figure of the results: the first row whose name begins so."""
    rows = json.loads((RESULTS / f"bench_{benchmark}.json").read_text())[1:]
    found = next(row for row in rows if row["name"].startswith(name))
    if peer:
        # The last of them is against the larger network.
        found = [row for row in rows if row["name"].startswith(name)][-1]
    return float(found["peer" if peer else "ours"])


def gpu_of_loader() -> str | None:
    """The GPU that LACNN was trained on; None: a CPU."""
    name: str | None = json.loads((RESULTS / "bench_loader.json").read_text())[0].get("gpu")
    return name


def core_seconds_per_megapixel(stage: str) -> float:
    """Seconds of threads that read, compute and write; waiting is not among them."""
    steps = (measured("region", f"{stage}, {step}") for step in ("reading", "computing", "writing"))
    return sum(steps) / VENETO_MPX


def requests_per_megapixel() -> float:
    """Of an object store, by ingest and derive."""
    storage, side = StorageConfig(), StorageConfig().shard_px
    # A block inside a region reads a ring of its neighbours' chunks.
    inside, _ = read_cost(Window(side, side, side, side), 30, storage, (3 * side, 3 * side))
    written = (INGESTED + DERIVED) * REQUESTS_A_SHARD + 2 * REQUESTS_A_BLOCK
    return (written + inside) / (side * side / 1e6)


def flops_per_core_pixel() -> float:
    """Of a forward pass of the published network with its exact halo; a step takes three times."""
    widths = paper_models()["lacnn"].widths
    network = UNet(NUM_CHANNELS + NUM_UPHILL, widths, share=0.1)
    side = CORE_PX + 2 * network.halo_px
    side += -side % network.stride_px
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        network.to("meta")(torch.empty(1, NUM_CHANNELS + NUM_UPHILL, side, side))
    return counter.get_total_flops() / CORE_PX**2


if __name__ == "__main__":
    main()
