<?php
// The same application as a function that is invoked directly. The event is what other services used to
// send with an AWS SDK:
//
//   {"LARAVEL_ROUTE": "/orders?page=2", "LARAVEL_ROUTE_METHOD": "GET", "LARAVEL_REQUEST_BODY": null}

declare(strict_types=1);

require __DIR__ . '/../serverless-lamp/runtime/lambda.php';
require __DIR__ . '/app.php';

function call(array $event): array
{
    $body = $event['LARAVEL_REQUEST_BODY'] ?? $event['LARAVEL_REQUEST_FORM'] ?? [];
    return handle($event['LARAVEL_ROUTE_METHOD'], $event['LARAVEL_ROUTE'], $body);
}

$handlers = [
    // As the function was: the caller gets the content. There is no place for a status, only for an error.
    'content' => function (array $event): mixed {
        [$status, $content] = call($event);
        return $status < 500 ? $content : throw new RuntimeException("status $status");
    },
    // With its status, in the form that API Gateway reads. This is all that has to change.
    'response' => function (array $event): array {
        [$status, $content] = call($event);
        return [
            'statusCode' => $status,
            'headers' => ['Content-Type' => 'application/json'],
            'body' => $status === 204 ? '' : json_encode($content),
        ];
    },
];

serve($handlers[getenv('_HANDLER')]);
