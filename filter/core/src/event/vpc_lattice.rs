//! The two event formats of VPC Lattice.
//!
//! Source: the VPC Lattice user guide, *Lambda functions as targets in VPC Lattice*, "Receive
//! events from the VPC Lattice service".

use super::body::{Body, is_textual_type};
use super::headers::{Added, AddedHeader, ContentLength, Headers, Rules};
use super::query::Query;
use crate::config::Config;
use crate::encoding::json_writer::JsonWriter;
use crate::request::Request;

/// A client's claims of its own identity are dropped. By the user guide (*HTTP targets*, "Caller identity
/// headers"), VPC Lattice strips these headers from requests, so that functions may trust them.
const LATTICE: Rules = Rules {
    dropped: &[
        "x-amzn-lattice-identity",
        "x-amzn-lattice-identity-tags",
        "x-amzn-lattice-network",
        "x-amzn-lattice-target",
    ],
    content_length: ContentLength::WithBody,
    added: &[AddedHeader::Host, AddedHeader::ForwardedFor],
};

pub(super) fn write_v1(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let added = Added::new(request);
    let headers = Headers::new(request, &added, LATTICE);
    let body = Body::new(request, config, is_textual_type);
    json.object(|json| {
        // By the documentation the path of both formats has the query.
        json.key("raw_path").string(&request.target());
        json.key("method").string(&request.method);
        headers.joined(json.key("headers"), config.header_case, ", ");
        Query::raw(request.query).last(json.key("query_string_parameters"));
        body.write(json.key("body"), |json| json.string(""));
        json.key("is_base64_encoded").boolean(body.is_base64());
    });
}

pub(super) fn write_v2(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let added = Added::new(request);
    let headers = Headers::new(request, &added, LATTICE);
    let query = Query::raw(request.query);
    let body = Body::new(request, config, is_textual_type);
    json.object(|json| {
        json.key("version").string("2.0");
        json.key("path").string(&request.target());
        json.key("method").string(&request.method);
        headers.arrays(json.key("headers"), config.header_case);
        if !query.is_empty() {
            query.arrays(json.key("queryStringParameters"));
        }
        // Powertools reads `body` without a check that it is there.
        body.write(json.key("body"), JsonWriter::null);
        json.key("isBase64Encoded").boolean(body.is_base64());
        context(json.key("requestContext"), request, config);
    });
}

fn context(json: &mut JsonWriter, request: &Request<'_>, config: &Config) {
    let (partition, region) = (config.partition(), config.region());
    let account = &config.account_id;
    let id = &config.api_id;
    let arn = |service: &str, resource: &str| {
        format!("arn:{partition}:{service}:{region}:{account}:{resource}/{id}")
    };
    json.object(|json| {
        json.key("serviceNetworkArn")
            .string(&arn("vpc-lattice", "servicenetwork"));
        json.key("serviceArn")
            .string(&arn("vpc-lattice", "service"));
        json.key("targetGroupArn")
            .string(&arn("vpc-lattice", "targetgroup"));
        json.key("identity").object(|json| {
            json.key("sourceVpcArn").string(&arn("ec2", "vpc"));
        });
        json.key("region").string(region);
        let micros = request.attributes.time_ns / 1000;
        json.key("timeEpoch").string(&micros.to_string());
    });
}
