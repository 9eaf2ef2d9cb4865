"""A real browser without a window: headless Chromium, driven by selenium (Debian: chromium, chromium-driver,
python3-selenium). What the page logs on its console is kept, and tests look through it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.node import Node
from lab.waiting import until

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.remote.webelement import WebElement
except ImportError:  # available() says so
    webdriver = None


def available() -> bool:
    """Is there a browser to test with?"""
    return webdriver is not None and bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """One browser with one window; open(node) signs in on that node's page."""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        options = webdriver.ChromeOptions()
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server",
                     "--hide-scrollbars", "--lang=en", "--force-prefers-reduced-motion", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.driver.set_script_timeout(30)

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()

    # going somewhere -----------------------------------------------------------------------------

    def visit(self, node: Node, path: str = "/") -> None:
        """Load a path of the node's page."""
        self.driver.get(f"http://127.0.0.1:{node.monitor_port}{path}")

    def sign_in(self, node: Node, key: str | None = None) -> None:
        """Through the form, as people do."""
        self.visit(node, "/login")
        self.one("#key").send_keys(key or node.monitor_key)
        self.one("form button").click()

    def open(self, node: Node) -> None:
        """Signed in, the page alive."""
        self.sign_in(node)
        self.alive()

    def alive(self) -> None:
        """Wait until the page gets its events."""
        until(lambda: self.text("#link") == "Live", 60, "the page is live")

    def size(self, width: int, height: int) -> None:
        """The window as large as this inside, smaller than windows may be, too."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, name: str) -> None:
        """light or dark."""
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def scripts(self, on: bool) -> None:
        """With or without JavaScript."""
        self.cdp("Emulation.setScriptExecutionDisabled", value=not on)

    def cdp(self, command: str, **values: Any) -> Any:
        """One command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(command, values)

    # looking -------------------------------------------------------------------------------------

    def one(self, selector: str) -> WebElement:
        """The element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Every such element."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def js(self, script: str, *args: Any) -> Any:
        """The value of a script."""
        return self.driver.execute_script(script, *args)

    def text(self, selector: str) -> str:
        """What an element shows, "" where there is none; of this moment, whatever is rendered anew meanwhile."""
        return self.js("const e = document.querySelector(arguments[0]); return e ? e.innerText.trim() : ''", selector)

    def shows(self, selector: str, wanted: str | Callable[[str], bool], timeout: float = 60) -> str:
        """Wait until the element's text contains (or fulfils) what is wanted."""
        fits = wanted if callable(wanted) else lambda text: wanted in text
        seen = ""

        def fitting() -> bool:
            nonlocal seen
            seen = self.text(selector)
            return fits(seen)
        try:
            until(fitting, timeout, f"{selector} shows {wanted!r}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it shows {seen[:500]!r}") from None
        return seen

    def click(self, selector: str, nth: int = 0) -> None:
        """Click; the element may be rendered anew at any moment, so find and click are one script."""
        until(lambda: self.js("const e = document.querySelectorAll(arguments[0])[arguments[1]];"
                              "if (!e || e.hidden || e.disabled) return false; e.focus(); e.click(); return true", selector, nth),
              30, f"{selector} can be clicked")

    def button(self, label: str, inside: str = "main") -> None:
        """Click the button of that label."""
        until(lambda: self.js("const e = [...document.querySelectorAll(arguments[1] + ' button')]"
                              ".find(b => b.textContent.trim() === arguments[0] && b.offsetParent);"
                              "if (!e) return false; e.focus(); e.click(); return true", label, inside),
              30, f"a button {label!r}")

    def confirm(self, reason: str | None = None) -> str:
        """Say yes to the question; what it asked."""
        until(lambda: self.one("#ask").get_attribute("open") is not None, 10, "the question")
        asked = self.text("#ask-text")
        if reason is not None:
            self.one("#ask-input").send_keys(reason)
        self.one("#ask-yes").click()
        return asked

    def picture(self, path: Path, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        if whole:
            height = self.js("return document.documentElement.scrollHeight")
            self.size(self.js("return innerWidth"), height)
        self.driver.save_screenshot(str(path))

    # console, policy -----------------------------------------------------------------------------

    def console(self) -> list[str]:
        """What was logged since the last call: errors, warnings, breaches of the content policy."""
        return [f"{line['level']}: {line['message']}" for line in self.driver.get_log("browser")
                if line["level"] in ("SEVERE", "WARNING")]

    def axe(self, source: str, options: Sequence[str] = ()) -> list[str]:
        """What axe-core finds: rule, help, the first elements."""
        # The page's policy allows no foreign script; this goes in past it, as an extension would.
        self.cdp("Runtime.evaluate", expression=source)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(r => done(JSON.stringify(r.violations)))")
        return [f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in json.loads(found)
                if v["id"] not in options]
