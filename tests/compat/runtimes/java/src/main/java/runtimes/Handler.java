package runtimes;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

/** Called by AWS's runtime client for Java, aws-lambda-java-runtime-interface-client. */
public class Handler implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  @Override
  public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
    switch ((String) event.get("rawPath")) {
      case "/fail" -> throw new IllegalStateException("as asked");
      case "/hang" -> hang();
      default -> { }
    }
    return Map.of(
        "event", event,
        "request_id", context.getAwsRequestId(),
        "remaining_ms", context.getRemainingTimeInMillis(),
        "environment", context.getLogStreamName());
  }

  private static void hang() {
    try {
      Thread.sleep(600_000);
    } catch (InterruptedException interrupted) {
      throw new IllegalStateException(interrupted);
    }
  }
}
