<?php
// The function: takes an event and returns its response.

const CAPITALS = [
    'Andorra la Vella' => 'Andorra',
    'Canberra' => 'Australia',
    'Nairobi' => 'Kenya',
    'Ottawa' => 'Canada',
    'Paramaribo' => 'Suriname',
    'Tallinn' => 'Estonia',
    'Ulaanbaatar' => 'Mongolia',
];

function answer(int $status, array $body): array
{
    $headers = ['content-type' => 'application/json'];
    return ['statusCode' => $status, 'headers' => $headers, 'body' => json_encode($body)];
}

// An HTTP request, in the format of API Gateway's HTTP APIs.
function http(array $event): array
{
    switch ($event['rawPath']) {
        case '/capital':
            $capital = array_rand(CAPITALS);
            return answer(200, ['capital' => $capital, 'country' => CAPITALS[$capital]]);
        case '/error':
            throw new DomainException('the capital is lost');
        case '/slow':
            sleep(60);
        default:
            return answer(404, ['message' => 'try /capital']);
    }
}

// Files that S3 reports.
function uploaded(array $records): array
{
    foreach ($records as ['s3' => $s3]) {
        note("uploaded: s3://{$s3['bucket']['name']}/" . urldecode($s3['object']['key']));
    }
    return ['files' => count($records)];
}

// A mail that SES has received.
function received(array $mail): array
{
    note("received: a mail from {$mail['source']}");
    return ['disposition' => 'CONTINUE'];
}

return fn (array $event) => match ($event['Records'][0]['eventSource'] ?? null) {
    'aws:s3' => uploaded($event['Records']),
    'aws:ses' => received($event['Records'][0]['ses']['mail']),
    default => http($event),
};
