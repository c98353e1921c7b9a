//! Samples are what the types of AWS's own crate read, to the last member.

use aws_lambda_events::activemq::ActiveMqEvent;
use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequest, ApiGatewayV2CustomAuthorizerV2Request,
    ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::appsync::AppSyncDirectResolverEvent;
use aws_lambda_events::cloudformation::CloudFormationCustomResourceRequest;
use aws_lambda_events::cloudwatch_alarms::CloudWatchMetricAlarm;
use aws_lambda_events::cloudwatch_logs::LogsEvent;
use aws_lambda_events::code_commit::CodeCommitEvent;
use aws_lambda_events::codepipeline_job::CodePipelineJobEvent;
use aws_lambda_events::cognito::{
    CognitoEventUserPoolsPostConfirmation, CognitoEventUserPoolsPreSignup,
};
use aws_lambda_events::config::ConfigEvent;
use aws_lambda_events::connect::ConnectEvent;
use aws_lambda_events::dynamodb::Event as DynamoDbEvent;
use aws_lambda_events::event::bedrock_agent_runtime::AgentEvent;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::firehose::KinesisFirehoseEvent;
use aws_lambda_events::kafka::KafkaEvent;
use aws_lambda_events::kinesis::KinesisEvent;
use aws_lambda_events::rabbitmq::RabbitMqEvent;
use aws_lambda_events::s3::S3Event;
use aws_lambda_events::s3::batch_job::S3BatchJobEvent;
use aws_lambda_events::secretsmanager::SecretsManagerSecretRotationEvent;
use aws_lambda_events::ses::SimpleEmailEvent;
use aws_lambda_events::sns::SnsEvent;
use aws_lambda_events::sqs::SqsEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::model::Kind;
use super::*;

