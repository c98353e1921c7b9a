<?php
// The Lambda Runtime API, which every runtime speaks: ask for the next event, answer it, and so on.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

declare(strict_types=1);

// The next event may be hours away. PHP's streams would give up after 60 seconds.
ini_set('default_socket_timeout', '-1');

/** Calls `$handler` with each event. What it returns is the function's answer. */
function serve(callable $handler): never
{
    $api = 'http://' . getenv('AWS_LAMBDA_RUNTIME_API') . '/2018-06-01/runtime/invocation';
    while ($response = fopen("$api/next", 'r')) {
        foreach (stream_get_meta_data($response)['wrapper_data'] as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $headers[strtolower($name)] = trim($value);
        }
        $id = $headers['lambda-runtime-aws-request-id'];
        try {
            $event = json_decode(stream_get_contents($response), true, flags: JSON_THROW_ON_ERROR);
            $answer = $handler($event);
            // PHP escapes slashes and everything beyond ASCII, unless it is told that JSON needs neither.
            $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
            post("$api/$id/response", json_encode($answer, $flags));
        } catch (Throwable $error) {
            fwrite(STDERR, "$error\n");
            post("$api/$id/error", json_encode([
                'errorType' => $error::class,
                'errorMessage' => $error->getMessage(),
                'stackTrace' => explode("\n", $error->getTraceAsString()),
            ], JSON_INVALID_UTF8_SUBSTITUTE));
        }
    }
    exit(1);
}

function post(string $url, string $json): void
{
    $answer = file_get_contents($url, context: stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => $json,
        'ignore_errors' => true,
    ]]));
    // Such as an answer of more than 6 MB.
    if (str_contains((string) $answer, 'errorType')) {
        fwrite(STDERR, "$answer\n");
    }
}
