<?php
// The application: an API for orders, with routes as Laravel has them. It knows neither HTTP servers nor
// Lambda. `public/index.php` and `handlers.php` call it.

declare(strict_types=1);

/** The routes. `{id}` takes anything but a slash, and `{name*}` takes slashes too, as with `->where('name', '.*')`. */
function routes(): array
{
    return [
        'GET /' => fn () => [200, ['name' => 'orders']],
        'GET /orders' => fn ($input) => [200, ['page' => (int) ($input['page'] ?? 1), 'orders' => ['a1', 'b2']]],
        'POST /orders' => 'store',
        'GET /orders/{id}' => fn ($input, $id) => [200, ['id' => $id]],
        'DELETE /orders/{id}' => fn ($input, $id) => [204, null],
        'GET /files/{name*}' => fn ($input, $name) => [200, ['name' => $name]],
        'GET /broken' => fn () => throw new RuntimeException('the database is gone'),
    ];
}

function store(array $input): array
{
    $quantity = filter_var($input['quantity'] ?? null, FILTER_VALIDATE_INT, ['options' => ['min_range' => 1]]);
    if ($quantity === false) {
        $message = 'The quantity field must be at least 1.';
        return [422, ['message' => $message, 'errors' => ['quantity' => [$message]]]];
    }
    return [201, ['id' => 'c3', 'item' => $input['item'] ?? null, 'quantity' => $quantity]];
}

/**
 * Answers a request with a status and with what becomes JSON.
 *
 * @param string $uri the path as it was sent, with the query
 * @param array $body the members of a JSON body or of a form
 */
function handle(string $method, string $uri, array $body): array
{
    [$path, $query] = explode('?', $uri, 2) + [1 => ''];
    parse_str($query, $input);
    foreach (routes() as $route => $action) {
        [$verb, $pattern] = explode(' ', $route);
        $pattern = preg_replace(['#\{\w+\*\}#', '#\{\w+\}#'], ['(.+)', '([^/]+)'], $pattern);
        // Like Laravel's, this router decodes the path before it looks for the route: %2F is a slash to it.
        if ($method === $verb && preg_match("#^$pattern$#", rawurldecode($path), $values)) {
            try {
                return $action($body + $input, ...array_slice($values, 1));
            } catch (Exception $error) {
                error_log((string) $error);
                return [500, ['message' => 'Server Error']];
            }
        }
    }
    return [404, ['message' => "The route $path could not be found."]];
}
