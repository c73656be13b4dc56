"""A headless Chromium, where one is installed: opens pages, moves the mouse, takes pictures, keeps what the console says."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 60  # after which a browser counts as hung
# Nothing of its own that would look for a network.
QUIET = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe
""".split()

BECOME = "import os, sys; os.dup2(int(sys.argv[1]), 3), os.dup2(int(sys.argv[2]), 4), os.execv(sys.argv[3], sys.argv[3:])"


def installed() -> str | None:
    """The browser's program; CHROMIUM in the environment names another than those on the path."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"]
    return next(filter(None, map(shutil.which, filter(None, names))), None)


class Browser:
    """A page in a browser, spoken to in the DevTools protocol through two pipes."""

    def __init__(self, profile: Path):
        self.console: list[str] = []  # errors and warnings, exceptions, and what the page asked the network for
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # The browser has them as 3 and 4: out of the way of each other until then.
        given = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (to_read, to_write)]
        command = [installed(), *QUIET, f"--user-data-dir={profile}"]
        program = [sys.executable, "-c", BECOME, *map(str, given), *command]
        self._process = subprocess.Popen(program, pass_fds=given, stderr=subprocess.DEVNULL)
        for one in (to_read, to_write, *given):
            os.close(one)
        self._rest, self._count, self._session = b"", 0, {}
        try:
            target = self("Target.createTarget", url="about:blank")["targetId"]
            self._session = {"sessionId": self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
            for domain in ("Page", "Runtime", "Log", "Network"):
                self(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def __call__(self, method: str, **parameters):
        """What a command of the protocol gives."""
        self._count += 1
        request = {"id": self._count, "method": method, "params": parameters, **self._session}
        os.write(self._write, json.dumps(request).encode() + b"\0")
        while (message := self._next()).get("id") != self._count:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    def open(self, page: Path, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Shows a file in a window of this size, once its scripts have come to rest."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", media="", features=[scheme])
        self("Page.navigate", url=page.as_uri())
        self.until("document.readyState == 'complete' && !!window.Bokeh && Bokeh.documents.every((one) => one.is_idle)")

    def until(self, expression: str) -> None:
        """Waits until JavaScript is true."""
        deadline = time.monotonic() + SECONDS
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}; {self.console}"
            time.sleep(0.02)

    def value(self, expression: str):
        """What JavaScript gives, as plain values."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Moves the mouse to a place in the window."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path, whole: bool = True) -> None:
        """Writes what is shown, or the whole page, as a PNG file."""
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def printed(self, path: Path) -> None:
        """Writes the page as it is printed, as a PDF file."""
        path.write_bytes(base64.b64decode(self("Page.printToPDF", printBackground=False)["data"]))

    def _next(self):
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            assert select.select([self._read], [], [], max(left, 0))[0], "the browser hangs"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        given = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.console.append(str(given["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "warning", "assert"):
                self.console.append(str(given["args"]))
            case "Log.entryAdded" if given["entry"]["level"] in ("error", "warning"):
                self.console.append(given["entry"]["text"])
            case "Network.requestWillBeSent" if not given["request"]["url"].startswith(("file:", "data:", "blob:")):
                self.console.append(f"asked for {given['request']['url']}")
