//! A Lambda function that is an ordinary axum application: `lambda_http` turns the event into
//! an HTTP request and the response back. Nothing here knows of Envoy, nor of lambda-mesh.
//!
//! It tells the caller what it has received, with a status, a header and a cookie of its own.

use axum::Json;
use axum::Router;
use axum::extract::RawQuery;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::any;
use lambda_http::Error;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = Router::new()
        .route("/", any(hello))
        .route("/hi", any(hello))
        .fallback(unknown);
    lambda_http::run(app).await
}

/// Answers 200, or 201 to a POST.
async fn hello(
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    body: String,
) -> impl IntoResponse {
    println!("{method} {}", uri.path());
    let status = if method == Method::POST {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::SET_COOKIE, "visited=yes; Path=/; HttpOnly"),
    ];
    let received = json!({
        "message": "hello from Rust",
        "method": method.as_str(),
        "path": uri.path(),
        "query": query,
        "body": body,
    });
    (status, headers, Json(received))
}

async fn unknown(uri: Uri) -> impl IntoResponse {
    let message = format!("there is no {} here; try /hi", uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "message": message })))
}
