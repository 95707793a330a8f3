/* Opens many connections to one server, counts the messages that arrive on each of them and measures their delay.
 *
 * One thread, level-triggered epoll, one recv() for each readable socket: it must cost far less than any server that it
 * measures, and it reports its own CPU. The server's make does not matter: a message is any text frame or event that
 * contains "progress_update"; after "seq": it has its number, after "t": its time of sending, microseconds since 1970.
 *
 *   load --port 8080 --mode ws --path '/rpa/bench-{}' --connections 1000 --sessions 1
 *
 * Prints one JSON object once every connection is open or has failed. For each line "EXPECTED QUIET_MS LIMIT_MS" on
 * standard input it prints another one, as soon as EXPECTED different messages are there, none came for QUIET_MS, or
 * LIMIT_MS has passed (0 leaves a condition out): what came since the last one or, with --mode poll, since the line.
 * It exits at the end of standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RAW = 256 << 10, WORK = 2 << 20, EVENTS = 1024 };

/* Durations in microseconds: a bucket for each from 0 to 127, above that 64 for each power of two, so within 1.6 %. */
enum { FINE = 64, BUCKETS = FINE * 60 };
struct histogram { uint64_t count, max, bucket[BUCKETS]; };

enum mode { WS, SSE, SIO, POLL };
enum phase { CONNECTING, HEAD, JOINING, OPEN, GONE };
enum chunk { SIZE, EXTENSION, DATA, LINE_END };

struct connection {
    int fd;
    uint32_t index, delivered;
    uint32_t heard;        /* messages until it counted as open, see option.messages */
    enum phase phase;
    enum chunk chunk;
    bool settled, chunked;
    uint64_t left;         /* bytes of the current chunk that are still to come */
    uint64_t next;         /* the number that the next message should have, 0 = any */
    uint64_t began_us;     /* when it began to connect or, of a poll, sent the request */
    char *tail;            /* received bytes of a head, frame, event or answer that is not complete yet */
    size_t tail_size;
};

static struct {
    enum mode mode;
    const char *path, *headers;
    int port, sources;
    uint32_t connections, sessions, first, window;
    uint32_t messages;     /* how many must arrive before a connection counts as open; 0: the handshake is enough */
    double rate;
    useconds_t rest_us;    /* pause before each round of reads once all are open: adds delay, leaves CPU to others */
    uint64_t next;
} option = {.mode = WS, .path = "/", .headers = "", .sources = 1, .connections = 1, .sessions = 1, .window = 64};

static struct connection *all;
static int poller;
static uint32_t begun, settled, opened, failed;
static struct histogram handshakes, states, latencies;
static uint64_t delivered, duplicated, lost, other, closed, refused, first_us, last_us;
static uint64_t wall_us, steady_us;              /* now, by CLOCK_REALTIME and by CLOCK_MONOTONIC */
static uint64_t marked_us, marked_cpu_us;
static struct { bool waiting; uint64_t expected, quiet_us, limit_us, since_us; } command;
static char raw[RAW], work[WORK];

static uint64_t clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void look_at_clocks(void)
{
    wall_us = clock_us(CLOCK_REALTIME);
    steady_us = clock_us(CLOCK_MONOTONIC);
}

static uint64_t cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000
         + (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* -- histograms */

static void record(struct histogram *of, uint64_t us)
{
    unsigned power = us < 2 * FINE ? 0 : 63 - (unsigned)__builtin_clzll(us) - 6;
    unsigned at = power * FINE + (unsigned)(us >> power);
    of->bucket[at < BUCKETS ? at : BUCKETS - 1]++;
    of->count++;
    if (us > of->max)
        of->max = us;
}

static uint64_t quantile(const struct histogram *of, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)of->count), seen = 0;
    for (unsigned at = 0; at < BUCKETS; at++) {
        seen += of->bucket[at];
        if (seen > wanted) {
            unsigned power = at < 2 * FINE ? 0 : at / FINE - 1;
            uint64_t us = (uint64_t)(at - power * FINE) << power;
            return us < of->max ? us : of->max;
        }
    }
    return of->max;
}

