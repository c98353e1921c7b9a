"""What the reader does with invocations: replay, copy, save, filter, clear."""

import json
import pathlib

from playwright.sync_api import expect

from session import choose, opened, rows, shown_json, tab


def an_invocation_is_replayed_as_it_was_or_edited(chromium, service):
    """An invocation is replayed as it was, with another event, and with another request."""
    secret = "Bearer c29tZSBzZWNyZXQ"
    service.call("POST", "/echo", '{"count":1}', {"content-type": "application/json", "authorization": secret})
    with opened(chromium, service) as page:
        choose(page, "/echo")
        page.get_by_role("button", name="Replay", exact=True).click()
        expect(rows(page)).to_have_count(2)
        expect(page.locator(".detail .chips")).to_contain_text("replay of")

        page.locator("#edit-and-replay").click()
        area = page.get_by_role("dialog").get_by_label("Event", exact=True).last
        area.fill("{")
        page.get_by_role("dialog").get_by_role("button", name="Replay").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("not valid JSON")
        area.fill(json.dumps({"rawPath": "/edited", "body": "from the editor", "headers": {}}))
        page.get_by_role("dialog").get_by_role("button", name="Replay").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(rows(page)).to_have_count(3)
        tab(page, "payload")
        expect(page.locator("#panel")).to_contain_text("from the editor")

        choose(page, "/echo")
        page.locator("#edit-and-replay").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("HTTP request").check()
        dialog.get_by_label("Path and query").fill("/echo?changed=yes")
        dialog.get_by_label("Body").fill('{"count":2}')
        dialog.get_by_label("Headers").press("Control+End")
        dialog.get_by_label("Headers").press("Enter")
        dialog.get_by_label("Headers").type("x-new")
        dialog.get_by_role("button", name="Replay").click()
        expect(dialog.get_by_role("alert")).to_contain_text("of the headers has no name")
        dialog.get_by_label("Headers").type(": but now")
        dialog.get_by_role("button", name="Replay").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(rows(page)).to_have_count(4)
        expect(page.locator("#detail-title")).to_contain_text("/echo?changed=yes")
        page.get_by_role("button", name="Reveal secrets").click()
        tab(page, "event")
        expect(page.locator("#panel")).to_contain_text("but now")
        event = shown_json(page)
        assert event["body"] == '{"count":2}' and event["rawQueryString"] == "changed=yes", event
        # What was masked was sent as it was.
        assert event["headers"]["authorization"] == secret, event


def an_invocation_is_copied_and_saved(chromium, service):
    """The invocation can be taken along: as a command, as an event, as a file."""
    service.call("POST", "/orders?x=1", '{"item":1}', {"content-type": "application/json"})
    origin = service.console.split("/console")[0]
    with opened(chromium, service) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
        choose(page, "/orders?x=1")
        for label, part in [("curl", "curl "), ("invoke command", "invoke "), ("test event", '"rawPath"')]:
            page.locator("#copy-menu").click()
            page.get_by_role("button", name=f"Copy as {label}").click()
            expect(page.locator("#toast")).to_contain_text("copied")
            text = page.evaluate("() => navigator.clipboard.readText()")
            assert part in text, text
        with page.expect_download() as download:
            page.get_by_role("button", name="Save").click()
        saved = json.loads(pathlib.Path(download.value.path()).read_text())
        assert saved["http_request"]["target"] == "/orders?x=1", saved


def the_list_is_filtered_paused_and_cleared(chromium, service):
    """The list shows what the reader asks for, stands still on request, and can be emptied."""
    for target in ["/orders/1", "/fail", "/missing"]:
        service.call("GET", target)
    with opened(chromium, service) as page:
        listed = rows(page)
        expect(listed).to_have_count(3)
        for value, count, text in [("failures", 1, "/fail"), ("4xx", 1, "/missing"), ("2xx", 1, "/orders/1")]:
            page.get_by_label("Result").select_option(value)
            expect(listed).to_have_count(count)
            expect(listed.first).to_contain_text(text)
        page.get_by_label("Result").select_option("")
        page.get_by_label("Function", exact=True).select_option("mail")
        expect(page.get_by_text("No invocation passes the filter.")).to_be_visible()
        page.get_by_label("Function", exact=True).select_option("shop")
        expect(listed).to_have_count(3)
        page.get_by_label("Text to find").fill("get ORDERS")
        expect(listed).to_have_count(1)
        page.get_by_label("Text to find").fill("nothing has this")
        expect(page.get_by_text("No invocation passes the filter.")).to_be_visible()
        page.get_by_label("Text to find").fill("")
        page.get_by_role("button", name="Pause").click()
        service.call("GET", "/orders/2")
        expect(page.locator("#counts")).to_contain_text("paused, 1 new")
        expect(listed).to_have_count(3)
        page.get_by_role("button", name="Resume").click()
        expect(listed).to_have_count(4)
        page.get_by_role("button", name="Clear").click()
        expect(listed).to_have_count(0)
        page.reload()
        expect(page.get_by_text("No invocation yet")).to_be_visible()
