"""A stand-in for Slack's API, which prints the messages that it gets. It knows no channel `#nowhere`."""

import json


def handler(event, context):
    message = json.loads(event["body"])
    if message["channel"] == "#nowhere":
        answer = {"ok": False, "error": "channel_not_found"}
    else:
        print(message["channel"], message["attachments"][0]["text"])
        answer = {"ok": True, "channel": message["channel"]}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