static void print_histogram(const char *name, const struct histogram *of)
{
    printf(", \"%s\": {\"count\": %llu, \"p50\": %llu, \"p90\": %llu, \"p99\": %llu, \"max\": %llu}", name,
           (unsigned long long)of->count, (unsigned long long)quantile(of, 0.5), (unsigned long long)quantile(of, 0.9),
           (unsigned long long)quantile(of, 0.99), (unsigned long long)of->max);
}

/* -- sending */

static void put(struct connection *c, const void *data, size_t size)
{
    /* So few bytes always fit into an idle socket's buffer. If the connection is lost, the next recv() says so. */
    ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
    (void)sent;
}

/* A client's frames are masked; a mask of zeros leaves the payload as it is. */
static void put_frame(struct connection *c, int opcode, const char *payload, size_t size)
{
    char frame[6 + 125] = {(char)(0x80 | opcode), (char)(0x80 | size)};
    if (size > 125)
        return;
    memcpy(frame + 6, payload, size);
    put(c, frame, 6 + size);
}

static void put_request(struct connection *c)
{
    static const char *const extra[] = {
        [WS] = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        [SSE] = "Accept: text/event-stream\r\n",
        [POLL] = "",
    };
    char request[2048], path[1024];
    const char *mark = strstr(option.path, "{}");
    int before = mark ? (int)(mark - option.path) : (int)strlen(option.path);
    if (mark)
        snprintf(path, sizeof path, "%.*s%06u%s", before, option.path, option.first + c->index % option.sessions, mark + 2);
    else
        snprintf(path, sizeof path, "%s", option.path);
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", path, option.port,
                        extra[option.mode == SIO ? WS : option.mode], option.headers);
    c->phase = HEAD;
    put(c, request, (size_t)size);
}

/* -- opening and closing connections */

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void settle(struct connection *c, bool good)
{
    if (c->settled)
        return;
    c->settled = true;
    settled++;
    if (good)
        opened++;
    else
        failed++;
}

static void drop(struct connection *c)
{
    if (c->phase == OPEN)
        closed++;
    settle(c, false);
    c->phase = GONE;
    close(c->fd);
    free(c->tail);
    c->tail = NULL;
    c->tail_size = 0;
}

static void begin(struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)}, from = to;
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)((int)c->index % option.sources));
    from.sin_port = 0;
    c->began_us = steady_us;
    c->next = option.next;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void open_now(struct connection *c)
{
    c->phase = OPEN;
    record(&handshakes, steady_us - c->began_us);
    if (!option.messages)
        settle(c, true);
}

/* -- receiving */

