"""The routes of the compatibility matrix on Powertools, whose resolvers read one format each."""

import base64
import os
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs, unquote

from aws_lambda_powertools.event_handler import (
    ALBResolver,
    APIGatewayHttpResolver,
    APIGatewayRestResolver,
    LambdaFunctionUrlResolver,
    Response,
    VPCLatticeResolver,
    VPCLatticeV2Resolver,
)
from aws_lambda_powertools.shared.cookies import Cookie

RESOLVERS = {
    "apigateway-v1": APIGatewayRestResolver,
    "apigateway-v2": APIGatewayHttpResolver,
    "function-url": LambdaFunctionUrlResolver,
    "alb": lambda: ALBResolver(decode_query_parameters=True),
    "alb-multi-value": lambda: ALBResolver(decode_query_parameters=True),
    "vpc-lattice-v1": VPCLatticeResolver,
    "vpc-lattice-v2": VPCLatticeV2Resolver,
}
app = RESOLVERS[os.environ["PAYLOAD_FORMAT"]]()


def header(name):
    value = app.current_event.resolved_headers_field[name]
    return value[0] if isinstance(value, list) else value


def body():
    """The bytes of the body, which the resolvers decode as text only."""
    event = app.current_event
    return base64.b64decode(event.body) if event.is_base64_encoded else event.body.encode()


@app.get("/query")
def query():
    parameters = app.current_event.resolved_query_string_parameters
    if os.environ["PAYLOAD_FORMAT"].startswith("vpc-lattice"):
        # As ALB, VPC Lattice leaves them as they are in the URL; its resolvers have no option.
        return {
            unquote(name): [unquote(value) for value in values]
            for name, values in parameters.items()
        }
    return parameters


@app.get("/cookies")
def cookies():
    return Response(
        200,
        "application/json",
        app.current_event.resolved_cookies_field,
        cookies=[Cookie("first", "1"), Cookie("second", "2")],
    )


@app.post("/json")
def json():
    return app.current_event.json_body


@app.post("/form")
def form():
    return parse_qs(body().decode(), keep_blank_values=True)


@app.post("/upload")
def upload():
    head = f"content-type: {header('content-type')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body())
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    headers = {"x-filename": parts["file"].get_filename(), "x-note": parts["note"].get_content().strip()}
    return Response(200, "application/octet-stream", parts["file"].get_payload(decode=True), headers)


@app.get("/binary")
def binary():
    return Response(200, "application/octet-stream", bytes(range(256)))


@app.get("/redirect")
def redirect():
    return Response(302, headers={"location": "/query?from=redirect"})


@app.get("/boom")
def boom():
    raise RuntimeError("boom")


@app.head("/head")
def head():
    return Response(200, headers={"x-method": app.current_event.http_method})


@app.get("/path/<name>")
def path(name):
    return {"name": unquote(name)}


handler = app.resolve