/// Returns the event of a sample with these fields set.
fn event(name: &str, settings: &[&str]) -> Value {
    let sample = find(name).unwrap();
    let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
    let Origin::Template(template) = sample.origin else {
        panic!("{name} has no template");
    };
    let text = fill(template, &sample.values(&settings).unwrap());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// Reads an event by its type and writes it anew.
fn read<T: DeserializeOwned + Serialize>(event: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(T::deserialize(event)?)
}

/// Adds the paths of the members of an event that the type does not know.
fn collect_unknown(path: &str, event: &Value, known: &Value, unknown: &mut Vec<String>) {
    match event {
        Value::Object(members) => {
            for (name, member) in members {
                let path = format!("{path}/{name}");
                match known.get(name) {
                    Some(known) => collect_unknown(&path, member, known, unknown),
                    // An empty value may be left out.
                    None if [json!(null), json!({}), json!([]), json!("")].contains(member) => {}
                    None => unknown.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let known = known.get(index).unwrap_or(&Value::Null);
                collect_unknown(&format!("{path}/{index}"), item, known, unknown);
            }
        }
        _ => {}
    }
}

#[test]
fn every_member_of_a_sample_is_known_to_the_type_of_its_event() {
    for sample in SAMPLES {
        let Origin::Template(_) = sample.origin else {
            continue;
        };
        let name = sample.name;
        let event = event(name, &[]);
        let known = match name {
            "activemq" => read::<ActiveMqEvent>(&event),
            "apigateway-authorizer" => read::<ApiGatewayCustomAuthorizerRequest>(&event),
            "appsync" => read::<AppSyncDirectResolverEvent>(&event),
            "bedrock-agent" => read::<AgentEvent>(&event),
            "cloudformation" => read::<CloudFormationCustomResourceRequest>(&event),
            "cloudwatch-alarm" => read::<CloudWatchMetricAlarm>(&event),
            "cloudwatch-logs" => read::<LogsEvent>(&event),
            "codecommit" => read::<CodeCommitEvent>(&event),
            "codepipeline" => read::<CodePipelineJobEvent>(&event),
            "cognito" => read::<CognitoEventUserPoolsPreSignup>(&event),
            "cognito-post-confirmation" => read::<CognitoEventUserPoolsPostConfirmation>(&event),
            "config" => read::<ConfigEvent>(&event),
            "connect" => read::<ConnectEvent>(&event),
            "dynamodb" => read::<DynamoDbEvent>(&event),
            "eventbridge" | "schedule" | "scheduler" => read::<EventBridgeEvent>(&event),
            "firehose" => read::<KinesisFirehoseEvent>(&event),
            "http-api-authorizer" => read::<ApiGatewayV2CustomAuthorizerV2Request>(&event),
            "kafka" => read::<KafkaEvent>(&event),
            "kinesis" => read::<KinesisEvent>(&event),
            "rabbitmq" => read::<RabbitMqEvent>(&event),
            "s3" | "s3-delete" => read::<S3Event>(&event),
            "s3-batch" => read::<S3BatchJobEvent>(&event),
            "secretsmanager" => read::<SecretsManagerSecretRotationEvent>(&event),
            "ses" => read::<SimpleEmailEvent>(&event),
            "sns" => read::<SnsEvent>(&event),
            "sqs" => read::<SqsEvent>(&event),
            "websocket" => read::<ApiGatewayWebsocketProxyRequest>(&event),
            // The crate has no type for the events of Lambda@Edge.
            "cloudfront" => continue,
            other => panic!("{other} has no type here"),
        };
        let known = known.unwrap_or_else(|error| panic!("{name}: {error}\n{event:#}"));
        let mut unknown = Vec::new();
        collect_unknown("", &event, &known, &mut unknown);
        assert_eq!(unknown, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_field_changes_the_event_and_every_placeholder_is_a_field() {
    for sample in SAMPLES {
        let Origin::Template(template) = sample.origin else {
            continue;
        };
        let name = sample.name;
        let default = event(name, &[]);
        for field in sample.fields {
            let other = match field.kind {
                Kind::Json => r#"{"other":1}"#,
                Kind::Number => "7",
                _ => "other \"ü\\",
            };
            let changed = event(name, &[&format!("{}={other}", field.name)]);
            assert_ne!(changed, default, "{name}: {}", field.name);
        }
        for placeholder in template.split("${").skip(1) {
            let placeholder = placeholder.split(['}', '|']).next().unwrap();
            let mut fields = sample.all_fields();
            assert!(
                fields.any(|field| field.name == placeholder),
                "{name}: {placeholder}"
            );
        }
    }
}

#[test]
fn values_stand_in_the_event_in_the_form_that_the_service_sends() {
    let s3 = event(
        "s3",
        &["bucket=b", "key=a b/ü\"+.txt", "size=5", "region=eu-west-1"],
    );
    let record = &s3["Records"][0];
    assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::b");
    assert_eq!(record["s3"]["object"]["key"], "a+b/%C3%BC%22%2B.txt");
    assert_eq!(record["s3"]["object"]["size"], 5);
    assert_eq!(record["awsRegion"], "eu-west-1");

    // The digest is that of RFC 1321, A.5.
    let sqs = event(
        "sqs",
        &["body=message digest", "account=210987654321", "queue=q"],
    );
    let record = &sqs["Records"][0];
    assert_eq!(record["md5OfBody"], "f96b697d7cb7938d525a2f31aaf161d0");
    assert_eq!(
        record["eventSourceARN"],
        "arn:aws:sqs:us-east-1:210987654321:q"
    );

    let kinesis = event("kinesis", &["data={\"a\":1}"]);
    assert_eq!(kinesis["Records"][0]["kinesis"]["data"], "eyJhIjoxfQ==");

    let bridge = event("eventbridge", &["detail=[1, \"x\"]"]);
    assert_eq!(bridge["detail"], json!([1, "x"]));

    // A placeholder in a value is a text like any other.
    let sns = event("sns", &["message=${topic} \"}", "message=line\n${topic}"]);
    assert_eq!(sns["Records"][0]["Sns"]["Message"], "line\n${topic}");
}

#[test]
fn the_lines_of_a_log_are_compressed() {
    let event = event("cloudwatch-logs", &["message=a \"b\"", "group=g"]);
    let logs: LogsEvent = serde_json::from_str(&event.to_string()).unwrap();
    let data = logs.aws_logs.data;
    assert_eq!(data.message_type, "DATA_MESSAGE");
    assert_eq!(
        (data.owner.as_str(), data.log_group.as_str()),
        ("123456789012", "g")
    );
    assert_eq!(data.log_events[0].message, "a \"b\"");
}

#[test]
fn a_wrong_sample_field_or_value_is_named() {
    let refusal = |name: &str, setting: &str| {
        let refused = find(name).and_then(|sample| sample.values(&[setting.parse().unwrap()]));
        refused.map(drop).unwrap_err().to_string()
    };
    for (name, setting, expected) in [
        (
            "dynamo",
            "a=b",
            "there is no sample `dynamo`; did you mean `dynamodb`? --list-samples lists them all",
        ),
        (
            "fax-machine",
            "a=b",
            "there is no sample `fax-machine`; --list-samples lists them all",
        ),
        (
            "sqs",
            "buket=b",
            "--set buket: the sample `sqs` has no such field; its fields are queue, body, region, account",
        ),
        (
            "s3",
            "size=1.5",
            "--set size: expected a whole number, found \"1.5\"",
        ),
        (
            "eventbridge",
            "detail={",
            "--set detail: expected JSON, found \"{\"",
        ),
        (
            "sns",
            "account=1",
            "--set account: expected twelve digits, found \"1\"",
        ),
        (
            "sns",
            "region=EU\n",
            "--set region: expected a region such as eu-west-1, found \"EU\\n\"",
        ),
    ] {
        assert_eq!(refusal(name, setting), expected);
    }
    for wrong in ["", "x", "=x"] {
        assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
    }
}
