package compat;

import jakarta.ws.rs.Consumes;
import jakarta.ws.rs.GET;
import jakarta.ws.rs.HEAD;
import jakarta.ws.rs.POST;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;
import jakarta.ws.rs.Produces;
import jakarta.ws.rs.core.Context;
import jakarta.ws.rs.core.Cookie;
import jakarta.ws.rs.core.HttpHeaders;
import jakarta.ws.rs.core.MediaType;
import jakarta.ws.rs.core.MultivaluedMap;
import jakarta.ws.rs.core.NewCookie;
import jakarta.ws.rs.core.Response;
import jakarta.ws.rs.core.UriInfo;
import java.net.URI;
import java.util.Map;
import java.util.stream.Collectors;
import org.glassfish.jersey.media.multipart.FormDataBodyPart;
import org.glassfish.jersey.media.multipart.FormDataParam;

@Path("/")
@Produces(MediaType.APPLICATION_JSON)
public class Routes {
    @GET
    @Path("query")
    public MultivaluedMap<String, String> query(@Context UriInfo uri) {
        return uri.getQueryParameters();
    }

    @GET
    @Path("cookies")
    public Response cookies(@Context HttpHeaders headers) {
        Map<String, String> received = headers.getCookies().values().stream()
                .collect(Collectors.toMap(Cookie::getName, Cookie::getValue));
        return Response.ok(received)
                .cookie(new NewCookie.Builder("first").value("1").build())
                .cookie(new NewCookie.Builder("second").value("2").build())
                .build();
    }

    @POST
    @Path("json")
    public Object json(Map<String, Object> body) {
        return body;
    }

    @POST
    @Path("form")
    @Consumes(MediaType.APPLICATION_FORM_URLENCODED)
    public MultivaluedMap<String, String> form(MultivaluedMap<String, String> fields) {
        return fields;
    }

    @POST
    @Path("upload")
    @Consumes(MediaType.MULTIPART_FORM_DATA)
    @Produces(MediaType.APPLICATION_OCTET_STREAM)
    public Response upload(
            @FormDataParam("file") FormDataBodyPart file, @FormDataParam("note") String note) {
        return Response.ok(file.getValueAs(byte[].class))
                .header("x-filename", file.getContentDisposition().getFileName())
                .header("x-note", note)
                .build();
    }

    @GET
    @Path("binary")
    @Produces(MediaType.APPLICATION_OCTET_STREAM)
    public byte[] binary() {
        byte[] content = new byte[256];
        for (int value = 0; value < content.length; value++) {
            content[value] = (byte) value;
        }
        return content;
    }

    @GET
    @Path("redirect")
    public Response redirect() {
        return Response.status(Response.Status.FOUND)
                .location(URI.create("/query?from=redirect"))
                .build();
    }

    @GET
    @Path("boom")
    public String boom() {
        throw new IllegalStateException("boom");
    }

    @HEAD
    @Path("head")
    public Response head() {
        return Response.ok().header("x-method", "HEAD").build();
    }

    @GET
    @Path("path/{name}")
    public Map<String, String> path(@PathParam("name") String name) {
        return Map.of("name", name);
    }
}
