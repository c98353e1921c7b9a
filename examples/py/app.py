"""A Lambda function without any framework: it takes the event of an API Gateway HTTP API
(payload format 2.0) and returns a dictionary with status, headers, cookies and body.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json


def handler(event, context):
    http = event["requestContext"]["http"]
    body = event.get("body", "")
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode(errors="replace")
    print(http["method"], event["rawPath"])
    return {
        "statusCode": 201 if http["method"] == "POST" else 200,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "cookies": ["visited=yes; Path=/; HttpOnly"],
        "body": json.dumps(
            {
                "message": "hello from Python",
                "method": http["method"],
                "path": event["rawPath"],
                "query": event.get("queryStringParameters", {}),
                "body": body,
                "request_id": context.aws_request_id,
            }
        ),
    }
