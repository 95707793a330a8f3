<?php

/**
 * Passes polls and event streams of rpa-server on to pages, on a host where only PHP can reach rpa-server.
 *
 * One file, no dependencies, PHP 7.4 or later. It takes GET, OPTIONS and, except for streams, HEAD of the addresses in
 * ROUTES. Of a request it passes on the session id, the parameters after and wait, and the headers in requestHeaders(),
 * nothing else. It answers with rpa-server's answer. If that is missing, or does not look like rpa-server's, it answers
 * with one of its own, and the reason goes only to PHP's error log.
 *
 * Every stream occupies one PHP process for as long as it lasts. On a host that has only a few, pages should poll.
 */

declare(strict_types=1);

namespace RpaServer\Proxy;

/** Where rpa-server listens; the environment's RPA_SERVER_URL overrides it. */
const SERVER = 'http://127.0.0.1:8080';

const CONNECT_S = 2;
/** rpa-server may delay its answer to a poll by 25 s. */
const POLL_S = 30;
/** A stream that sends nothing for this long is dead: rpa-server sends a heartbeat every 15 s. */
const SILENCE_S = 60;
/** A stream is ended after this time, so that it frees its PHP process; the browser reconnects with its cursor. */
const STREAM_S = 300;
/**
 * Apache in front of PHP-FPM sends nothing, and does not notice that a visitor has left, before it has this many bytes.
 * So after each event a comment of that length is sent: always if PADDED is true, never if it is false; if it is null,
 * only behind such an Apache.
 */
const PADDING = 4096;
const PADDED = null;
const MAX_BODY = 1048576;
const MAX_HEAD = 16384;

const SESSION_ID = '/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/D';

/**
 * For each pattern of a path: rpa-server's path; the query parameter with the session id, null if the id is the rest of
 * the path; whether the answer is a stream; whether its pages are deployed ones, which understand no status but 200.
 */
const ROUTES = [
    '~/events/(.*)$~s' => ['/events/%s', null, true, false],
    '~/rpa_progress_sse\.php$~' => ['/rpa_progress_sse.php', 'session_id', true, false],
    '~/progress_sse\.php$~' => ['/progress_sse.php', 'session_id', true, true],
    '~/api/sessions/(.*)$~s' => ['/api/sessions/%s', null, false, false],
    '~/get_progress\.php$~' => ['/get_progress.php', 'session', false, true],
    '~/get_progress_completo\.php$~' => ['/get_progress_completo.php', 'session', false, true],
    '~/get_progress_fixed\.php$~' => ['/get_progress_fixed.php', 'session', false, true],
    '~/progress/(.*)$~s' => ['/api/rpa/progress/%s', null, false, true],
];

/** The statuses and headers of rpa-server's answer that are passed on. */
const STATUSES = [200, 204, 304, 400, 404, 503];
const DEPLOYED_STATUSES = [200, 204];
const PASSED_HEADERS = [
    'Content-Type', 'ETag', 'Cache-Control', 'Expires', 'Retry-After', 'Vary', 'Access-Control-Allow-Origin',
    'Access-Control-Expose-Headers', 'Access-Control-Allow-Methods', 'Access-Control-Allow-Headers',
    'Access-Control-Max-Age',
];

/** What a request asks for: one of ROUTES, and a session id that is not checked yet. */
final class Asked
{
    public string $path;
    public ?string $parameter;
    public bool $streams;
    public bool $deployed;
    public string $session;

    public function __construct(array $route, string $session)
    {
        list($this->path, $this->parameter, $this->streams, $this->deployed) = $route;
        $this->session = $session;
    }

    /** Tell whether this belongs to the deployed API, where every error is a 200, and not to the older files. */
    public function isApi(): bool
    {
        return $this->deployed && $this->parameter === null;
    }

    public function isMissing(): bool
    {
        return $this->parameter === 'session' && $this->session === '';
    }

    public function isValid(): bool
    {
        return preg_match(SESSION_ID, $this->session) === 1 && strpos($this->session, '..') === false;
    }