static bool number_behind(const char *data, size_t size, const char *key, uint64_t *number)
{
    size_t length = strlen(key);
    const char *at = memmem(data, size, key, length), *end = data + size;
    if (!at)
        return false;
    for (at += length; at < end && *at == ' ';)
        at++;
    for (*number = 0; at < end && *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return true;
}

static void count(struct connection *c, uint64_t number, uint64_t sent_us)
{
    c->delivered++;
    delivered++;
    if (number < c->next) {
        duplicated++;
    } else {
        if (c->next)
            lost += number - c->next;
        c->next = number + 1;
    }
    record(&latencies, wall_us > sent_us ? wall_us - sent_us : 0);
    if (!first_us)
        first_us = steady_us;
    last_us = steady_us;
}

static void message(struct connection *c, const char *data, size_t size)
{
    uint64_t number, sent_us;
    if (!c->settled && ++c->heard == option.messages) {
        record(&states, steady_us - c->began_us);
        settle(c, true);
    }
    if (memmem(data, size, "progress_update\"", 16) && number_behind(data, size, "\"t\":", &sent_us)
        && number_behind(data, size, "\"seq\":", &number))
        count(c, number, sent_us);
    else
        other++;
}

/* Packets of Socket.IO: "0" opened (we send "40" to join), "40" joined, "2" a ping (we send "3"), "42" an event. */
static void packet(struct connection *c, const char *data, size_t size)
{
    if (size > 1 && data[0] == '4' && data[1] == '2')
        message(c, data, size);
    else if (size > 1 && data[0] == '4' && data[1] == '0')
        open_now(c);
    else if (size && data[0] == '0')
        put_frame(c, 1, "40", 2);
    else if (size && data[0] == '2')
        put_frame(c, 1, "3", 1);
}

static void frame(struct connection *c, int opcode, const char *data, size_t size)
{
    if (opcode == 9)
        put_frame(c, 10, data, size);
    else if (opcode == 8)
        drop(c);
    else if (opcode == 1 && option.mode == SIO)
        packet(c, data, size);
    else if (opcode == 1)
        message(c, data, size);
}

static size_t take_frames(struct connection *c, const char *data, size_t size)
{
    size_t at = 0;
    while (size - at >= 2 && c->phase != GONE) {
        const unsigned char *head = (const unsigned char *)data + at;
        size_t length = head[1] & 0x7f, bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (size - at < 2 + bytes)
            break;
        if (bytes) {
            length = 0;
            for (size_t i = 0; i < bytes; i++)
                length = length << 8 | head[2 + i];
        }
        if (size - at - 2 - bytes < length)
            break;
        frame(c, head[0] & 0x0f, data + at + 2 + bytes, length);
        at += 2 + bytes + length;
    }
    return at;
}

static size_t take_events(struct connection *c, const char *data, size_t size)
{
    size_t at = 0;
    const char *end;
    while ((end = memmem(data + at, size - at, "\n\n", 2))) {
        if (memmem(data + at, (size_t)(end - data) - at, "data:", 5))
            message(c, data + at, (size_t)(end - data) - at);
        at = (size_t)(end - data) + 2;
    }
    return at;
}

static size_t dechunk(struct connection *c, const char *in, size_t size, char *out)
{
    size_t made = 0;
    for (size_t at = 0; at < size;) {
        if (c->chunk == DATA) {
            size_t step = c->left < size - at ? (size_t)c->left : size - at;
            memcpy(out + made, in + at, step);
            made += step;
            at += step;
            c->left -= step;
            if (!c->left)
                c->chunk = LINE_END;
            continue;
        }
        char letter = in[at++];
        if (letter == '\n') {
            c->chunk = c->chunk == LINE_END ? SIZE : DATA;
        } else if (c->chunk == SIZE && letter != '\r') {
            char lower = (char)(letter | 0x20);
            if (letter == ';')
                c->chunk = EXTENSION;
            else
                c->left = c->left * 16 + (uint64_t)(letter <= '9' ? letter - '0' : lower - 'a' + 10);
        }
    }
    return made;
}

/* Returns the size of the head, 0 while it is not complete. */
static size_t head_size(const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

static bool has(const char *data, size_t size, const char *name)
{
    size_t length = strlen(name);
    for (size_t at = 0; at + length <= size; at++)
        if (!strncasecmp(data + at, name, length))
            return true;
    return false;
}

static size_t take_head(struct connection *c, const char *data, size_t size)
{
    size_t used = head_size(data, size);
    if (!used)
        return 0;
    bool good = size > 12 && !memcmp(data + 9, option.mode == SSE ? "200" : "101", 3);
    if (!good) {
        if (!refused++)
            fprintf(stderr, "load: refused: %.*s\n", (int)(used < 500 ? used : 500), data);
        drop(c);
        return size;
    }
    c->chunked = has(data, used, "transfer-encoding: chunked");
    if (option.mode == SIO)
        c->phase = JOINING;
    else
        open_now(c);
    return used;
}

static size_t take_answer(struct connection *c, const char *data, size_t size)
{
    size_t used = head_size(data, size);
    uint64_t body = 0;
    if (!used)
        return 0;
    for (size_t at = 0; at + 16 < used; at++)
        if (!strncasecmp(data + at, "content-length: ", 16)) {
            number_behind(data + at + 15, used - at - 15, " ", &body);
            break;
        }
    if (size - used < body)
        return 0;
    if (!memcmp(data + 9, "200", 3) || !memcmp(data + 9, "304", 3)) {
        delivered++;
        last_us = steady_us;
        record(&latencies, steady_us - c->began_us);
    } else if (!refused++) {
        fprintf(stderr, "load: refused: %.*s\n", (int)(used < 500 ? used : 500), data);
    }
    settle(c, true);
    c->began_us = steady_us;
    put_request(c);
    return used + body;
}

static void keep(struct connection *c, const char *rest, size_t size)
{
    if (size) {
        c->tail = realloc(c->tail, size);
        if (!c->tail)
            die("realloc");
        memcpy(c->tail, rest, size);
    }
    c->tail_size = size;
}

static void readable(struct connection *c)
{
    ssize_t got = recv(c->fd, raw, RAW, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(c);
        return;
    }
    size_t size = c->tail_size, fresh = (size_t)got, used;
    const char *from = raw;
    if (size + fresh > WORK) {
        fprintf(stderr, "load: a message is too large\n");
        exit(1);
    }
    if (size)
        memcpy(work, c->tail, size);
    if (c->phase == HEAD && option.mode != POLL) {
        memcpy(work + size, raw, fresh);
        used = take_head(c, work, size + fresh);
        if (c->phase == GONE)
            return;
        if (!used) {
            keep(c, work, size + fresh);
            return;
        }
        /* The bytes after the head are the last ones of raw, since the tail had no complete head. */
        from = raw + fresh - (size + fresh - used);
        fresh = size + fresh - used;
        size = 0;
    }
    if (c->chunked) {
        size += dechunk(c, from, fresh, work + size);
    } else {
        memcpy(work + size, from, fresh);
        size += fresh;
    }
    used = option.mode == SSE    ? take_events(c, work, size)
         : option.mode == POLL ? take_answer(c, work, size)
                               : take_frames(c, work, size);
    if (c->phase != GONE)
        keep(c, work + used, size - used);
}

static void connected(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        if (!failed)
            fprintf(stderr, "load: can't connect: %s\n", strerror(error));
        drop(c);
        return;
    }
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    put_request(c);
}

/* -- reports */

static void start_clocks(void)
{
    marked_us = clock_us(CLOCK_MONOTONIC);
    marked_cpu_us = cpu_us();
}

static void mark(void)
{
    delivered = duplicated = lost = other = closed = refused = first_us = last_us = 0;
    memset(&latencies, 0, sizeof latencies);
    for (uint32_t i = 0; i < begun; i++)
        all[i].delivered = 0;
    start_clocks();
}

static void report_opened(void)
{
    uint64_t spent = clock_us(CLOCK_MONOTONIC) - marked_us;
    printf("{\"opened\": %u, \"failed\": %u, \"wall_us\": %llu, \"cpu_us\": %llu", opened, failed,
           (unsigned long long)spent, (unsigned long long)(cpu_us() - marked_cpu_us));
    print_histogram("handshake_us", &handshakes);
    print_histogram("state_us", &states);
    printf("}\n");
    fflush(stdout);
}

static void report(void)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < begun; i++) {
        least = all[i].delivered < least ? all[i].delivered : least;
        most = all[i].delivered > most ? all[i].delivered : most;
    }
    printf("{\"delivered\": %llu, \"duplicated\": %llu, \"gaps\": %llu, \"other\": %llu, \"closed\": %llu, \"refused\": %llu, "
           "\"least\": %u, \"most\": %u, \"span_us\": %llu, \"wall_us\": %llu, \"cpu_us\": %llu",
           (unsigned long long)delivered, (unsigned long long)duplicated, (unsigned long long)lost,
           (unsigned long long)other, (unsigned long long)closed, (unsigned long long)refused, least, most,
           (unsigned long long)(first_us ? last_us - first_us : 0), (unsigned long long)(steady_us - marked_us),
           (unsigned long long)(cpu_us() - marked_cpu_us));
    print_histogram("latency_us", &latencies);
    printf("}\n");
    fflush(stdout);
    mark();
}

