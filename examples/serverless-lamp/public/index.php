<?php
// The whole site. Like the front controllers of Laravel, Symfony and WordPress it takes every request, and
// it would run the same behind nginx or Apache.

declare(strict_types=1);

// Every environment has a /tmp of its own, and the next request of a visitor may come to another one. So
// sessions need a place that all environments share: DynamoDB, Redis or the database, as with several web
// servers. Here it is a folder of the machine.
session_save_path(__DIR__ . '/../sessions');

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
match ("$_SERVER[REQUEST_METHOD] $path") {
    'GET /', 'HEAD /' => home(),
    'POST /login' => login(),
    'GET /logo.png', 'HEAD /logo.png' => logo(),
    'POST /upload' => upload(),
    'POST /echo' => repeat(),
    'GET /old' => header('Location: /?from=old'),
    default => show($path),
};

function home(): void
{
    session_start();
    $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
    $visitor = htmlspecialchars($_COOKIE['visitor'] ?? 'stranger');
    header('Content-Type: text/html; charset=utf-8');
    echo "<!doctype html><title>LAMP</title><h1>Hello, $visitor</h1><p>Visits: $_SESSION[visits]</p>\n";
}

function login(): void
{
    setcookie('visitor', $_POST['name'] ?? 'nobody', ['path' => '/', 'httponly' => true]);
    setcookie('theme', 'dark', ['path' => '/']);
    header('Location: /', response_code: 303);
}

function logo(): void
{
    header('Content-Type: image/png');
    readfile(__DIR__ . '/assets/logo.png');
}

function upload(): void
{
    $file = $_FILES['file'] ?? ['error' => UPLOAD_ERR_NO_FILE];
    if ($file['error'] !== UPLOAD_ERR_OK) {
        http_response_code(422);
        return;
    }
    header('Content-Type: application/json');
    echo json_encode([
        'name' => $file['name'],
        'bytes' => $file['size'],
        'sha256' => hash_file('sha256', $file['tmp_name']),
        'title' => $_POST['title'] ?? null,
    ]);
}

function repeat(): void
{
    header('Content-Type: ' . $_SERVER['CONTENT_TYPE']);
    readfile('php://input');
}

/** Everything else: what the script sees of the request, for a look at it. */
function show(string $path): void
{
    if (!str_starts_with($path, '/show/')) {
        http_response_code(404);
    }
    // Not all of $_SERVER: the function's variables are in it too, and with them AWS's credentials.
    $names = ['REQUEST_METHOD', 'REQUEST_URI', 'REMOTE_ADDR', 'SERVER_NAME', 'SERVER_PORT', 'HTTPS'];
    $isShown = fn ($name) => in_array($name, $names, true) || str_starts_with($name, 'HTTP_');
    header('Content-Type: application/json');
    echo json_encode([
        'get' => $_GET,
        'post' => $_POST,
        'server' => array_filter($_SERVER, $isShown, ARRAY_FILTER_USE_KEY),
    ], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES);
}