    /** Return rpa-server's path and query. The session id must be valid: it is not escaped in the path. */
    public function target(): string
    {
        $query = $this->parameter === null ? [] : [$this->parameter => $this->session];
        foreach ($this->deployed ? [] : ['after', 'wait'] as $name) {
            if (isset($_GET[$name]) && is_string($_GET[$name])) {
                $query[$name] = substr($_GET[$name], 0, 200);
            }
        }
        $path = sprintf($this->path, $this->session);
        return $query ? $path . '?' . http_build_query($query, '', '&', PHP_QUERY_RFC3986) : $path;
    }
}

/** rpa-server's answer as it comes in: a stream is sent on piece by piece, anything else as a whole. */
final class Answer
{
    /** Seconds that the whole answer may take. */
    public int $limit;
    public int $status = 0;
    private bool $streams;
    private string $method;
    private array $statuses;
    private array $headers = [];
    private string $body = '';
    private bool $begun = false;
    private bool $padded;
    private float $ends;

    public function __construct(Asked $asked, string $method)
    {
        $this->streams = $asked->streams && $method === 'GET';
        $this->method = $method;
        $this->statuses = $asked->deployed ? DEPLOYED_STATUSES : STATUSES;
        $this->limit = $this->streams ? STREAM_S : POLL_S;
        $this->ends = microtime(true) + $this->limit;
        $apache = strpos($_SERVER['SERVER_SOFTWARE'] ?? '', 'Apache') === 0;
        $this->padded = PADDED ?? ($apache && PHP_SAPI === 'fpm-fcgi');
    }

    public function takeHeader(string $line): void
    {
        if (preg_match('~^HTTP/\S+ (\d{3})~', $line, $found)) {
            $this->status = (int) $found[1];
            $this->headers = [];
        } elseif (preg_match('~^([A-Za-z-]+):[ \t]*([\x20-\x7e]*?)[ \t]*$~', rtrim($line, "\r\n"), $found)) {
            $this->headers[strtolower($found[1])] = $found[2];
        }
    }

    /** Take a piece of the body; return false to end the answer: it is too long or late, or the visitor has left. */
    public function take(string $piece): bool
    {
        if (!$this->streams || !$this->isStream()) {
            $this->body .= $piece;
            return strlen($this->body) <= MAX_BODY && microtime(true) < $this->ends;
        }
        if (!$this->begun) {
            $this->begun = true;
            $this->sendHead();
        }
        echo $piece;
        if ($this->padded && substr($piece, -2) === "\n\n") {
            echo ':', str_repeat(' ', PADDING), "\n\n";
        }
        flush();
        return !connection_aborted() && microtime(true) < $this->ends;
    }

    /** Send what take() did not send yet; return false where there is nothing that may be sent. */
    public function finish(): bool
    {
        if ($this->begun) {
            return true;
        }
        if (!in_array($this->status, $this->statuses, true) || !$this->isWhole()) {
            return false;
        }
        $this->sendHead();
        echo $this->body;
        return true;
    }

    /** Tell whether a body as rpa-server sends it has come, and all of it. */
    private function isWhole(): bool
    {
        if ($this->status === 204 || $this->status === 304 || $this->method === 'OPTIONS') {
            return $this->body === '';
        }
        $length = (int) ($this->headers['content-length'] ?? 0);
        return ($this->isJson() || $this->isStream()) && strlen($this->body) <= MAX_BODY
            && ($this->method === 'HEAD' || strlen($this->body) >= $length);
    }

    private function isStream(): bool
    {
        return $this->status === 200 && strpos($this->headers['content-type'] ?? '', 'text/event-stream') === 0;
    }

    private function isJson(): bool
    {
        return strpos($this->headers['content-type'] ?? '', 'application/json') === 0;
    }

    private function sendHead(): void
    {
        http_response_code($this->status);
        foreach (PASSED_HEADERS as $name) {
            if (isset($this->headers[strtolower($name)])) {
                header($name . ': ' . $this->headers[strtolower($name)]);
            }
        }
    }
}

