"""The pictures of the documentation."""

import time

from playwright.sync_api import expect

from session import PHONE, choose, opened, tab


def pictures(chromium, service, folder):
    """Writes the pictures of the documentation."""
    secret = {"authorization": "Bearer c29tZSBzZWNyZXQ", "content-type": "application/json"}
    for number in range(6):
        service.call("GET", f"/orders/{4711 + number}?expand=items", headers=secret)
        time.sleep(0.2)
    service.call("POST", "/orders", '{"item":"A-17","count":2}', secret)
    service.call("GET", "/missing")
    service.call("GET", "/fail")
    for scheme in ["light", "dark"]:
        with opened(chromium, service, color_scheme=scheme) as page:
            choose(page, "/fail")
            page.screenshot(path=folder / f"console-{scheme}.png")
            choose(page, "POST /orders")
            tab(page, "event")
            page.get_by_label("Show as").select_option("alb")
            expect(page.locator(".diff")).to_be_visible()
            if scheme == "light":
                page.locator("#detail").evaluate("(node) => node.scrollTo(0, 10_000)")
                page.screenshot(path=folder / "console-comparison.png")
            page.locator("#nav-functions").click()
            if scheme == "dark":
                for number in range(40):
                    service.call("GET", "/fail" if number % 9 == 8 else f"/orders/{number}")
                    time.sleep(0.25)
                page.screenshot(path=folder / "console-functions.png", clip={"x": 0, "y": 0, "width": 1280, "height": 500})
    with opened(chromium, service, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True) as page:
        choose(page, "POST /orders")
        page.screenshot(path=folder / "console-phone.png")
