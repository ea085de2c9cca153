"""Which blocks of a stage are done: one empty object each, beside the store.

The markers lie under ``<store>.state/<stage>/<config hash>/``. A marker is written after its shard,
so a killed run repeats at most the blocks that were under way; a changed configuration has another
hash and starts afresh.
"""

from dataclasses import dataclass

from landslide_dist.grid import Window
from landslide_dist.store.location import filesystem, scheme_of, store_errors


@dataclass(frozen=True)
class Ledger:
    """Done blocks of one stage on one store; small and picklable, so that workers write to it."""

    location: str
    stage: str
    config_hash: str

    @property
    def folder(self) -> str:
        """URL of the folder that holds the markers."""
        return f"{self.location.rstrip('/')}.state/{self.stage}/{self.config_hash}"

    def done(self) -> frozenset[str]:
        """Keys of the finished blocks."""
        fs, path = filesystem(self.folder)
        with store_errors(self.folder):
            fs.invalidate_cache()
            names = fs.find(path) if fs.exists(path) else []
        return frozenset(str(name).rsplit("/", 1)[-1] for name in names)

    def mark(self, key: str) -> None:
        """Note one block (or, by any other key, one step) as finished."""
        fs, path = filesystem(self.folder)
        with store_errors(self.folder):
            if scheme_of(self.location) != "s3":  # which has no folders
                fs.makedirs(path, exist_ok=True)
            fs.pipe_file(f"{path}/{key}", b"")

    def clear(self) -> None:
        """Forget this stage's blocks, of every configuration: its arrays are being replaced."""
        fs, path = filesystem(self.folder.rsplit("/", 1)[0])
        with store_errors(self.folder):
            if fs.exists(path):
                fs.rm(path, recursive=True)


def block_key(window: Window) -> str:
    """Name of a block's marker."""
    return f"{window.y0}-{window.x0}"
