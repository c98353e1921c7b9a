<?php
// The front controller, for php-fpm behind any web server. On Lambda it stays as it is.

declare(strict_types=1);

require __DIR__ . '/../app.php';

$isJson = str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json');
$body = $isJson ? json_decode(file_get_contents('php://input'), true) : $_POST;
if (is_array($body)) {
    [$status, $content] = handle($_SERVER['REQUEST_METHOD'], $_SERVER['REQUEST_URI'], $body);
} else {
    [$status, $content] = [400, ['message' => 'The body is not a JSON object.']];
}

http_response_code($status);
if ($status !== 204) {
    header('Content-Type: application/json');
    echo json_encode($content);
}
