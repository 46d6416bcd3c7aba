"""A headless Chromium spoken to over a pipe in its DevTools protocol; nothing listens on a port."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 300.0
"""Seconds after which a page that never gets where it is awaited is a failure."""

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--remote-debugging-pipe",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip

AXE = Path(__file__).parent / "axe/axe.min.js"
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " "), "ArrowRight": (39, "")}
"""Codes of keys, and what they write."""

STOP = """(() => {
    const held = document.activeElement;
    if (held === document.body) return null;
    const again = window.stops.includes(held), style = getComputedStyle(held);
    window.stops.push(held);
    const name = [held.tagName.toLowerCase(), held.id || held.className, held.dataset.place ?? held.value ?? ''].filter((part) => part !== '');
    return { again, name: name.join(' '), outline: held.matches(':focus-visible') && style.outlineStyle !== 'none' ? parseFloat(style.outlineWidth) : 0 };
})()"""
"""Where the focus is, whether it was there before, and how wide its outline is; null behind the last stop."""


class Page:
    """One tab: runs scripts, clicks where a finger would, takes pictures, and remembers what went wrong."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer, self._count = send, receive, b"", 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page from disk on a screen of ``width`` x ``height`` pixels."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", {"media": "screen", "features": [scheme]})
        self._ask("Page.navigate", {"url": file.resolve().as_uri()})
        self.wait("document.readyState === 'complete'")

    def print_style(self) -> None:
        """Show the page as it would be printed; the next ``open`` ends it."""
        self._ask("Emulation.setEmulatedMedia", {"media": "print"})

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        given = {"expression": script, "returnByValue": True, "awaitPromise": True}
        found = self._ask("Runtime.evaluate", given)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until an expression in the page is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {condition}; errors: {self.errors}")
            time.sleep(0.02)

    def click(self, x: float, y: float) -> None:
        """Press and release at a place of the screen."""
        self.drag((x, y), (x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at ``start``, move in steps, release at ``end``."""
        self._mouse("mouseMoved", start, buttons=0)
        self._mouse("mousePressed", start)
        if start != end:
            for share in (0.25, 0.5, 0.75, 1.0):
                place = tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))
                self._mouse("mouseMoved", place)
        self._mouse("mouseReleased", end)

    def click_on(self, script: str) -> None:
        """Click the middle of the element that an expression finds, brought into view."""
        self.run(f"({script}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"(({script}).getBoundingClientRect()).toJSON()")
        self.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def press(self, key: str) -> None:
        """Press and release a key: ``Tab``, ``Enter``, ``Space`` or ``ArrowRight``."""
        code, text = KEYS[key]
        name = " " if key == "Space" else key
        given = {"key": name, "code": key, "windowsVirtualKeyCode": code}
        written = {"text": text} if text else {}
        self._ask("Input.dispatchKeyEvent", {"type": "keyDown", **given, **written})
        self._ask("Input.dispatchKeyEvent", {"type": "keyUp", **given})

    def write(self, text: str) -> None:
        """What a keyboard writes where the focus is."""
        self._ask("Input.insertText", {"text": text})

    def tabbed(self) -> list[str]:
        """Press Tab from the page's beginning to its end: what each stop is, and that it is seen to be one.

        Raises:
            AssertionError: a stop without an outline, or one that Tab does not leave.
        """
        self.run(
            "document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); window.stops = []"
        )
        found: list[str] = []
        while True:
            self.press("Tab")
            told = self.run(STOP)
            if told is None:
                return found
            assert told["again"] is False, f"Tab does not leave {told['name']}: {found}"
            assert told["outline"] > 0, f"nothing shows the focus on {told['name']}"
            found.append(told["name"])

    def axe(self) -> list[Any]:
        """What axe-core finds wrong with the page."""
        self.run(AXE.read_text(encoding="utf-8") + ";0")
        found = self.run(
            "axe.run({resultTypes: ['violations']}).then((seen) => seen.violations.map("
            "(v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200))]))"
        )
        return list(found)

    def picture(self, file: Path) -> None:
        """The whole page, PNG."""
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        file.write_bytes(self._shot(0, 0, size["width"], size["height"]))

    def shot(self, script: str, around: float = 0) -> bytes:
        """The element that an expression finds and so many pixels around it, PNG."""
        left, top, width, height = self.run(
            f"(() => {{ const box = ({script}).getBoundingClientRect(); "
            "return [box.x + scrollX, box.y + scrollY, box.width, box.height]; })()"
        )
        x, y = max(left - around, 0), max(top - around, 0)
        return self._shot(x, y, left + width + around - x, top + height + around - y)

    def _shot(self, x: float, y: float, width: float, height: float) -> bytes:
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = self._ask("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        return base64.b64decode(shot["data"])

    def _mouse(self, kind: str, place: tuple[float, ...], buttons: int = 1) -> None:
        button = {} if kind == "mouseMoved" and not buttons else {"button": "left", "clickCount": 1}
        self._ask(
            "Input.dispatchMouseEvent",
            {"type": kind, "x": place[0], "y": place[1], "buttons": buttons, **button},
        )

    def _ask(self, method: str, given: dict[str, Any] | None = None) -> Any:
        self._count += 1
        asked = {"id": self._count, "method": method, "params": given or {}}
        if self._session is not None:
            asked["sessionId"] = self._session
        os.write(self._send, json.dumps(asked).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._count:
                if "error" in said:
                    raise AssertionError(f"{method}: {said['error']['message']}")
                return said["result"]
            self._note(said)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._receive, 1 << 20)
            if not part:
                raise AssertionError("Chromium ended")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, said: dict[str, Any]) -> None:
        given = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        if said.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if said.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(given["entry"]["text"])


@contextmanager
def chromium() -> Iterator[Page]:
    """A browser of its own with one tab; the protocol's places are descriptors 3 and 4.

    Raises:
        FileNotFoundError: none is installed.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise FileNotFoundError(
            f"no browser: install one of {', '.join(NAMES)} (apt-get install chromium)"
        )
    to_read, send = os.pipe()
    receive, to_write = os.pipe()
    far = [fcntl(end, F_DUPFD, 10) for end in (to_read, to_write)]
    for end in (to_read, to_write):
        os.close(end)
    places = f'exec "$@" 3<&{far[0]} 4>&{far[1]}'
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        browser = subprocess.Popen(
            ["bash", "-c", places, "bash", found, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=far,
        )
        for end in far:
            os.close(end)
        try:
            yield Page(send, receive)
        finally:
            os.close(send)
            os.close(receive)
            browser.terminate()
            browser.wait()