/** Answer the request. */
function main(): void
{
    quiet();
    $asked = asked();
    if ($asked === null) {
        refuse(null, 404, 'not_found', 'There is nothing at this address.', 'Endpoint não encontrado');
        return;
    }
    $method = $_SERVER['REQUEST_METHOD'] ?? 'GET';
    $taken = $asked->streams ? ['GET', 'OPTIONS'] : ['GET', 'HEAD', 'OPTIONS'];
    if (!in_array($method, $taken, true)) {
        header('Allow: ' . implode(', ', $taken));
        $mensagem = in_array($method, ['POST', 'DELETE'], true) ? 'Endpoint não encontrado' : 'Método não permitido';
        $message = 'This address does not take this method; the Allow header names those it takes.';
        refuse($asked->isApi() ? $asked : null, 405, 'method_not_allowed', $message, $mensagem);
        return;
    }
    if ($method === 'OPTIONS') {
        $asked->session = '0'; // a preflight asks about the address, so any valid session id will do
    }
    if (!$asked->isValid()) {
        $mensagem = $asked->isMissing() ? 'Session ID obrigatório' : 'Session ID inválido';
        refuse($asked, 400, 'bad_session_id', 'The session id is not valid.', $mensagem);
        return;
    }
    $answer = new Answer($asked, $method);
    $reason = fetch($method, server() . $asked->target(), requestHeaders(), $answer);
    if (!$answer->finish()) {
        error_log('rpa_proxy: no usable answer from ' . server() . " (status $answer->status; $reason)");
        fail($asked);
    }
}

/** Configure PHP to send nothing but the answer, without buffering or compressing it. */
function quiet(): void
{
    ini_set('display_errors', '0');
    ini_set('default_mimetype', ''); // else PHP adds a type to a 304
    ini_set('default_charset', ''); // else PHP adds a charset to rpa-server's type
    ini_set('zlib.output_compression', '0');
    while (ob_get_level() > 0 && ob_end_clean()) {
        continue;
    }
    if (function_exists('set_time_limit')) {
        set_time_limit(0);
    }
    // When the visitor leaves, take() ends the answer; else PHP would exit inside curl, its connection still open.
    ignore_user_abort(true);
    if (function_exists('apache_setenv')) {
        apache_setenv('no-gzip', '1');
    }
    if (function_exists('session_status') && session_status() === PHP_SESSION_ACTIVE) {
        session_write_close(); // else the visitor's next request waits for the end of this one
    }
    header_remove('X-Powered-By');
    header('X-Content-Type-Options: nosniff');
    header('X-Accel-Buffering: no');
}

/** Return what the request asks for, null if its address is not in ROUTES. */
function asked(): ?Asked
{
    $path = $_SERVER['PATH_INFO'] ?? '';
    if ($path === '') {
        $path = rawurldecode((string) strtok($_SERVER['REQUEST_URI'] ?? '', '?'));
    }
    foreach (ROUTES as $pattern => $route) {
        if (preg_match($pattern, $path, $found)) {
            $session = $route[1] === null ? rtrim($found[1], '/') : ($_GET[$route[1]] ?? '');
            return new Asked($route, is_string($session) ? $session : '');
        }
    }
    return null;
}

function server(): string
{
    $set = getenv('RPA_SERVER_URL') ?: ($_SERVER['RPA_SERVER_URL'] ?? '');
    return rtrim($set !== '' ? $set : SERVER, '/');
}

/** Return the header lines for rpa-server: the visitor's address, the cursor, If-None-Match and the page's origin. */
function requestHeaders(): array
{
    $lines = ['X-Forwarded-For: ' . ($_SERVER['REMOTE_ADDR'] ?? 'unknown')];
    $passed = ['Last-Event-ID' => 'HTTP_LAST_EVENT_ID', 'If-None-Match' => 'HTTP_IF_NONE_MATCH', 'Origin' => 'HTTP_ORIGIN'];
    foreach ($passed as $name => $key) {
        if (preg_match('~^[\x21-\x7e]{1,200}$~D', (string) ($_SERVER[$key] ?? ''))) {
            $lines[] = $name . ': ' . $_SERVER[$key];
        }
    }
    return $lines;
}

