"""Called by AWS's runtime client for Python, `awslambdaric`."""
import os
import time


def handler(event, context):
    match event["rawPath"]:
        case "/fail":
            raise ValueError("as asked")
        case "/hang":
            time.sleep(600)
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "environment": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
    }