static void take_command(void)
{
    char line[128];
    unsigned long long expected, quiet_ms, limit_ms;
    ssize_t got = read(0, line, sizeof line - 1);
    if (got <= 0)
        exit(0);
    line[got] = 0;
    if (sscanf(line, "%llu %llu %llu", &expected, &quiet_ms, &limit_ms) != 3) {
        fprintf(stderr, "load: a command is three numbers\n");
        exit(1);
    }
    if (option.mode == POLL)
        mark();
    command.waiting = true;
    command.expected = expected;
    command.quiet_us = quiet_ms * 1000;
    command.limit_us = limit_ms * 1000;
    command.since_us = steady_us;
}

static bool command_due(void)
{
    uint64_t heard_us = last_us > command.since_us ? last_us : command.since_us;
    return (command.expected && delivered - duplicated >= command.expected)
        || (command.quiet_us && steady_us > heard_us + command.quiet_us)
        || (command.limit_us && steady_us > command.since_us + command.limit_us);
}

/* -- the loop */

static void begin_some(void)
{
    double allowed = option.rate > 0 ? (double)(steady_us - marked_us) * option.rate / 1e6 + 1 : 1e18;
    while (begun < option.connections && begun - settled < option.window && begun < allowed) {
        all[begun].index = begun;
        begin(&all[begun]);
        begun++;
    }
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, begun < option.connections ? 1 : command.waiting ? 10 : -1);
    if (option.rest_us && settled == option.connections)
        usleep(option.rest_us);
    look_at_clocks();
    for (int i = 0; i < ready; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) {
            take_command();
            continue;
        }
        if (i)
            look_at_clocks();
        if (c->phase == CONNECTING)
            connected(c);
        else if (c->phase != GONE)
            readable(c);
    }
}

