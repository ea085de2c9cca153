"""The Bokeh server: one map for each browser tab; it needs no network but its own."""

import errno
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import Server

from landslide_dist.errors import ConfigError
from landslide_dist.progress import console
from landslide_dist.viewer.page import Atlas, MapPage

#: Threads that read for all sessions.
READERS = 4
ANYWHERE = ("0.0.0.0", "::")


def serve(
    atlas: Callable[[ThreadPoolExecutor], Atlas], host: str, port: int, open_browser: bool
) -> None:
    """Serve maps until the process is interrupted.

    Args:
        atlas: Makes what all sessions share.
        host: Address to listen at; 127.0.0.1 is reached from this machine alone.
        port: Its port; 0 for any that is free.
        open_browser: Whether to open the page in the user's browser.

    Raises:
        ConfigError: The address cannot be listened at.
    """
    with ThreadPoolExecutor(READERS, thread_name_prefix="view") as pool:
        server = start(atlas(pool), host, port)
        url = url_of(host, server.port or port)
        console.print(f"view: {url} (stop with Ctrl-C)")
        if open_browser:
            server.io_loop.add_callback(server.show, "/")
        try:
            server.io_loop.start()
        except KeyboardInterrupt:
            console.print("view: stopped")
        finally:
            server.stop()


def start(atlas: Atlas, host: str, port: int) -> Server:
    """A server that listens; its loop is not running yet.

    Raises:
        ConfigError: The address cannot be listened at.
    """

    def build(document: Document) -> None:
        MapPage(document, atlas)

    # What Bokeh says of each session is of no use to those who look at a map.
    logging.getLogger("bokeh").setLevel(logging.ERROR)
    port = _usable_port(host, port)
    # A page for nobody: scales are fitted and kernels loaded before the first visitor waits.
    build(Document())
    server = Server(
        {"/": Application(FunctionHandler(build))},
        address=host,
        port=port,
        allow_websocket_origin=_origins(host, port),
    )
    server.start()
    return server


def url_of(host: str, port: int) -> str:
    """What to type into a browser."""
    name = socket.getfqdn() if host in ANYWHERE else host
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def _origins(host: str, port: int) -> list[str]:
    """Pages that may talk to the server: its own, under the names it is reached by.

    A page of another site that is open in the same browser is refused.
    """
    names = {host, "localhost", "127.0.0.1"}
    if host in ANYWHERE:
        names |= {socket.gethostname(), socket.getfqdn(), "*.*.*.*"}
    return sorted(f"{name}:{port}" for name in names if ":" not in name)


def _usable_port(host: str, port: int) -> int:
    """The port, or a free one for 0; Bokeh would leave sockets open where it cannot listen."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As servers do: the port of one that has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError(_refusal(host, port, error)) from error


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken, maybe by another view: give another with --port"
    reason = " ".join(str(error).split())
    return f"cannot listen at {host}, port {port}: {reason}; give --host and --port"
