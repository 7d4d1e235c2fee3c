"""A headless Chromium, driven over the WebDriver protocol (HTTP and JSON) with nothing but the standard library."""
import base64
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import PATIENCE_S, clean_environment, free_port, spawn, wait_until

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en"]


class Browser:
    def __init__(self, width=1280, height=1000):
        for program in ("chromedriver", "chromium"):
            if shutil.which(program) is None:
                raise AssertionError(f"{program} is not installed: scripts/setup does it")
        self.folder = tempfile.mkdtemp(prefix="sandstore-browser-")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.session = None
        with open(f"{self.folder}/driver.log", "ab") as log:
            self.driver = spawn(["chromedriver", f"--port={self.url.rsplit(':', 1)[1]}"], stdout=log,
                                stderr=subprocess.STDOUT, env=clean_environment(HOME=self.folder))
        wait_until("chromedriver is ready", lambda: self._call("GET", "/status")["ready"])
        arguments = [*ARGUMENTS, f"--user-data-dir={self.folder}/profile", f"--window-size={width},{height}"]
        self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})["sessionId"]

    def _call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request,
                                                                                   timeout=PATIENCE_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}") from None

    def _ask(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What the script returns; it runs in the page, as a function body."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector):
        return self.run("const found = document.querySelector(arguments[0]);"
                        "return found === null ? null : found.innerText;", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])]"
                        ".map(one => one.innerText || one.textContent);", selector)

    def devtools(self, command, **parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width, height, scale=1, mobile=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                      mobile=mobile)

    def prefer(self, **features):
        """prefer(prefers_color_scheme="dark")"""
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def press(self, key, type="keyDown"):
        self.devtools("Input.dispatchKeyEvent", type=type, key=key, code=key,
                      windowsVirtualKeyCode={"Tab": 9, "Escape": 27, "ArrowLeft": 37, "Enter": 13}[key])

    def move_mouse(self, x, y):
        self.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def log(self, kind):
        """The entries since the last call: "browser" is the console, "performance" the devtools' events."""
        return self._ask("POST", "/se/log", {"type": kind})

    def requests(self):
        """The addresses that were asked for since the last call, but for the browser's own insides."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        urls = [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("chrome:", "data:"))]

    def screenshot(self, path):
        """The whole page, as a PNG."""
        taken = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(taken["data"]))

    def close(self):
        try:
            if self.session:
                self._call("DELETE", f"/session/{self.session}")
        except (OSError, AssertionError):
            pass  # It is on its way out anyhow.
        self.driver.kill()
        self.driver.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
