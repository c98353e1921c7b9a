"""A page of the console in a real Chromium, and the service behind it."""

import contextlib
import dataclasses
import http.client
import importlib.resources
import json
import os
import urllib.parse

from playwright.sync_api import Page, expect, sync_playwright

TIMEOUT = 20_000
expect.set_options(timeout=TIMEOUT)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@dataclasses.dataclass
class Service:
    """The addresses of a project that `sidecar-invoker up` serves."""

    console: str
    url: str

    def call(self, method, target, body=None, headers=None):
        """Calls the project's function through Envoy, and returns status and text."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def restart(self):
        """Has the invoker and Envoy ended and started again, with the console at the same address."""
        print("restart", flush=True)
        self.url = input()


@contextlib.contextmanager
def browser():
    """Starts the browser."""
    # A container has neither the sandbox's namespaces nor a large /dev/shm.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=os.environ["LAMBDA_MESH_BROWSER"], args=arguments)
        try:
            yield chromium
        finally:
            chromium.close()


@contextlib.contextmanager
def opened(chromium, service, path="", may_fail=False, viewport=None, **options):
    """Opens the console, and fails if the page has reported an error or broken its security policy."""
    context = chromium.new_context(viewport=viewport or DESKTOP, reduced_motion="reduce", **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("request", lambda request: check_origin(request.url, service, problems))
    page.goto(service.console + path)
    expect(page.locator("#connection-text")).to_have_text("Live")
    yield page
    context.close()
    assert may_fail or problems == [], problems


def check_origin(url, service, problems):
    """Notes a request to anybody but the invoker."""
    if not url.startswith(service.console) and not url.startswith(("data:", "blob:")):
        problems.append(f"a request to {url}")


def rows(page: Page, which=""):
    """Returns the rows of the list. The options of selections have the same role."""
    return page.locator(f"#rows [role=option]{which}")


def row(page: Page, text):
    """Returns the newest row with this text."""
    return rows(page).filter(has_text=text).first


def choose(page: Page, text):
    """Opens the newest invocation whose row has this text, and waits until it is shown and done."""
    item = row(page, text)
    expect(item.locator(".badge.running")).to_have_count(0)
    item.click()
    expect(page.locator("#detail-title .badge")).to_have_text(item.locator(".badge").inner_text())


def tab(page: Page, name):
    """Chooses the tab, and returns the text of its panel."""
    page.locator(f"#tab-{name}").click()
    expect(page.locator(f"#tab-{name}")).to_have_attribute("aria-selected", "true")
    return page.locator("#panel").inner_text()


def shown_json(page: Page):
    """Returns the value of the JSON in the panel."""
    return json.loads(page.locator("#panel .code").first.inner_text())


def check_accessibility(page: Page, where):
    """Fails if axe finds anything on the page."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    # Playwright evaluates in the page without its security policy.
    page.evaluate(axe)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)")
    short = [(one["id"], [(node["html"][:160], node["failureSummary"]) for node in one["nodes"][:3]]) for one in found]
    assert short == [], f"{where}: {json.dumps(short, indent=2)}"


def check_width(page: Page, where):
    """Fails if the page is wider than the window."""
    widths = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], f"{where}: {widths}"
    wide = page.evaluate(
        """() => [...document.querySelectorAll("#main *")].filter((node) => {
            if (node.closest(".visually-hidden, .tabs, .scroll, svg, .row-main, .row-about")) return false;
            const box = node.getBoundingClientRect();
            return box.width > 0 && box.right > innerWidth + 1;
        }).map((node) => node.outerHTML.slice(0, 120))"""
    )
    assert wide == [], f"{where}: {wide}"
