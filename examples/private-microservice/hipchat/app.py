"""HipChat's API in front of Slack: programs that still send to HipChat reach Slack, and stay as they are.

A function for an Application Load Balancer, written with lambdarest.
"""

import base64
import hmac
import json
import os
import urllib.error
import urllib.request
from urllib.parse import unquote

try:
    import distutils  # noqa: F401  for lambdarest
except ModuleNotFoundError:  # Python 3.12 and newer
    import setuptools  # noqa: F401
from lambdarest import Response, create_lambda_handler

SLACK_API = os.environ.get("SLACK_API", "https://slack.com/api")
SLACK_TOKEN = os.environ["SLACK_TOKEN"]
# The HipChat tokens of the programs that may send. Others could fill our Slack with anything.
TOKENS = os.environ["HIPCHAT_TOKENS"].split()
# HipChat's colours, as Slack shows them beside a message.
COLOURS = {"green": "good", "yellow": "warning", "red": "danger", "purple": "#8b5cf6", "gray": "#9ca3af"}
# What we take of HipChat's "Send room notification".
NOTIFICATION = {
    "properties": {
        "body": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string", "minLength": 1, "maxLength": 10000},
                "color": {"enum": [*COLOURS, "random"]},
            },
        }
    }
}

app = create_lambda_handler(application_load_balancer=True)


def handler(event, context):
    # A load balancer encodes bodies that are not text by their type, such as `curl -d`. lambdarest takes them as they are.
    if event["isBase64Encoded"]:
        event["body"] = base64.b64decode(event["body"]).decode(errors="replace")
    return app(event, context)


@app.handle("post", path="/v2/room/<room>/notification", schema=NOTIFICATION)
def notify(event, room):
    if not may_send(event):
        return error(401, "Unauthorized", "this token is not on the list")
    body = event["json"]["body"]
    colour = COLOURS.get(body.get("color", "yellow"), "#3b82f6")
    # A load balancer passes the path as it came: `Ops%20Team`. Slack's channels have no spaces.
    channel = "#" + unquote(room).lower().replace(" ", "-")
    attachment = {"text": body["message"], "color": colour}
    try:
        answer = slack("chat.postMessage", {"channel": channel, "attachments": [attachment]})
    except (urllib.error.URLError, ValueError) as cause:
        print(f"Slack cannot be reached: {cause}")
        return error(502, "Bad Gateway", "Slack cannot be reached")
    if not answer["ok"]:
        print(f"Slack refuses a message to {channel}: {answer['error']}")
        return error(404, "Not Found", f"Slack: {answer['error']}")
    # As HipChat does: no content.
    return Response(status_code=204)


def may_send(event):
    # HipChat takes a token in a header or in the query.
    kind, _, token = event["headers"].get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        token = event["queryStringParameters"].get("auth_token", "")
    return any(hmac.compare_digest(token.encode(), known.encode()) for known in TOKENS)


def slack(method, message):
    request = urllib.request.Request(
        f"{SLACK_API}/{method}",
        json.dumps(message).encode(),
        {"Authorization": f"Bearer {SLACK_TOKEN}", "Content-Type": "application/json; charset=utf-8"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def error(status, kind, message):
    return {"error": {"code": status, "type": kind, "message": message}}, status