/** Request $url from rpa-server, feed its answer to $answer, and return what went wrong, for the log. */
function fetch(string $method, string $url, array $headers, Answer $answer): string
{
    return function_exists('curl_init')
        ? fetchByCurl($method, $url, $headers, $answer)
        : fetchBySocket($method, $url, $headers, $answer);
}

function fetchByCurl(string $method, string $url, array $headers, Answer $answer): string
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_NOBODY => $method === 'HEAD',
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
        CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
        CURLOPT_FOLLOWLOCATION => false,
        CURLOPT_PROXY => '',
        CURLOPT_CONNECTTIMEOUT => CONNECT_S,
        CURLOPT_TIMEOUT => $answer->limit,
        CURLOPT_LOW_SPEED_LIMIT => 1,
        CURLOPT_LOW_SPEED_TIME => SILENCE_S,
        CURLOPT_HEADERFUNCTION => function ($curl, string $line) use ($answer): int {
            $answer->takeHeader($line);
            return strlen($line);
        },
        CURLOPT_WRITEFUNCTION => function ($curl, string $piece) use ($answer): int {
            return $answer->take($piece) ? strlen($piece) : 0;
        },
    ]);
    curl_exec($curl);
    return curl_error($curl);
}

/** Use a plain socket, since many hosts switch PHP's "http://" streams off, and HTTP/1.0, which has no chunks. */
function fetchBySocket(string $method, string $url, array $headers, Answer $answer): string
{
    $parts = parse_url($url);
    $secure = ($parts['scheme'] ?? '') === 'https';
    $port = $parts['port'] ?? ($secure ? 443 : 80);
    $address = ($secure ? 'tls://' : 'tcp://') . $parts['host'] . ':' . $port;
    $socket = @stream_socket_client($address, $code, $text, CONNECT_S);
    if ($socket === false) {
        return (string) $text;
    }
    stream_set_timeout($socket, min(SILENCE_S, $answer->limit));
    $target = $parts['path'] . (isset($parts['query']) ? '?' . $parts['query'] : '');
    $host = $parts['host'] . (isset($parts['port']) ? ':' . $port : '');
    array_unshift($headers, "$method $target HTTP/1.0", "Host: $host", 'Connection: close');
    fwrite($socket, implode("\r\n", $headers) . "\r\n\r\n");
    $head = '';
    // No fgets() for the head: what it leaves in PHP's buffer would wait there for the next event.
    while (strpos($head, "\r\n\r\n") === false && strlen($head) < MAX_HEAD && ($piece = read($socket)) !== '') {
        $head .= $piece;
    }
    $parts = explode("\r\n\r\n", $head, 2);
    if (count($parts) < 2) {
        return 'no header came';
    }
    array_map([$answer, 'takeHeader'], explode("\r\n", $parts[0]));
    for ($piece = $parts[1]; $piece === '' || $answer->take($piece); ) {
        if (($piece = read($socket)) === '') {
            break;
        }
    }
    return '';
}

/** Return data as soon as some is there; '' at the end of the answer, and after the socket's time limit. */
function read($socket): string
{
    return (string) fread($socket, 8192);
}

/**
 * Answer if rpa-server gives no usable answer: with an error; on a stream, with the time after which to reconnect; on a
 * deployed poll, as if nothing were known of the session yet, since such a page stops for good on an error.
 */
function fail(Asked $asked): void
{
    header('Access-Control-Allow-Origin: *');
    header('Cache-Control: no-store');
    if ($asked->streams) {
        http_response_code(200); // EventSource gives up for good on anything else
        header('Content-Type: text/event-stream');
        echo "retry: 3000\n: rpa-server does not answer\n\n";
        return;
    }
    if ($asked->deployed) {
        waits($asked);
        return;
    }
    header('Retry-After: 3');
    refuse($asked, 503, 'unavailable', 'rpa-server does not answer.', '');
}

/** Answer a deployed poll, or its preflight, as rpa-server does while nothing is known of the session. */
function waits(Asked $asked): void
{
    header('Access-Control-Allow-Methods: GET, POST, PUT, DELETE, OPTIONS');
    header('Access-Control-Allow-Headers: Content-Type, Authorization');
    if (($_SERVER['REQUEST_METHOD'] ?? 'GET') === 'OPTIONS') {
        http_response_code(204);
        return;
    }
    http_response_code(200);
    header('Content-Type: application/json; charset=utf-8');
    $body = $asked->isApi() ? waitingApi($asked->session) : waitingReader($asked->session);
    echo json_encode($body, JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE);
}

