//! The list of samples.

use super::model::{Field, Kind, Origin, Sample};

/// The fields of a request.
const REQUEST: &[Field] = &[
    text("method", "POST"),
    text("path", "/path/to/resource?name=value"),
    text("host", "api.example.com"),
    text("body", r#"{"message":"hello"}"#),
];

const fn text(name: &'static str, default: &'static str) -> Field {
    Field::new(name, default, Kind::Text)
}

const fn json(name: &'static str, default: &'static str) -> Field {
    Field::new(name, default, Kind::Json)
}

macro_rules! samples {
    ($($name:literal: $about:literal, $origin:expr, $fields:expr;)+) => {
        /// All samples.
        pub(super) const SAMPLES: &[Sample] = &[$(Sample {
            name: $name,
            about: $about,
            origin: $origin,
            fields: $fields,
        }),+];
    };
}

macro_rules! file {
    ($name:literal) => {
        Origin::Template(include_str!(concat!($name, ".json")))
    };
}

samples! {
    "apigateway": "API Gateway, request to a REST API", Origin::Request("apigateway-v1"), REQUEST;
    "http-api": "API Gateway, request to an HTTP API", Origin::Request("apigateway-v2"), REQUEST;
    "function-url": "Lambda, request to a function URL", Origin::Request("function-url"), REQUEST;
    "alb": "Load balancer, request", Origin::Request("alb"), REQUEST;
    "vpc-lattice": "VPC Lattice, request", Origin::Request("vpc-lattice-v2"), REQUEST;
    "apigateway-authorizer": "API Gateway, token for an authorizer of a REST API",
        file!("apigateway-authorizer"), &[text("token", "Bearer sample"), text("method", "GET"),
        text("path", "/orders"), text("api", "abcdef123"), text("stage", "prod")];
    "http-api-authorizer": "API Gateway, request to an authorizer of an HTTP API",
        file!("http-api-authorizer"), &[text("token", "Bearer sample"), text("method", "GET"),
        text("path", "/orders"), text("api", "abcdef123")];
    "websocket": "API Gateway, message to a WebSocket API", file!("websocket"),
        &[text("route", "$default"), text("body", r#"{"action":"hello"}"#),
        text("connection", "RkGZcdqSIAMCJHw="), text("api", "abcdef123")];
    "activemq": "Amazon MQ, message of ActiveMQ", file!("activemq"),
        &[text("queue", "orders"), text("data", "hello")];
    "appsync": "AppSync, call of a direct resolver", file!("appsync"), &[text("type", "Query"),
        text("field", "getOrder"), json("arguments", r#"{"id":"1"}"#)];
    "bedrock-agent": "Bedrock, action of an agent", file!("bedrock-agent"),
        &[text("input", "hello"), text("path", "/orders"), text("method", "GET")];
    "cloudformation": "CloudFormation, custom resource", file!("cloudformation"),
        &[text("type", "Create"), text("stack", "sample-stack"),
        text("response-url", "http://127.0.0.1:8000/response"), json("properties", "{}")];
    "cloudfront": "CloudFront, viewer request (Lambda@Edge)", file!("cloudfront"),
        &[text("method", "GET"), text("uri", "/index.html"), text("query", ""),
        text("host", "d111111abcdef8.cloudfront.net")];
    "cloudwatch-alarm": "CloudWatch, an alarm changed its state", file!("cloudwatch-alarm"),
        &[text("alarm", "sample-alarm"), text("state", "ALARM")];
    "cloudwatch-logs": "CloudWatch Logs, lines of a subscription", file!("cloudwatch-logs"),
        &[text("message", "hello"), text("group", "/aws/lambda/orders"), text("stream", "sample-stream")];
    "codecommit": "CodeCommit, push to a repository", file!("codecommit"),
        &[text("repository", "sample-repository"), text("ref", "refs/heads/main")];
    "codepipeline": "CodePipeline, step of a pipeline", file!("codepipeline"),
        &[text("parameters", "sample"), text("bucket", "sample-bucket"), text("key", "source.zip")];
    "cognito": "Cognito, sign-up before it is accepted", file!("cognito"), &[text("user", "jane"),
        text("email", "jane@example.com"), text("pool", "us-east-1_abcdef123"), text("client", "sample-client")];
    "cognito-post-confirmation": "Cognito, confirmed sign-up", file!("cognito-post-confirmation"),
        &[text("user", "jane"), text("email", "jane@example.com"), text("pool", "us-east-1_abcdef123"),
        text("client", "sample-client")];
    "config": "Config, scheduled evaluation of a rule", file!("config"),
        &[text("rule", "sample-rule"), text("parameters", "{}")];
    "connect": "Connect, step of a contact flow", file!("connect"), &[text("phone", "+18005550199")];
    "dynamodb": "DynamoDB, item inserted, changed and removed", file!("dynamodb"),
        &[text("table", "sample-table"), text("id", "1")];
    "eventbridge": "EventBridge, event of an application", file!("eventbridge"),
        &[text("source", "com.example.orders"), text("type", "OrderPlaced"), json("detail", r#"{"id":"1"}"#)];
    "firehose": "Data Firehose, records to transform", file!("firehose"),
        &[text("stream", "sample-stream"), text("data", "hello")];
    "kafka": "MSK, message of Kafka", file!("kafka"),
        &[text("topic", "orders"), text("key", "1"), text("value", "hello")];
    "kinesis": "Kinesis Data Streams, record", file!("kinesis"),
        &[text("stream", "sample-stream"), text("partition-key", "1"), text("data", "hello")];
    "rabbitmq": "Amazon MQ, message of RabbitMQ", file!("rabbitmq"),
        &[text("queue", "orders"), text("data", "hello")];
    "s3": "S3, object created", file!("s3"), &[text("bucket", "sample-bucket"),
        text("key", "folder/file.txt"), Field::new("size", "1024", Kind::Number), text("event", "ObjectCreated:Put")];
    "s3-batch": "S3, task of a batch operation", file!("s3-batch"),
        &[text("bucket", "sample-bucket"), text("key", "folder/file.txt")];
    "s3-delete": "S3, object removed", file!("s3-delete"),
        &[text("bucket", "sample-bucket"), text("key", "folder/file.txt")];
    "schedule": "EventBridge, scheduled rule", file!("schedule"), &[text("rule", "sample-rule")];
    "scheduler": "EventBridge Scheduler, schedule", file!("scheduler"), &[text("schedule", "sample-schedule")];
    "secretsmanager": "Secrets Manager, step of a rotation", file!("secretsmanager"),
        &[text("step", "createSecret"), text("secret", "sample-secret")];
    "ses": "SES, mail received", file!("ses"), &[text("from", "jane@example.com"),
        text("to", "orders@example.com"), text("subject", "hello")];
    "sns": "SNS, message", file!("sns"),
        &[text("topic", "sample-topic"), text("subject", "sample"), text("message", "hello")];
    "sqs": "SQS, message", file!("sqs"), &[text("queue", "sample-queue"), text("body", "hello")];
}
