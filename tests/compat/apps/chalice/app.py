"""The routes of the compatibility matrix on Chalice, each of which is a resource of a REST API."""

from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs, unquote

from chalice import Chalice, Response

app = Chalice(app_name="compat")
app.api.binary_types.append("application/octet-stream")


def multi_map(values):
    return {name: values.getlist(name) for name in values or {}}


@app.route("/query")
def query():
    return multi_map(app.current_request.query_params)


@app.route("/cookies")
def cookies():
    header = app.current_request.headers["cookie"]
    received = dict(cookie.split("=", 1) for cookie in header.split("; "))
    return Response(received, {"set-cookie": ["first=1", "second=2"]})


@app.route("/json", methods=["POST"])
def json():
    return app.current_request.json_body


@app.route("/form", methods=["POST"], content_types=["application/x-www-form-urlencoded"])
def form():
    return parse_qs(app.current_request.raw_body.decode(), keep_blank_values=True)


@app.route("/upload", methods=["POST"], content_types=["multipart/form-data"])
def upload():
    request = app.current_request
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.raw_body)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    headers = {
        "content-type": "application/octet-stream",
        "x-filename": parts["file"].get_filename(),
        "x-note": parts["note"].get_content().strip(),
    }
    return Response(parts["file"].get_payload(decode=True), headers)


@app.route("/binary")
def binary():
    return Response(bytes(range(256)), {"content-type": "application/octet-stream"})


@app.route("/redirect")
def redirect():
    return Response("", {"location": "/query?from=redirect"}, 302)


@app.route("/boom")
def boom():
    raise RuntimeError("boom")


@app.route("/head", methods=["HEAD"])
def head():
    return Response("", {"x-method": app.current_request.method})


@app.route("/path/{name}")
def path(name):
    return {"name": unquote(name)}
