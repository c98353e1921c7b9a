"""Restarts, sleep, strangers and bursts."""

import concurrent.futures
import http.server
import sys
import threading
import time

from playwright.sync_api import expect

from session import choose, opened, row, rows, tab

# The invocations that the invoker keeps.
KEPT = 500


def the_page_connects_again_after_a_restart(chromium, service):
    """After a restart of the invoker, the page connects again and shows what is there now."""
    service.call("GET", "/orders/before")
    with opened(chromium, service, may_fail=True) as page:
        choose(page, "/orders/before")
        service.restart()
        expect(page.locator("#connection-text")).to_have_text("Live")
        service.call("GET", "/orders/after")
        expect(row(page, "/orders/after")).to_be_visible()
        expect(rows(page)).to_have_count(1)
        # What the reader looked at is still there, and says that it is the past.
        expect(page.locator("#detail-title")).to_contain_text("/orders/before")
        expect(page.locator(".gone")).to_be_visible()
        assert "/orders/before" in tab(page, "request")
        expect(page.get_by_role("button", name="Replay", exact=True)).to_be_disabled()
        choose(page, "/orders/after")
        expect(page.get_by_role("button", name="Replay", exact=True)).to_be_enabled()


def a_page_that_slept_an_hour_connects_again(chromium, service):
    """A page that slept connects again, although its connection looks alive."""
    with opened(chromium, service) as page:
        page.clock.install()
        page.reload()
        expect(page.locator("#connection-text")).to_have_text("Live")
        streams = []
        page.on("request", lambda request: "/api/stream" in request.url and streams.append(request.url))
        service.call("GET", "/orders/1")
        page.clock.fast_forward("01:00:00")
        page.clock.run_for(6_000)
        expect(row(page, "/orders/1")).to_be_visible()
        assert streams, "the page did not connect again"


def a_page_of_another_origin_reads_and_changes_nothing(chromium, service):
    """A page from elsewhere can neither read nor replay nor clear."""
    service.call("GET", "/orders/1", headers={"x-word": "confidential"})

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    attempts = """async (base) => {
        const text = async (path, options) => {
            try { return await (await fetch(base + path, options)).text(); } catch { return "refused"; }
        };
        const stream = new EventSource(base + "api/stream");
        const streamed = await new Promise((done) => {
            stream.onopen = () => done("open");
            stream.onerror = () => done("refused");
            setTimeout(() => done("nothing"), 3000);
        });
        stream.close();
        const frame = document.createElement("iframe");
        frame.src = base;
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
        let framed = "refused";
        try { framed = frame.contentDocument.body.innerText; } catch {}
        return [
            await text("api/invocations"),
            await text("api/invocations/1?reveal=true", { mode: "no-cors" }),
            await text("api/invocations/1/replay", { method: "POST", body: "{}" , mode: "no-cors" }),
            await text("api/invocations", { method: "DELETE" }),
            streamed,
            framed,
        ];
    }"""
    context = chromium.new_context()
    page = context.new_page()
    # The other name is another site; the other port alone is another origin of the same site.
    for host in ["127.0.0.1", "localhost"]:
        page.goto(f"http://{host}:{server.server_port}/")
        results = page.evaluate(attempts, service.console)
        assert all("confidential" not in result and "/orders/1" not in result for result in results), results
        assert results[0] == "refused" and results[3] == "refused" and results[4] == "refused", results
    context.close()
    server.shutdown()
    with opened(chromium, service) as page:
        expect(rows(page)).to_have_count(1)


def a_burst_leaves_the_page_quick_and_is_counted(chromium, service):
    """A burst leaves the page quick and its list bounded, and what was not shown is counted."""
    burst = 2000
    with opened(chromium, service) as page:
        page.evaluate(
            """() => {
                window.longest = 0;
                let last = performance.now();
                const frame = (now) => {
                    window.longest = Math.max(window.longest, now - last);
                    last = now;
                    requestAnimationFrame(frame);
                };
                requestAnimationFrame(frame);
            }"""
        )
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = [status for status, _ in pool.map(lambda n: service.call("GET", f"/orders/{n}"), range(burst))]
        assert set(statuses) == {200}, set(statuses)
        seconds = time.monotonic() - start
        # What came too fast is fetched afterwards, as far as the invoker keeps it.
        expect(page.locator("#counts")).to_have_text(f"{KEPT} invocations")
        nodes = rows(page).count()
        longest = page.evaluate("() => window.longest")
        print(f"{burst} invocations in {seconds:.1f} s, {nodes} rows, longest frame {longest:.0f} ms", file=sys.stderr)
        assert nodes < 60, nodes
        # Generous: Envoy, the function and the browser share the cores.
        assert longest < 2000, longest
        choose(page, "/orders/")
        page.locator("#rows").focus()
        page.keyboard.press("End")
        expect(rows(page, "[aria-selected=true]")).to_have_attribute("aria-posinset", str(KEPT))
