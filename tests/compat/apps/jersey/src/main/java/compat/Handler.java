package compat;

import com.amazonaws.serverless.proxy.internal.LambdaContainerHandler;
import com.amazonaws.serverless.proxy.jersey.JerseyLambdaContainerHandler;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.glassfish.jersey.jackson.JacksonFeature;
import org.glassfish.jersey.media.multipart.MultiPartFeature;
import org.glassfish.jersey.server.ResourceConfig;

/** The routes of the compatibility matrix on Jersey, behind serverless-java-container. */
public class Handler implements RequestStreamHandler {
    private final JerseyLambdaContainerHandler<?, ?> container = container();

    /** Each container reads one format; that of REST APIs reads load balancers' too. */
    private static JerseyLambdaContainerHandler<?, ?> container() {
        // The default is ISO-8859-1, which JSON never is.
        LambdaContainerHandler.getContainerConfig().setDefaultContentCharset("UTF-8");
        var app = new ResourceConfig(Routes.class, JacksonFeature.class, MultiPartFeature.class);
        return switch (System.getenv("PAYLOAD_FORMAT")) {
            case "apigateway-v2", "function-url" ->
                JerseyLambdaContainerHandler.getHttpApiV2ProxyHandler(app);
            default -> JerseyLambdaContainerHandler.getAwsProxyHandler(app);
        };
    }

    @Override
    public void handleRequest(InputStream event, OutputStream answer, Context context)
            throws IOException {
        container.proxyStream(event, answer, context);
    }
}
