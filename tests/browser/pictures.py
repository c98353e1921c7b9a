"""The pictures of the documentation."""

import time

from playwright.sync_api import expect

from session import PHONE, choose, opened, tab

# Small enough for files of less than 150 kB.
WINDOW = {"width": 1100, "height": 700}


def pictures(chromium, service, folder):
    """Writes the pictures to the folder."""
    headers = {"authorization": "Bearer c29tZSBzZWNyZXQ", "content-type": "application/json", "user-agent": "curl/8.5.0"}
    for number in range(6):
        service.call("GET", f"/orders/{4711 + number}?expand=items", headers=headers)
        time.sleep(0.2)
    service.call("POST", "/mail", '{"to":"ada@example.com"}', headers)
    service.call("POST", "/orders", '{"item":"A-17","count":2}', headers)
    service.call("GET", "/missing", headers=headers)
    service.call("POST", "/fail", '{"cart":7}', headers)
    for scheme in ["light", "dark"]:
        with opened(chromium, service, viewport=WINDOW, color_scheme=scheme) as page:
            choose(page, "/fail")
            page.screenshot(path=folder / f"console-{scheme}.png")
    with opened(chromium, service, viewport=WINDOW) as page:
        choose(page, "POST /orders")
        tab(page, "event")
        page.get_by_label("Show as").select_option("alb")
        expect(page.locator(".diff")).to_be_visible()
        page.locator("#detail").evaluate("(node) => node.scrollTo(0, 10_000)")
        page.locator("#detail").screenshot(path=folder / "console-comparison.png")
    with opened(chromium, service, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True) as page:
        choose(page, "POST /orders")
        page.screenshot(path=folder / "console-phone.png")
    with opened(chromium, service, viewport=WINDOW, color_scheme="dark") as page:
        page.locator("#nav-functions").click()
        end = time.monotonic() + 45
        number = 0
        while time.monotonic() < end:
            number += 1
            path = "/fail" if number % 40 == 39 else "/mail" if number % 3 == 0 else "/orders/1"
            service.call("POST" if path == "/mail" else "GET", path, headers=headers)
            time.sleep(0.02 + 0.06 * abs((number % 200) / 100 - 1))
        cards = [card.bounding_box() for card in page.locator("article").all()]
        bottom = max(card["y"] + card["height"] for card in cards)
        page.screenshot(
            path=folder / "console-functions.png",
            clip={"x": 0, "y": 0, "width": WINDOW["width"], "height": bottom + 18},
        )
