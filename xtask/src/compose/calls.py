"""Calls both functions by their host names, from a container on their network. The first argument is
the number of concurrent calls of each function. Exits with 0 if every call got its own response."""

import concurrent.futures
import json
import socket
import sys
import urllib.request

calls = int(sys.argv[1])


def call(name, number):
    request = urllib.request.Request(
        f"http://{name}.lambda.internal:8080/{number}?n={number}",
        data=f"call {number}".encode(),
        headers={"content-type": "text/plain"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        echo = json.load(response)
    expected = {"method": "POST", "path": f"/{number}", "query": {"n": str(number)}, "body": f"call {number}"}
    assert expected.items() <= echo.items(), f"expected {expected}, got {echo}"
    return echo["request_id"]


with concurrent.futures.ThreadPoolExecutor(2 * calls) as pool:
    responses = [
        pool.submit(call, name, number) for name in ("orders", "billing") for number in range(calls)
    ]
    ids = {response.result() for response in responses}
assert len(ids) == 2 * calls, f"{len(ids)} invocations for {2 * calls} calls"

for name in ("orders-function", "billing-function"):
    try:
        socket.getaddrinfo(name, 8080)
    except socket.gaierror:
        continue
    sys.exit(f"{name} can be reached, past the invoker")
