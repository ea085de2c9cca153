"""A real, headless Chromium that tests drive over its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_S = 60.0
WAIT_S = 30.0


def find_chromium() -> str | None:
    """The browser's program, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab; keeps what its console says and what it asks for."""

    def __init__(self, url: str):
        self._socket = websocket.create_connection(url, timeout=WAIT_S, suppress_origin=True)
        self._ids = itertools.count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come in between are noted."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, said = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"])[:1000])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(said["args"])[:1000])
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.complaints.append(json.dumps(said["entry"])[:1000])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def navigate(self, url: str) -> None:
        """Open an address."""
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, also of a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = WAIT_S) -> Any:
        """Wait until an expression is true; it may fail while the page is being built."""
        end = time.monotonic() + timeout_s
        guarded = f"(() => {{ try {{ return ({expression}) }} catch (e) {{ return null }} }})()"
        while time.monotonic() < end:
            if value := self.evaluate(guarded):
                return value
            time.sleep(0.02)
        raise TimeoutError(f"{expression} is still false; the console said {self.complaints}")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event at a place of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """A click with the left button."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press, move in steps, release."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        for step in range(1, 6):
            there = x + (to_x - x) * step / 5, y + (to_y - y) * step / 5
            self.mouse("mouseMoved", *there, button="left", buttons=1)
        self.mouse("mouseReleased", to_x, to_y, button="left", clickCount=1)

    def wheel(self, x: float, y: float, turns: float) -> None:
        """Turn the wheel; a negative number zooms in."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=100 * turns)

    def screenshot(self, path: Path) -> bytes:
        """PNG of the window, also written to a file."""
        picture = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        path.write_bytes(picture)
        return picture

    def close(self) -> None:
        """Let go of the tab."""
        self._socket.close()


@contextmanager
def browser(
    program: str, folder: Path, size: tuple[int, int] = (1366, 768)
) -> Iterator[Callable[[], Page]]:
    """A running browser: a call opens a new tab.

    Args:
        program: Of the browser.
        folder: For its profile and log.
        size: Of the window, pixels.
    """
    profile = folder / "profile"
    with (folder / "chromium.log").open("w") as log:
        process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
                "--remote-debugging-port=0", f"--user-data-dir={profile}",
                f"--window-size={size[0]},{size[1]}", "about:blank",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
        pages: list[Page] = []
        try:
            port = _port(profile / "DevToolsActivePort", process)

            def open_tab() -> Page:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT"
                )
                with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                    target = json.loads(answer.read())
                page = Page(target["webSocketDebuggerUrl"])
                page.call(
                    "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                    deviceScaleFactor=1, mobile=False,
                )  # fmt: skip
                pages.append(page)
                return page

            yield open_tab
        finally:
            for page in pages:
                page.close()
            process.kill()
            process.wait()
            shutil.rmtree(profile, ignore_errors=True)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        # Its first line is the port; the file is there before it is written.
        if file.exists() and len(lines := file.read_text().split()) > 1:
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError("the browser did not start")
