"""The cube's store on a real S3 server."""

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import StoreError
from landslide_dist.grid import Grid
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import hold

pytestmark = pytest.mark.s3

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 1500, 1000))
STORAGE = StorageConfig(chunk_px=16, shard_px=64)
LOCATION = "s3://landslides/test/cube.zarr"


def fill(location=LOCATION):
    cube.create(location, GRID, [schema.ELEVATION], STORAGE, {})
    with hold(location, "fill") as lock:
        ledger = Ledger(location, "fill", "abc")
        return run_blocks(Fill(location), cube.shard_windows(location), ledger, lock, "fill").blocks


class Fill:
    """Numbers rows by their block."""

    def __init__(self, location):
        self.location = location

    def read(self, window):
        return None

    def compute(self, window, inputs):
        return np.full(window.shape, window.y0, "float32")

    def write(self, window, block):
        array = cube.array(open_group(self.location, "r+"), "elevation")
        cube.write_block(array, window, block)


def test_a_cube_on_s3_equals_one_on_disk(identity, tmp_path):
    assert fill() == 6
    fill(str(tmp_path / "cube.zarr"))
    ours = cube.open_cube(LOCATION).load()
    assert ours.identical(cube.open_cube(str(tmp_path / "cube.zarr")).load())
    assert len(Ledger(LOCATION, "fill", "abc").done()) == 6
    delete(LOCATION)
    assert not exists(LOCATION)


def test_wrong_key_is_one_clear_line(identity):
    identity(("nobody", "wrong"))
    with pytest.raises(StoreError, match="access to .* was refused.*AWS_ACCESS_KEY_ID"):
        open_group(LOCATION)


def test_missing_bucket_is_one_clear_line(identity):
    with pytest.raises(StoreError, match="no-such-bucket"):
        cube.create("s3://no-such-bucket/cube.zarr", GRID, [schema.ELEVATION], STORAGE, {})


def test_read_only_identity_reads_but_neither_writes_nor_removes(identity, s3_server):
    fill()
    identity(s3_server.reader)
    assert cube.read_grid(LOCATION) == GRID
    array = cube.array(open_group(LOCATION, "r+"), "elevation")
    window = cube.shard_windows(LOCATION)[0]
    with pytest.raises(StoreError, match="access to .* was refused"):
        cube.write_block(array, window, np.zeros(window.shape, "float32"))
    with pytest.raises(StoreError, match="refused|could not be removed"):
        delete(LOCATION)
    assert exists(LOCATION)
