"""The routes of the compatibility matrix on lambdarest, which leaves reading the event to the function."""

import base64
import os
from email.parser import BytesParser
from email.policy import HTTP
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, unquote

from lambdarest import Response, create_lambda_handler

ALB = os.environ["PAYLOAD_FORMAT"].startswith("alb")
handler = create_lambda_handler(application_load_balancer=ALB)


def header(event, name):
    """The value of a header, in whichever of its two members the event has it."""
    headers = event.get("multiValueHeaders") or {
        key: [value] for key, value in event["headers"].items()
    }
    lower_case = {key.lower(): values for key, values in headers.items()}
    return ", ".join(lower_case.get(name, []))


def body(event):
    """The bytes of the body."""
    return base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()


def bytes_response(content, headers):
    response = {
        "statusCode": 200,
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }
    headers = {"content-type": "application/octet-stream"} | headers
    return response | answer_headers({name: [value] for name, value in headers.items()})


def answer_headers(headers):
    """The member that carries `headers`, which a load balancer reads in one form only."""
    if os.environ["PAYLOAD_FORMAT"] == "alb":
        return {"headers": {name: values[-1] for name, values in headers.items()}}
    return {"multiValueHeaders": headers}


def json_response(content, set_cookie=()):
    headers = {"content-type": ["application/json"]}
    if set_cookie:
        headers["set-cookie"] = set_cookie
    return Response(content, 200, **answer_headers(headers))


@handler.handle("get", path="/query", load_json=False)
def query(event):
    parameters = event.get("multiValueQueryStringParameters") or {
        name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
    }
    if ALB:
        parameters = {
            unquote(name): [unquote(value) for value in values]
            for name, values in parameters.items()
        }
    return json_response(parameters)


@handler.handle("get", path="/cookies", load_json=False)
def cookies(event):
    received = SimpleCookie(header(event, "cookie"))
    received = {name: cookie.value for name, cookie in received.items()}
    return json_response(received, set_cookie=["first=1", "second=2"])


@handler.handle("post", path="/json")
def json(event):
    return json_response(event["json"]["body"])


@handler.handle("post", path="/form", load_json=False)
def form(event):
    return json_response(parse_qs(body(event).decode(), keep_blank_values=True))


@handler.handle("post", path="/upload", load_json=False)
def upload(event):
    head = f"content-type: {header(event, 'content-type')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body(event))
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    headers = {"x-filename": parts["file"].get_filename(), "x-note": parts["note"].get_content().strip()}
    return bytes_response(parts["file"].get_payload(decode=True), headers)


@handler.handle("get", path="/binary", load_json=False)
def binary(event):
    return bytes_response(bytes(range(256)), {})


@handler.handle("get", path="/redirect", load_json=False)
def redirect(event):
    return Response("", 302, **answer_headers({"location": ["/query?from=redirect"]}))


@handler.handle("get", path="/boom", load_json=False)
def boom(event):
    raise RuntimeError("boom")


@handler.handle("head", path="/head", load_json=False)
def head(event):
    return Response("", 200, **answer_headers({"x-method": [event["httpMethod"]]}))


@handler.handle("get", path="/path/<name>", load_json=False)
def path(event, name):
    return json_response({"name": unquote(name)})
