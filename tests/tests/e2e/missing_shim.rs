//! Without the Lua filter that gives every request a body.

use lambda_mesh_tests::mesh::Mesh;
use lambda_mesh_tests::shared::Part;
use lambda_mesh_tests::upstream::Upstream;
use serde_json::json;

#[test]
fn a_request_without_a_body_is_refused_not_passed_through() {
    let upstream = Upstream::answering(json!({ "statusCode": 200 }));
    let mesh = Mesh::to(&upstream)
        .edit(|config| {
            config
                .filters()
                .retain(|filter| filter["name"] != "lambda.body");
        })
        .start();
    let answer = mesh.get("/2015-03-31/functions/secret/invocations").send();
    assert_eq!(answer.status, 500);
    let request = mesh
        .request("POST", "/")
        .http2()
        .trailer("x-only", "trailers");
    assert_eq!(request.send().status, 501);
    assert_eq!(upstream.calls().len(), 0);
    mesh.log_with("Lua filter");

    assert_eq!(mesh.post("/", "a body").send().status, 200);
    assert_eq!(
        upstream.call().path,
        "/2015-03-31/functions/probe/invocations"
    );
}
