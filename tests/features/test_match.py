import json
from functools import partial

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.exposure import match_histograms

from landslide_dist.errors import DataError
from landslide_dist.features.match import count, match
from landslide_dist.features.reference import Reference

BANDS = ("red", "green", "nir")


def scene(height=30, width=40, times=None, seed=0, dtype="uint16", nodata=0):
    shape = (*(() if times is None else (times,)), len(BANDS), height, width)
    rng = np.random.default_rng(seed)
    # Bands and acquisitions differ in level and spread.
    level = rng.integers(20, 60, (*shape[:-2], 1, 1))
    data = np.clip(rng.gamma(3, 10, shape) + level, 1, 255).astype(dtype)
    data[..., :3, :5] = 0
    dims = ("time", "band", "y", "x")[-len(shape) :]
    coords = {"band": list(BANDS), "y": -10.0 * np.arange(height), "x": 10.0 * np.arange(width)}
    if times is not None:
        coords["time"] = np.datetime64("2020-01-01", "ns") + np.arange(times)
    attrs = {"units": "1"} | ({} if nodata is None else {"nodata": nodata})
    return xr.DataArray(data, coords, dims, "reflectance", attrs)


def clear(raster, seed=5):
    """A mask of scattered clouds, alike in all bands."""
    dims = tuple(dim for dim in raster.dims if dim != "band")
    mask = np.random.default_rng(seed).random([raster.sizes[d] for d in dims]) < 0.6
    return xr.DataArray(mask, {d: raster[d] for d in dims}, dims)


REFERENCE = Reference.from_counts(count(scene(50, 50, seed=9)))


def expected(raster, valid, dtype):
    """Each band of each acquisition by scikit-image, on its valid pixels."""
    reference = scene(50, 50, seed=9)
    out = np.full(raster.shape, 0 if dtype == "uint16" else np.nan, dtype)
    usable = (raster != 0) if valid is None else (raster != 0) & (valid != 0)
    usable = usable.transpose(*raster.dims).to_numpy()
    for index in np.ndindex(raster.shape[:-2]):
        where = usable[index]
        target = reference[index[-1]].to_numpy()
        matched = match_histograms(raster.to_numpy()[index][where], target[target != 0])
        out[index][where] = np.rint(matched) if dtype == "uint16" else matched
    return out


@st.composite
def chunked(draw):
    times = draw(st.none() | st.integers(1, 3))
    raster = scene(
        draw(st.integers(4, 25)), draw(st.integers(6, 25)), times, draw(st.integers(0, 50)),
        draw(st.sampled_from(["uint8", "uint8", "uint16"])),
    )  # fmt: skip
    chunks = {dim: tuple(_parts(draw, size)) for dim, size in raster.sizes.items()}
    masked = draw(st.sampled_from(["no", "lazy", "in memory"]))
    return raster, chunks, masked


