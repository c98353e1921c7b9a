//! The routes of the compatibility matrix on axum, behind `lambda_http`.
#![expect(
    clippy::panic,
    reason = "the route /boom shows what becomes of a panic"
)]

use std::collections::BTreeMap;

use axum::extract::{Form, Multipart, Path, Query};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, head, post};
use axum::{Json, Router};
use lambda_http::Error;
use serde_json::{Value, json};

const OCTETS: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/octet-stream");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = Router::new()
        .route("/query", get(query))
        .route("/cookies", get(cookies))
        .route("/json", post(json_body))
        .route("/form", post(form))
        .route("/upload", post(upload))
        .route("/binary", get(binary))
        .route("/redirect", get(redirect))
        .route("/boom", get(boom))
        .route("/head", head(method))
        .route("/path/{name}", get(path));
    lambda_http::run(app).await
}

type Pairs = Vec<(String, String)>;

fn multi_map(pairs: Pairs) -> Json<BTreeMap<String, Vec<String>>> {
    let mut map = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    Json(map)
}

async fn query(Query(pairs): Query<Pairs>) -> impl IntoResponse {
    multi_map(pairs)
}

async fn cookies(headers: HeaderMap) -> impl IntoResponse {
    let cookies = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok());
    let pairs = cookies.into_iter().flat_map(|cookies| cookies.split("; "));
    let received: BTreeMap<_, _> = pairs.filter_map(|pair| pair.split_once('=')).collect();
    let set = [
        (header::SET_COOKIE, "first=1"),
        (header::SET_COOKIE, "second=2"),
    ];
    (AppendHeaders(set), Json(json!(received)))
}

async fn json_body(Json(body): Json<Value>) -> impl IntoResponse {
    Json(body)
}

async fn form(Form(pairs): Form<Pairs>) -> impl IntoResponse {
    multi_map(pairs)
}

async fn upload(mut fields: Multipart) -> Result<impl IntoResponse, StatusCode> {
    let (mut filename, mut content, mut note) = Default::default();
    while let Some(field) = fields.next_field().await.map_err(|error| error.status())? {
        if let Some(name) = field.file_name() {
            filename = name.to_owned();
            content = field.bytes().await.map_err(|error| error.status())?;
        } else {
            note = field.text().await.map_err(|error| error.status())?;
        }
    }
    Ok((
        [OCTETS],
        AppendHeaders([("x-filename", filename), ("x-note", note)]),
        content,
    ))
}

async fn binary() -> impl IntoResponse {
    ([OCTETS], (0..=255).collect::<Vec<u8>>())
}

async fn redirect() -> impl IntoResponse {
    (
        StatusCode::FOUND,
        [(header::LOCATION, "/query?from=redirect")],
    )
}

async fn boom() {
    panic!("boom");
}

async fn method(method: Method) -> impl IntoResponse {
    [("x-method", method.to_string())]
}

async fn path(Path(name): Path<String>) -> impl IntoResponse {
    Json(json!({ "name": name }))
}
