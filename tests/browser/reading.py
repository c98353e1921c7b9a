"""What the page shows of an invocation."""

from playwright.sync_api import expect

from session import check_width, choose, opened, row, shown_json, tab


def an_invocation_is_shown_from_request_to_response(chromium, service):
    """An invocation appears while the page is open, with each of its steps."""
    with opened(chromium, service) as page:
        expect(page.get_by_text("No invocation yet")).to_be_visible()
        service.call("POST", "/orders?x=1", '{"item":12.50}', {"content-type": "application/json"})
        expect(row(page, "/orders?x=1")).to_contain_text("201")
        choose(page, "/orders?x=1")
        request = tab(page, "request")
        assert "POST /orders?x=1" in request and "content-type" in request and "12.50" in request, request
        tab(page, "event")
        event = shown_json(page)
        assert event["rawPath"] == "/orders" and event["rawQueryString"] == "x=1", event
        assert event["body"] == '{"item":12.50}', event
        tab(page, "payload")
        assert shown_json(page)["statusCode"] == 201
        response = tab(page, "response")
        assert "HTTP 201" in response and "created" in response, response
        assert "order taken" in tab(page, "log")
        steps = page.locator(".timings tbody th").all_inner_texts()
        assert "Function" in steps, steps
        expect(page.locator(".why")).to_have_count(0)


def a_failure_has_its_reason_and_the_source(chromium, service):
    """A function error is explained, with a source."""
    status, _ = service.call("GET", "/fail")
    with opened(chromium, service) as page:
        choose(page, "/fail")
        expect(page.locator("#detail-title .badge")).to_have_text(str(status))
        expect(page.locator(".why")).to_contain_text("KeyError")
        link = page.locator(".why a")
        assert link.get_attribute("href").startswith("https://docs.aws.amazon.com/"), link.get_attribute("href")
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert "KeyError" in tab(page, "payload")
        assert "Traceback" in tab(page, "log") or "KeyError" in tab(page, "log")


def data_is_never_markup(chromium, service):
    """Markup in a path, a header, a payload and a log line stays text."""
    markup = "<img src=x onerror=document.title='broken'>"
    service.call("POST", "/markup", markup, {"x-markup": markup, "content-type": "text/plain"})
    with opened(chromium, service) as page:
        choose(page, "/markup")
        for name in ["request", "event", "payload", "response", "log"]:
            assert "<img src=x" in tab(page, name), name
        expect(page.locator("#main img")).to_have_count(0)
        assert page.title() == "lambda-mesh console", page.title()


def secrets_are_masked_until_they_are_revealed(chromium, service):
    """A secret is masked until the reader asks for it, and again for the next invocation."""
    secret = "Bearer c29tZSBzZWNyZXQ"
    service.call("GET", "/orders/1", headers={"authorization": secret, "cookie": "session=c29tZSBzZWNyZXQ"})
    service.call("GET", "/orders/2", headers={"authorization": secret})
    with opened(chromium, service) as page:
        choose(page, "/orders/1")
        for name in ["request", "event"]:
            text = tab(page, name)
            assert "authorization" in text and "c29tZSBzZWNyZXQ" not in text, text
        page.get_by_role("button", name="Reveal secrets").click()
        expect(page.get_by_role("button", name="Hide secrets")).to_be_focused()
        for name in ["request", "event"]:
            assert secret in tab(page, name), name
        page.get_by_role("button", name="Hide secrets").click()
        expect(page.locator("#panel")).not_to_contain_text("c29tZSBzZWNyZXQ")
        page.get_by_role("button", name="Reveal secrets").click()
        expect(page.locator("#panel")).to_contain_text(secret)
        choose(page, "/orders/2")
        expect(page.locator("#panel")).not_to_contain_text("c29tZSBzZWNyZXQ")


