//! The event of an Application Load Balancer.
//!
//! Source: the Elastic Load Balancing user guide, *Use Lambda functions as targets of an
//! Application Load Balancer*, and events recorded on AWS.

use super::body::{Body, is_textual_and_unencoded};
use super::headers::{Added, ContentLength, EDGE, Headers, Rules};
use super::query::Query;
use crate::config::Config;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;
use crate::request::header_map::text;

const ALB: Rules = Rules {
    dropped: &[],
    content_length: ContentLength::WithBody,
    added: EDGE,
};

/// The target group's attribute `lambda.multi_value_headers.enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// `false`: the event has the last value of each name.
    Single,
    /// `true`: the event has all values, in members with other names.
    Multi,
}

pub(super) fn write(json: &mut JsonWriter, request: &Request<'_>, config: &Config, values: Values) {
    let added = Added::new(request);
    let headers = Headers::new(request, &added, ALB);
    let query = Query::raw(request.query);
    let body = Body::new(request, config, is_textual_and_unencoded);
    json.object(|json| {
        json.key("requestContext").object(|json| {
            json.key("elb").object(|json| {
                json.key("targetGroupArn").string(&format!(
                    "arn:{}:elasticloadbalancing:{}:{}:targetgroup/{}/0000000000000000",
                    config.partition(),
                    config.region(),
                    config.account_id,
                    config.api_id,
                ));
            });
        });
        json.key("httpMethod").string(&request.method);
        json.key("path").string(&text(request.path));
        match values {
            Values::Single => {
                query.last(json.key("queryStringParameters"));
                headers.last(json.key("headers"), config.header_case);
            }
            Values::Multi => {
                query.arrays(json.key("multiValueQueryStringParameters"));
                headers.arrays(json.key("multiValueHeaders"), config.header_case);
            }
        }
        body.write(json.key("body"), |json| json.string(""));
        json.key("isBase64Encoded").boolean(body.is_base64());
    });
}