def _parts(draw, size):
    smallest = -(-size // 3)
    while size:
        part = draw(st.integers(min(smallest, size), size))
        size -= part
        yield part


@settings(max_examples=25, deadline=None)
@given(chunked(), st.sampled_from(["uint16", "float64", "float32"]))
def test_chunks_do_not_matter(case, dtype):
    raster, chunks, masked = case
    valid = None if masked == "no" else clear(raster)
    lazy = raster.chunk(chunks)
    lazy_valid = valid.chunk() if masked == "lazy" else valid
    result = match(lazy, REFERENCE, lazy_valid, dtype)
    assert result.chunks == lazy.chunks
    assert result.dtype == dtype
    whole = match(raster, REFERENCE, valid, dtype)
    assert whole.chunks is None
    np.testing.assert_array_equal(result.to_numpy(), whole)
    np.testing.assert_array_equal(whole, expected(raster, valid, dtype))
    counts = count(lazy, lazy_valid)
    assert counts.chunks is not None
    xr.testing.assert_identical(counts.compute(), count(raster, valid))


def test_counts_leave_out_what_is_hidden_or_nodata():
    raster = scene()
    valid = clear(raster)
    counts = count(raster, valid)
    assert counts.dims == ("band", "value")
    usable = (valid & (raster[1] != 0)).to_numpy()
    by_numpy = np.bincount(raster[1].to_numpy()[usable], minlength=65536)
    np.testing.assert_array_equal(counts.sel(band="green"), by_numpy)
    assert count(raster.drop_attrs()).sel(value=0).to_numpy().tolist() == [15, 15, 15]
    assert count(raster[0]).dims == ("value",)


def test_a_mask_alone_that_is_lazy_makes_the_result_lazy():
    raster = scene(times=2)
    valid = clear(raster)
    result = match(raster, REFERENCE, valid.chunk({"y": 7}))
    assert result.chunks is not None
    np.testing.assert_array_equal(result.to_numpy(), match(raster, REFERENCE, valid))


def test_the_result_says_what_it_is():
    raster = scene(times=2).chunk({"time": 1})
    result = match(raster, REFERENCE)
    assert result.attrs == {"units": "1", "nodata": 0}
    assert result.name == "reflectance"
    assert result.chunks == raster.chunks
    xr.testing.assert_identical(result.coords.to_dataset(), raster.coords.to_dataset())
    assert match(raster, REFERENCE, dtype="float32").attrs == {"units": "1"}


def test_valid_pixels_never_become_nodata():
    black = Reference.from_counts({band: np.eye(1, 256)[0] for band in BANDS})
    result = match(scene(), black, dtype="uint8").to_numpy()
    assert set(result[:, 3:].ravel()) == {1}
    assert set(result[:, :3, :5].ravel()) == {0}


def counting_reads(raster, log):
    """The raster lazily, in 3 x 5 x 8 blocks an acquisition, noting each time one is read."""

    def read(block, block_info=None):
        log.append(("read", block_info[0]["chunk-location"]))
        return block.copy()

    lazy = raster.chunk({"time": 1, "band": 1, "y": 6, "x": 5})
    data = lazy.data.map_blocks(read, dtype=raster.dtype, meta=np.empty((0,) * 4, raster.dtype))
    return lazy.copy(data=data)


def test_nothing_is_computed_before_it_is_asked_for():
    log = []
    raster = counting_reads(scene(times=2), log)
    count(raster)
    match(raster, REFERENCE, raster[:, 0] > 0)
    assert log == []


def test_a_scene_is_read_twice_and_never_kept():
    """Blocks that wait for the table would be the whole scene in memory."""
    log = []
    raster = counting_reads(scene(times=2), log)
    result = match(raster, REFERENCE)

    def note(block):
        log.append(("matched",))
        return block

    with dask.config.set(scheduler="synchronous"):
        result.data.map_blocks(note, meta=np.empty((0,) * 4, "uint16")).compute()
    blocks = 3 * 5 * 8
    assert sum(entry[0] == "read" for entry in log) == 2 * 2 * blocks
    # First an acquisition's blocks are all counted, then each is read again and at once matched.
    kinds = [entry[0] for entry in log]
    assert kinds == 2 * (["read"] * blocks + ["read", "matched"] * blocks)


def test_names_of_tasks_depend_on_all_inputs_alone():
    raster = scene(times=2).chunk({"time": 1, "y": 7})
    other = Reference.from_counts(count(scene(50, 50, seed=8)))
    keys = [match(raster, ref).data.name for ref in (REFERENCE, REFERENCE, other)]
    assert keys[0] == keys[1] != keys[2]
    both = dask.compute(match(raster, REFERENCE).data, match(raster, other).data)
    np.testing.assert_array_equal(both[0], expected(raster.compute(), None, "uint16"))
    np.testing.assert_array_equal(both[1], match(raster.compute(), other))


def test_a_reference_survives_its_file(tmp_path):
    path = tmp_path / "reference.json"
    REFERENCE.to_json(path)
    assert path.stat().st_size < 20_000
    again = Reference.from_json(path)
    assert again.dtype == REFERENCE.dtype == "uint16"
    assert list(again.counts) == list(BANDS)
    for band in BANDS:
        np.testing.assert_array_equal(again.counts[band], REFERENCE.counts[band])


def test_pooled_references_are_those_of_all_pixels():
    scenes = [scene(20, 20, seed=seed) for seed in range(3)]
    pooled = Reference.pool(Reference.from_counts(count(s)) for s in scenes)
    together = Reference.from_counts(count(xr.concat(scenes, "y")))
    for band in BANDS:
        np.testing.assert_array_equal(pooled.counts[band], together.counts[band])
    eight_bit = Reference.from_counts(count(scene(dtype="uint8")))
    assert eight_bit.dtype == "uint8"
    for others, message in [
        ([REFERENCE, eight_bit], "red, green, nir .uint8. cannot be pooled"),
        ([REFERENCE, Reference({"red": REFERENCE.counts["red"]}, "uint16")], "cannot be pooled"),
        ([], "no references"),
    ]:
        with pytest.raises(DataError, match=message):
            Reference.pool(others)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not a reference"),
        ("[]", "is not a reference"),
        (json.dumps({"dtype": "float32", "bands": {"red": {}}}), "got float32"),
        (json.dumps({"dtype": "uint8", "bands": {}}), "at least one band"),
        (json.dumps({"dtype": "uint8", "bands": {"red": {"values": [], "counts": []}}}), "no val"),
        (
            json.dumps({"dtype": "uint8", "bands": {"red": {"values": [256], "counts": [1]}}}),
            "not a reference",
        ),
    ],
)
def test_files_that_are_no_references_are_refused(tmp_path, content, message):
    path = tmp_path / "reference.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        Reference.from_json(path)


