"""Keys by which the workers and the scheduler of one run know each other."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Security


@contextmanager
def temporary_security(folder: Path) -> Iterator[Security]:
    """TLS settings for one run.

    Whoever reaches a Dask scheduler can run code as its user, and on the network of a batch system
    every user can; with these settings only workers of the run are let in. The keys lie in a folder
    of their own that nobody else may enter, and go with the context.

    Args:
        folder: On a file system that the workers share.
    """
    fresh = Security.temporary()
    with tempfile.TemporaryDirectory(prefix=".tls-", dir=folder) as private:
        authority, certificate, key = (Path(private, name) for name in ("ca", "cert", "key"))
        authority.write_text(fresh.tls_ca_file)
        certificate.write_text(fresh.tls_worker_cert)
        key.touch(mode=0o600)
        key.write_text(fresh.tls_worker_key)
        roles = ("scheduler", "worker", "client")
        yield Security(
            require_encryption=True,
            tls_ca_file=str(authority),
            **{f"tls_{role}_cert": str(certificate) for role in roles},
            **{f"tls_{role}_key": str(key) for role in roles},
        )
