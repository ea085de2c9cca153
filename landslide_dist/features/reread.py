"""Computes a lazy array a second time, once something else is there, instead of keeping it.

What two tasks need, Dask computes once and keeps for both. Where the second waits for a summary of
the whole array, that is the whole array in memory. ``dask.graph_manipulation.bind`` is meant for
this, but does not rename the tasks of layers that Dask holds as dictionaries, such as slices.
"""

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import convert_legacy_graph
from dask.base import clone_key
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Task, TaskRef


def reread_after(array: da.Array, condition: da.Array) -> da.Array:
    """The same array under new keys, of which no task starts before the condition is computed.

    Args:
        array: What is computed anew. Arrays with common inputs share them again if each is
            reread after the same condition.
        condition: All chunks of it come first.

    Returns:
        An array equal to ``array``.
    """
    graph = array.dask
    # What a cluster holds already stays as it is: its tasks are futures.
    held = {name for name, layer in graph.layers.items() if _is_held(layer)}
    names = {old: clone_key(old, condition.name) for old in graph.layers if old not in held}
    keys = {key: clone_key(key, condition.name) for old in names for key in graph.layers[old]}
    gate = da.map_blocks(
        _is_there, condition, chunks=(1,) * condition.ndim,
        dtype=bool, meta=np.empty((0,) * condition.ndim, dtype=bool),
    ).all()  # fmt: skip
    layers = {name: graph.layers[name] for name in held} | gate.dask.layers
    dependencies = {name: graph.dependencies[name] for name in held} | gate.dask.dependencies
    for old, new in names.items():
        layers[new] = MaterializedLayer(_renamed(graph.layers[old], keys, gate))
        before = {names.get(name, name) for name in graph.dependencies[old]}
        dependencies[new] = before | {gate.name}
    return da.Array(
        HighLevelGraph(layers, dependencies),
        names.get(array.name, array.name),
        array.chunks,
        meta=array._meta,
    )


def _is_held(layer: Mapping[Any, Any]) -> bool:
    return any(isinstance(task, TaskRef) for task in layer.values())


def _renamed(layer: Mapping[Any, Any], keys: dict[Any, Any], gate: da.Array) -> dict[Any, Any]:
    """Tasks and what they depend on by their new keys; where that is nothing, on the gate."""
    (gate_key,) = flatten(gate.__dask_keys__())
    renamed = {}
    for key, task in convert_legacy_graph(dict(layer), all_keys=keys).items():
        new_key = keys[key]
        if task.dependencies:
            renamed[new_key] = task.substitute(keys, key=new_key)
        else:
            renamed[new_key] = Task(new_key, _second, TaskRef(gate_key), task)
    return renamed


def _is_there(block: Any) -> Any:
    return np.ones((1,) * block.ndim, dtype=bool)


def _second(_: Any, value: Any) -> Any:
    return value
