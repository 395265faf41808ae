"""Headless Chromium, worked through its DevTools: opens a page, waits until it shows a text, takes its picture."""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from syncer_assets_tests.servers import poll

START_SECONDS = 120
PAGE_SECONDS = 120
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"),
    *("--disable-component-update", "--no-first-run", "--no-proxy-server", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
]


class Browser:
    """One window. `with Browser(program) as browser: browser.open(url, "a text that it must show")`."""

    def __init__(self, program: Path, *, width: int = 1600, height: int = 900) -> None:
        self._program = program
        self._width, self._height = width, height
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            profile = stack.enter_context(_folder())
            process = stack.enter_context(_started([str(self._program), *FLAGS, f"--user-data-dir={profile}"]))
            address = poll(lambda: _first_page(process, profile), START_SECONDS, every_seconds=0.1)
            self._socket = stack.enter_context(connect(address, max_size=None, proxy=None))
            self.resize(self._width, self._height)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def open(self, url: str, *texts: str) -> str:
        """The text that the page shows when it shows all of these."""
        self.call("Page.navigate", url=url)
        return self.wait_for(*texts)

    def wait_for(self, *texts: str) -> str:
        """The text of the page when it shows all of these. Raises TimeoutError that quotes what it shows instead."""
        shown = ""

        def shows() -> bool:
            nonlocal shown
            shown = self.text()
            return all(text in shown for text in texts)

        try:
            poll(shows, PAGE_SECONDS, every_seconds=0.2)
        except TimeoutError:
            lacking = [text for text in texts if text not in shown]
            raise TimeoutError(f"the page does not show {lacking}, but:\n{shown}") from None
        return shown

    def text(self) -> str:
        """What a person can read on the page now."""
        return self.evaluate("document.body ? document.body.innerText : ''") or ""

    def click(self, text: str) -> None:
        """Clicks the button, link or tab that says just this, once it is there."""
        found = (
            "(() => { const all = [...document.querySelectorAll('button, a, [role=tab], [role=menuitem]')];"
            f" const one = all.find(each => each.innerText && each.innerText.trim() === {json.dumps(text)});"
            " if (one) one.click(); return !!one; })()"
        )
        poll(lambda: self.evaluate(found), PAGE_SECONDS, every_seconds=0.2)

    def double_click(self, x: int, y: int) -> None:
        """At this pixel of the window; then the pointer leaves it."""
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Makes the window that large, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def wait_until_still(self) -> None:
        """Until the window shows the same for a second: everything has arrived, and no animation runs."""
        shown = b""

        def still() -> bool:
            nonlocal shown
            before, shown = shown, self._shot()
            return shown == before

        poll(still, PAGE_SECONDS, every_seconds=1)

    def picture(self, path: Path) -> None:
        """Writes what the window shows as PNG."""
        path.write_bytes(self._shot())

    def _shot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One DevTools command and its answer; what the browser tells besides is passed over."""
        assert self._socket is not None
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=PAGE_SECONDS))).get("id") != number:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]


@contextmanager
def _folder() -> Iterator[Path]:
    """A profile of its own; Chromium's last process may still write to it while it goes."""
    folder = tempfile.mkdtemp(prefix="syncer-browser-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [*command, "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_page(process: "subprocess.Popen[bytes]", profile: Path) -> str:
    """The address of the first page's DevTools; empty while there is none."""
    assert process.poll() is None, f"Chromium ended with {process.returncode}"
    port_file = profile / "DevToolsActivePort"
    if not port_file.exists() or not (port := port_file.read_text().splitlines()[:1]):
        return ""
    try:
        targets = httpx.get(f"http://127.0.0.1:{port[0]}/json/list", timeout=10, trust_env=False).json()
    except httpx.HTTPError:
        return ""
    return next((target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page"), "")
