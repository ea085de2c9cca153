import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

from landslide_dist.features.reread import reread_after

CONDITION = da.zeros(1)


def add_one(block):
    return block + 1


@pytest.fixture
def source():
    values = da.from_array(np.arange(20).reshape(2, 10), chunks=(1, 2))
    return values.map_blocks(add_one, meta=np.empty((0, 0), int))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        lambda a: a[0:1, 3:],
        lambda a: a[:, [3, 1, 5]],
        lambda a: a.rechunk((2, 5)),
        lambda a: da.concatenate([a, a]),
        lambda a: a.sum(axis=0),
        lambda a: da.where(a.T > 3, a.T, 0),
        lambda a: da.map_overlap(add_one, a, depth=1, boundary=0, meta=a._meta),
        lambda a: da.from_delayed(dask.delayed(np.ones)((2, 10)), (2, 10), dtype=float) + a,
        lambda a: dask.optimize(a)[0],
        lambda a: a.persist(),
        lambda a: reread_after(a, da.ones(1)),
    ],
)
@pytest.mark.parametrize("optimize_graph", [True, False])
def test_it_is_the_same_array_beside_the_first(source, change, optimize_graph):
    first = change(source)
    second = reread_after(first, CONDITION)
    assert second.chunks == first.chunks
    assert second.dtype == first.dtype
    assert second.name != first.name
    one, two = dask.compute(first, second, optimize_graph=optimize_graph)
    np.testing.assert_array_equal(one, two)


def test_no_task_starts_before_the_condition_is_there():
    log = []

    def noting(what):
        return lambda block: (log.append(what), block)[1]

    raw = da.from_array(np.arange(6), chunks=2)
    first = raw.map_blocks(noting("read"), meta=np.empty(0, int))
    summary = first.sum(keepdims=True).map_blocks(noting("summary"), meta=np.empty(0, int))
    second = reread_after(first[1:], summary)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(second.compute(), np.arange(1, 6))
    assert log == ["read"] * 3 + ["summary"] + ["read"] * 3


def test_what_a_cluster_holds_is_used_again(source):
    with Client(processes=False, dashboard_address=":0", n_workers=1):
        held = source.persist()
        for part in (held, held[:, 1:], held.T + 1):
            summary = held.sum(keepdims=True)
            np.testing.assert_array_equal(reread_after(part, summary).compute(), part.compute())
