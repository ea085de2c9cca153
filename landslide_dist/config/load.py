"""YAML file + ``--set`` overrides -> configuration, with errors that name the field."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from landslide_dist.config.base import Config
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.run import RunConfig
from landslide_dist.errors import ConfigError

AnyConfig = RunConfig | EventsConfig | ChipsConfig
_Kind = TypeVar("_Kind", bound=Config)
_KINDS: dict[type[Config], str] = {
    RunConfig: "the run of one region",
    EventsConfig: "of several events",
    ChipsConfig: "a run of chips",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


def load(
    path: str | Path, overrides: Sequence[str] = (), cluster: str | Path | None = None
) -> RunConfig:
    """Read one run of one region.

    Args:
        path: YAML file. ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` in strings are taken
            from the environment.
        overrides: ``a.b=value`` settings, values in YAML, applied in order.
        cluster: YAML file of the Dask cluster, instead of the run's own.

    Raises:
        ConfigError: A file is missing, is not YAML, or breaks the schema.
    """
    return of_one_region(load_any(path, overrides, cluster), path)


def load_chips(
    path: str | Path, overrides: Sequence[str] = (), cluster: str | Path | None = None
) -> ChipsConfig:
    """Read one run of chips: a file with ``chips``.

    Raises:
        ConfigError: A file is missing, is not YAML, breaks the schema, or is another kind of run.
    """
    return _of_kind(ChipsConfig, load_any(path, overrides, cluster), path)


def load_any(
    path: str | Path, overrides: Sequence[str] = (), cluster: str | Path | None = None
) -> AnyConfig:
    """Read one run of whatever kind: of a region, of several ``events``, or of ``chips``.

    Raises:
        ConfigError: A file is missing, is not YAML, or breaks the schema.
    """
    tree = _tree(path, overrides, cluster)
    kind: type[AnyConfig] = RunConfig
    if "events" in tree:
        kind = EventsConfig
    elif "chips" in tree:
        kind = ChipsConfig
    return _validate(kind, tree, str(path))


def of_one_region(config: AnyConfig, path: str | Path) -> RunConfig:
    """A run of one region.

    Raises:
        ConfigError: It is another kind of run.
    """
    return _of_kind(RunConfig, config, path)


def _of_kind(kind: type[_Kind], config: AnyConfig, path: str | Path) -> _Kind:
    if not isinstance(config, kind):
        raise ConfigError(
            f"config {str(path)!r} is {_KINDS[type(config)]}; this command takes {_KINDS[kind]}"
        )
    return config


def _tree(path: str | Path, overrides: Sequence[str], cluster: str | Path | None) -> dict[str, Any]:
    tree = _read(path)
    if cluster is not None:
        # Events have what they share in a place of their own.
        shared = tree.setdefault("common", {}) if "events" in tree else tree
        shared["cluster"] = _read(cluster)
    for override in overrides:
        _apply(tree, override)
    expanded = _expand(tree)
    assert isinstance(expanded, dict)
    return expanded


def _read(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"config {str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {str(path)!r} is not UTF-8 text: {error.reason}") from error
    tree = _parse(text, str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"config {str(path)!r} holds no settings")
    return tree


def validate(tree: dict[str, Any], origin: str) -> RunConfig:
    """Check a plain settings tree.

    Raises:
        ConfigError: Every broken field on one line: where it is, what is wrong.
    """
    return _validate(RunConfig, tree, origin)


def _validate(kind: type[_Kind], tree: dict[str, Any], origin: str) -> _Kind:
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'run'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False)
        )
        raise ConfigError(f"config {origin!r}: {problems}") from error


def to_yaml(config: AnyConfig) -> str:
    """The whole configuration with all defaults filled in, as YAML."""
    plain = config.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"config {origin!r} is not YAML: {reason}") from error


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r} is not of the form a.b=value")
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} holds a value, not settings")
        node = child
    node[last] = _parse(value, f"--set {override}")


def _expand(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _expand(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_expand(value) for value in node]
    return _VARIABLE.sub(_environment, node) if isinstance(node, str) else node


def _environment(match: re.Match[str]) -> str:
    name = match[1] or match[3]
    value = os.environ.get(name, match[2])
    if value is None:
        raise ConfigError(f"the config names ${name}, which is not set in the environment")
    return value