function waitingApi(string $session): array
{
    $text = 'Aguardando início da execução';
    return [
        'success' => true,
        'session_id' => $session,
        'progress' => [
            'etapa_atual' => 0,
            'total_etapas' => 5,
            'percentual' => 0,
            'status' => 'waiting',
            'mensagem' => $text,
            'estimativas' => ['capturadas' => false, 'dados' => null],
            'resultados_finais' => ['rpa_finalizado' => false, 'dados' => null],
            'timeline' => [],
            'source' => 'initial',
            'etapa' => 0,
            'current_etapa' => 0,
            'current_status' => 'waiting',
            'current_mensagem' => $text,
        ],
        'timestamp' => date('Y-m-d H:i:s'),
        'status' => 'waiting',
        'current_phase' => '',
        'mensagem' => $text,
        'progress_percent' => 0,
        'results' => new \stdClass(),
    ];
}

/** Return the body of the older readers (get_progress*.php) while nothing is known of the session. */
function waitingReader(string $session): array
{
    $estimates = ['capturadas' => false, 'encontradas' => false, 'dados' => null, 'status' => 'not_found'];
    $final = ['rpa_finalizado' => false, 'status_final' => 'waiting', 'timestamp_fim' => null, 'dados' => null];
    return [
        'success' => true,
        'data' => [
            'etapa_atual' => 0,
            'total_etapas' => 5,
            'percentual' => 0,
            'status' => 'waiting',
            'mensagem' => 'Aguardando início...',
            'timestamp_inicio' => date('Y-m-d\TH:i:s'),
            'timestamp_atualizacao' => date('Y-m-d\TH:i:s'),
            'dados_extra' => [],
            'erros' => [],
            'session_id' => $session,
            'historico' => [],
            'timeline' => [],
            'estimativas' => $estimates + ['mensagem' => 'Estimativas não encontradas'],
            'resultados_finais' => $final + ['arquivo_resultado' => null],
            'source' => 'none',
            'file_used' => 'none',
            'tempo_decorrido' => 0,
        ],
        'timestamp' => date('Y-m-d H:i:s'),
    ];
}

/** Send an error: as rpa-server does, or as deployed pages expect it, with status 200 unless the id is missing. */
function refuse(?Asked $asked, int $status, string $code, string $message, string $mensagem): void
{
    header('Access-Control-Allow-Origin: *');
    header('Cache-Control: no-store');
    $deployed = $asked !== null && $asked->deployed;
    if ($deployed && $asked->streams) {
        http_response_code(200);
        header('Content-Type: text/event-stream');
        $update = ['status' => 'error', 'session_id' => $asked->session, 'message' => $mensagem];
        echo 'data: ' . json_encode($update, JSON_INVALID_UTF8_SUBSTITUTE) . "\n\n";
        return;
    }
    header('Content-Type: application/json; charset=utf-8');
    if ($deployed) {
        // Without an id the older readers answer 400, but get_progress.php 200: its deployed version ignored the id.
        http_response_code($asked->isMissing() && $asked->path !== '/get_progress.php' ? $status : 200);
        echo json_encode(deployedBody($asked, $status, $mensagem), JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE);
        return;
    }
    http_response_code($status);
    echo json_encode(['type' => 'error', 'code' => $code, 'message' => $message, 'temporary' => $status === 503]);
}

/** Return the body with which the deployed API, or the older readers, answered an error. */
function deployedBody(Asked $asked, int $status, string $mensagem): array
{
    $at = date('Y-m-d H:i:s');
    if ($asked->parameter !== null) {
        return ['success' => false, 'message' => $mensagem, 'timestamp' => $at, 'error' => $mensagem];
    }
    $body = ['success' => false, 'error' => $mensagem];
    return ($status === 405 ? $body : $body + ['code' => $status, 'timestamp' => $at]) + ['message' => $mensagem];
}

main();
