//! Functions that callers name by ARN.

use hyper::Method;

use crate::support::{HttpResponse, Invoker, fixture_function};

async fn invoke(invoker: &Invoker, function: &str, query: &str) -> HttpResponse {
    let path = format!("/2015-03-31/functions/{function}/invocations{query}");
    invoker.request(Method::POST, &path, &[], "{}").await
}

#[tokio::test]
async fn a_function_sees_the_arn_that_its_caller_named() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arn = "arn:aws-cn:lambda:cn-north-1:111122223333:function:f";
    for (function, query, invoked) in [
        (arn.to_owned(), "", arn.to_owned()),
        (format!("{arn}:live"), "", format!("{arn}:live")),
        (arn.to_owned(), "?Qualifier=7", format!("{arn}:7")),
    ] {
        let response = invoke(&invoker, &function, query).await;
        let headers = &response.json()["headers"];
        assert_eq!(headers["lambda-runtime-invoked-function-arn"], invoked);
    }
}

#[tokio::test]
async fn the_error_for_an_unknown_function_has_the_arn_that_the_caller_named() {
    let invoker = Invoker::start(&fixture_function("")).await;
    let arn = "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:absent";
    let response = invoke(&invoker, arn, "?Qualifier=7").await;
    let expected = format!("Function not found: {arn}:7");
    assert_eq!(response.status, 404);
    assert_eq!(response.json()["message"], expected);
}