static void run(void)
{
    bool announced = false;
    look_at_clocks();
    start_clocks();
    for (;;) {
        begin_some();
        turn();
        if (!announced && settled == option.connections) {
            announced = true;
            report_opened();
            start_clocks();
        }
        if (announced && command.waiting && command_due()) {
            command.waiting = false;
            report();
        }
    }
}

static enum mode mode_named(const char *name)
{
    static const char *const names[] = {[WS] = "ws", [SSE] = "sse", [SIO] = "sio", [POLL] = "poll"};
    for (int i = WS; i <= POLL; i++)
        if (!strcmp(name, names[i]))
            return (enum mode)i;
    fprintf(stderr, "load: no such mode: %s\n", name);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", 1, 0, 'p'},   {"mode", 1, 0, 'm'},   {"path", 1, 0, 'u'},    {"headers", 1, 0, 'h'}, {"connections", 1, 0, 'n'},
        {"sessions", 1, 0, 's'}, {"first", 1, 0, 'f'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'r'},    {"sources", 1, 0, 'a'},
        {"next", 1, 0, 'x'},   {"messages", 1, 0, 'i'},  {"rest", 1, 0, 'l'},     {0, 0, 0, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (letter) {
        case 'p': option.port = atoi(optarg); break;
        case 'm': option.mode = mode_named(optarg); break;
        case 'u': option.path = optarg; break;
        case 'h': option.headers = optarg; break;
        case 'n': option.connections = (uint32_t)atoi(optarg); break;
        case 's': option.sessions = (uint32_t)atoi(optarg); break;
        case 'f': option.first = (uint32_t)atoi(optarg); break;
        case 'w': option.window = (uint32_t)atoi(optarg); break;
        case 'r': option.rate = atof(optarg); break;
        case 'a': option.sources = atoi(optarg); break;
        case 'x': option.next = strtoull(optarg, NULL, 10); break;
        case 'i': option.messages = (uint32_t)atoi(optarg); break;
        case 'l': option.rest_us = (useconds_t)(1000 * atof(optarg)); break;
        default: exit(2);
        }
    if (!option.port || !option.sessions || !option.connections || option.sources < 1) {
        fprintf(stderr, "load: --port is missing, or a number is 0 that can't be\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    read_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    all = calloc(option.connections, sizeof *all);
    poller = epoll_create1(0);
    if (!all || poller < 0)
        die("load");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input) < 0)
        die("standard input");
    run();
}
