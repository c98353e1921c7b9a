"""The page by keyboard, on a phone, and for assistive technology."""

from playwright.sync_api import expect

from session import PHONE, check_accessibility, check_width, choose, opened, row, rows, tab


def everything_works_by_keyboard_alone(chromium, service):
    """Everything can be reached without a pointer, and the focus can be seen."""
    for number in range(5):
        service.call("GET", f"/orders/{number}")
    with opened(chromium, service) as page:
        expect(rows(page)).to_have_count(5)
        keys = page.keyboard
        keys.press("Tab")
        expect(page.get_by_text("Skip to the invocations")).to_be_focused()
        keys.press("Enter")
        box = page.locator("#rows")
        expect(box).to_be_focused()
        outline = box.evaluate("(node) => getComputedStyle(node).outlineStyle")
        assert outline != "none", outline
        for key, target in [("ArrowDown", "/orders/4"), ("j", "/orders/3"), ("End", "/orders/0"), ("k", "/orders/1")]:
            keys.press(key)
            expect(rows(page, "[aria-selected=true]")).to_contain_text(target)
            expect(page.locator("#detail-title")).to_contain_text(target)
            active = box.get_attribute("aria-activedescendant")
            assert target in page.locator(f"#{active}").inner_text(), active
        keys.press("Enter")
        expect(page.locator("#detail-title")).to_be_focused()
        keys.press("4")
        expect(page.locator("#tab-response")).to_have_attribute("aria-selected", "true")
        page.locator("#tab-response").focus()
        keys.press("ArrowRight")
        expect(page.locator("#tab-log")).to_be_focused()
        expect(page.locator("#tab-log")).to_have_attribute("aria-selected", "true")
        keys.press("Escape")
        expect(box).to_be_focused()
        keys.press("/")
        keys.type("orders/2")
        expect(rows(page)).to_have_count(1)
        keys.press("Escape")
        expect(box).to_be_focused()
        keys.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Keys")
        keys.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        # The copy menu and the editor.
        keys.press("Home")
        page.locator("#copy-menu").focus()
        keys.press("Enter")
        expect(page.get_by_role("button", name="Copy as curl")).to_be_visible()
        keys.press("Escape")
        expect(page.locator("#copy-menu")).to_be_focused()
        page.locator("#edit-and-replay").focus()
        keys.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("Edit and replay")
        keys.press("Escape")
        expect(page.locator("#edit-and-replay")).to_be_focused()


def nothing_is_cut_off_on_a_phone(chromium, service):
    """At a width of 360 pixels, nothing is cut off, and the list and the invocation take turns."""
    service.call("GET", "/orders/with/a/path/that/is/longer/than/a/phone/is/wide?and=a&query=" + "x" * 200)
    service.call("GET", "/fail")
    with opened(chromium, service, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        expect(rows(page)).to_have_count(2)
        check_width(page, "list")
        for target in ["/orders/with", "/fail"]:
            row(page, target).tap()
            expect(page.locator("#detail-title")).to_contain_text(target)
            expect(page.locator("#rows")).to_be_hidden()
            for name in ["request", "event", "payload", "response", "log"]:
                tab(page, name)
                check_width(page, f"{target} {name}")
            page.get_by_role("button", name="Back to the list").tap()
            expect(page.locator("#rows")).to_be_visible()
        row(page, "/orders/with").tap()
        page.go_back()
        expect(page.locator("#rows")).to_be_visible()
        page.locator("#nav-functions").tap()
        expect(page.locator("article")).to_have_count(2)
        check_width(page, "functions")


def axe_finds_no_violation_in_light_and_dark(chromium, service):
    """axe finds no violation in any view, light or dark."""
    service.call("POST", "/orders?x=1", '{"item":1}', {"content-type": "application/json"})
    service.call("GET", "/fail")
    for scheme in ["light", "dark"]:
        with opened(chromium, service, color_scheme=scheme) as page:
            expect(rows(page)).to_have_count(2)
            check_accessibility(page, f"{scheme} list")
            for target in ["/orders", "/fail"]:
                choose(page, target)
                for name in ["request", "event", "payload", "response", "log"]:
                    tab(page, name)
                    check_accessibility(page, f"{scheme} {target} {name}")
            tab(page, "event")
            page.get_by_label("Show as").select_option("alb")
            expect(page.locator(".diff")).to_be_visible()
            check_accessibility(page, f"{scheme} comparison")
            page.locator("#edit-and-replay").click()
            expect(page.get_by_role("dialog")).to_be_visible()
            check_accessibility(page, f"{scheme} editor")
            page.keyboard.press("Escape")
            page.keyboard.press("?")
            check_accessibility(page, f"{scheme} help")
            page.keyboard.press("Escape")
            page.locator("#nav-functions").click()
            expect(page.locator("article svg")).to_have_count(4)
            page.get_by_text("Figures as a table").first.click()
            expect(page.locator(".figures-table[open] tbody tr").first).to_be_visible()
            check_accessibility(page, f"{scheme} functions")