def other_formats_and_contracts_are_compared(chromium, service):
    """The request is shown in another event format, and the payload by another contract."""
    service.call("GET", "/orders/1?x=1")
    with opened(chromium, service) as page:
        choose(page, "/orders/1")
        tab(page, "event")
        page.get_by_label("Show as").select_option("alb")
        diff = page.locator(".diff")
        expect(diff.locator("ins").filter(has_text="targetGroupArn")).to_have_count(1)
        expect(diff.locator("del").filter(has_text="rawPath")).to_have_count(1)
        everything = diff.locator("tr:visible").count()
        page.get_by_label("Only what differs").check()
        assert diff.locator("tr:visible").count() < everything
        names = page.get_by_label("Show as").locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        for name in names[1:]:
            page.get_by_label("Show as").select_option(name)
            expect(page.locator(".compared").locator(".diff, .problem").first).to_be_visible()
        tab(page, "response")
        choices = page.get_by_label("As the function would answer")
        names = choices.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        assert len(names) > 2, names
        for name in names[1:]:
            choices.select_option(name)
            expect(page.locator(".compared").locator(".diff, .problem").first).to_be_visible()
        choices.select_option("")
        expect(page.locator(".compared .first-line")).to_contain_text("HTTP 200")


def a_megabyte_is_shown_on_request(chromium, service):
    """A log line and a payload of a megabyte do not stop the page. The reader asks for the rest."""
    service.call("GET", "/log/1000000")
    service.call("GET", "/long/1000000")
    with opened(chromium, service) as page:
        panel = page.locator("#panel")
        code = panel.locator(".code")
        choose(page, "/log/1000000")
        tab(page, "log")
        expect(code).to_contain_text("xxxx")
        assert len(code.text_content()) <= 65_536
        expect(panel.locator(".notice").or_(panel.get_by_role("button", name="Show all")).first).to_be_visible()
        check_width(page, "log")
        choose(page, "/long/1000000")
        tab(page, "response")
        assert len(code.text_content()) <= 65_536
        panel.get_by_role("button", name="Load all of it").click()
        expect(panel.get_by_role("button", name="Load all of it")).to_have_count(0)
        panel.get_by_role("button", name="Show all").click()
        expect(panel.get_by_role("button", name="Show all")).to_have_count(0)
        assert len(code.text_content()) == 1_000_000
        check_width(page, "response")


def documents_are_formatted_and_compared_exactly(chromium, service):
    """JSON is laid out without a change of its tokens, and a comparison has every line of both sides."""
    documents = {
        '{"a":12345678901234567890,"b":1.50,"a":"\\u00e9\\"}{","c":[],"d":{},"e":[1,[true,null]]}': (
            '{\n  "a": 12345678901234567890,\n  "b": 1.50,\n  "a": "\\u00e9\\"}{",\n  "c": [],\n  "d": {},\n'
            '  "e": [\n    1,\n    [\n      true,\n      null\n    ]\n  ]\n}'
        ),
        "{": None,
        "text": None,
        '"text"': None,
    }
    with opened(chromium, service) as page:
        for document, expected in documents.items():
            shown = page.evaluate("async (text) => (await import('./text.js')).pretty(text)", document)
            assert shown == expected, shown
        pretty = page.evaluate(
            "async (size) => (await import('./text.js')).pretty(JSON.stringify({ long: 'x'.repeat(size) })).length",
            1_000_000,
        )
        assert pretty == 1_000_000 + len('{\n  "long": ""\n}'), pretty
        compare = "async ([before, after]) => (await import('./diff.js')).diffLines(before, after)"
        for before, after in [("a\nb\nc", "a\nc"), ("", "x\ny"), ("a\nb", "b\na"), ("1\n2\n3\n4", "1\n3\n2\n5\n4")]:
            lines = page.evaluate(compare, [before, after])
            sides = [[line["text"] for line in lines if line["kind"] != kind] for kind in ("added", "removed")]
            assert sides == [before.split("\n"), after.split("\n")], lines
        other = ["\n".join(f"{side}{number}" for number in range(3_000)) for side in "ab"]
        assert page.evaluate(compare, other) is None
