<?php
// A client of FastCGI, the protocol of php-fpm. Everything travels in records of at most 64 KiB.
//
// https://fastcgi-archives.github.io/FastCGI_Specification.html

declare(strict_types=1);

const BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN_DATA = 5, STDOUT_DATA = 6, STDERR_DATA = 7;

/** Sends one request, and returns what the script has written: headers, an empty line, the body. */
function fastcgi(string $socket, array $params, string $body): string
{
    $connection = stream_socket_client("unix://$socket");
    if (!$connection) {
        exit(1); // Without php-fpm there is nothing to serve. Lambda replaces the environment.
    }
    // The role is 1, a responder. The flags are 0: php-fpm closes the connection at the end.
    $out = record(BEGIN_REQUEST, pack('nCx5', 1, 0));
    $pairs = '';
    foreach ($params as $name => $value) {
        $pairs .= length($name) . length($value) . $name . $value;
    }
    $out .= stream(PARAMS, $pairs) . stream(STDIN_DATA, $body);

    // Write and read at once. If each side waited until the other has read, a script that answers
    // before it has read a large upload would wait for ever.
    stream_set_blocking($connection, false);
    $in = '';
    for ($sent = 0; !feof($connection);) {
        $readable = [$connection];
        $writable = $sent < strlen($out) ? [$connection] : [];
        $except = [];
        stream_select($readable, $writable, $except, null);
        if ($writable) {
            $written = @fwrite($connection, substr($out, $sent, 65536));
            // php-fpm may have answered, and closed the connection, without having read everything.
            $sent = $written === false ? strlen($out) : $sent + $written;
        }
        if ($readable) {
            $in .= fread($connection, 65536);
        }
    }

    [$stdout, $ended] = ['', false];
    for ($offset = 0; $offset + 8 <= strlen($in); $offset += 8 + $head['length'] + $head['padding']) {
        $head = unpack('Cversion/Ctype/nid/nlength/Cpadding', $in, $offset);
        $content = substr($in, $offset + 8, $head['length']);
        match ($head['type']) {
            STDOUT_DATA => $stdout .= $content,
            STDERR_DATA => fwrite(STDERR, $content),
            END_REQUEST => $ended = true,
        };
    }
    if (!$ended) {
        throw new RuntimeException('php-fpm has ended in the middle of the request');
    }
    return $stdout;
}

/** A record of request 1. There is only ever one request on a connection. */
function record(int $type, string $content): string
{
    return pack('CCnnCx', 1, $type, 1, strlen($content), 0) . $content;
}

/** Records for content of any length. An empty record ends the stream. */
function stream(int $type, string $content): string
{
    $records = $content === '' ? [] : array_map(fn ($part) => record($type, $part), str_split($content, 65535));
    return implode($records) . record($type, '');
}

/** The length of a name or a value: one byte, or four of which the first bit is set. */
function length(string $text): string
{
    return strlen($text) < 128 ? chr(strlen($text)) : pack('N', strlen($text) | 0x80000000);
}