def test_counts_that_make_no_reference_are_refused():
    lazy = count(scene().chunk())
    for counts, message in [
        (lazy, "must be computed"),
        (count(scene(times=2)), "dims band, value"),
        ({"red": np.ones(100)}, "uint8 needs 256"),
        ({"red": np.zeros(256)}, "'red' has no valid pixels"),
        ({"red": -np.ones(256)}, "none below 0"),
        ({}, "at least one band"),
    ]:
        with pytest.raises(DataError, match=message):
            Reference.from_counts(counts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(match, scene().astype("float32")), "uint8 or uint16 values, got float32"),
        (partial(match, scene()[0]), "must be band, y, x or time"),
        (partial(match, scene().transpose("y", "x", "band")), "must be band, y, x"),
        (partial(match, scene().expand_dims(["event", "time"])), "must be band, y, x"),
        (partial(match, scene().drop_vars("band")), "no band names"),
        (partial(match, scene().assign_coords(band=[1, 2, 3])), "has no band 1, 2, 3 .it has red"),
        (partial(match, scene(), dtype="int16"), "to uint8, uint16, float32, float64, not to int"),
        (partial(match, scene(), valid=clear(scene())[0]), "has dims"),
        (partial(match, scene(), valid=clear(scene()).isel(y=slice(9))), "sizes or coordinates"),
        (partial(match, scene(), valid=clear(scene()) * 1.0), "is float64"),
    ],
)
def test_rasters_that_break_the_contract_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(reference=REFERENCE)


def test_a_reference_too_high_for_the_result_is_refused():
    high = Reference.from_counts({band: np.eye(1, 65536, 900)[0] for band in BANDS})
    with pytest.raises(DataError, match="up to 900, too high for uint8"):
        match(scene(), high, dtype="uint8")


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
def test_an_acquisition_without_valid_pixels_is_named(chunks):
    raster = scene(times=2)
    valid = clear(raster)
    valid[1] = False
    if chunks:
        raster = raster.chunk(chunks)
    with pytest.raises(DataError, match=r"time 2020-01-01.*1, band 'red': .* source has no valid"):
        match(raster, REFERENCE, valid).compute()
