"""The few ways in which a run is refused: each message says what is wrong, which value, what to do.

The command line prints the message on one line and exits with status 2, or with 75 where the same
command may go on later; anything that is not a :class:`LandslideDistError` is a defect of this
package and keeps its traceback.
"""


class LandslideDistError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(LandslideDistError):
    """The configuration asks for something that cannot be done."""


class DataError(LandslideDistError):
    """An input file, or the content of a cube, breaks the data contract."""


class StoreError(LandslideDistError):
    """A store cannot be reached, opened, locked or written."""


class LockedError(StoreError):
    """Another process, which is alive, writes the store."""


class ProcessError(LandslideDistError):
    """A process that works together with this one is gone, or another has taken over."""
