/*
 * device.c - a device for Owsla in plain C99: sockets, one thread, no library, no malloc.
 *
 *   cc -std=c99 -Wall -Wextra -Werror -pedantic -o device device.c
 *   ./device 127.0.0.1 7000 door-17 --event hvac.temp 21.5 --request door.open please
 *
 * Sends each message until it is answered, over as many links as that takes, and prints what comes
 * back; without messages it just stays connected. One that Owsla refuses is dropped, and no other.
 * The COMMAND `door.open` opens its door, once however often it comes. With --will Owsla publishes
 * that EVENT should the device go without a word. The protocol is docs/protocol.md, and vectors.c
 * checks this file against the test vectors at that page's end.
 * It proves who it is with the token in DEVICE_TOKEN (or --token, which ps shows until it is read),
 * or with one that token.h makes from the line of `owsla key derive` in --device-key-file FILE.
 * Reading order: MessagePack out, MessagePack in, messages, commands, work, one link, reconnecting,
 * who we are.
 * Bound: frames of FRAME_MAX bytes, two buffers for them, KEYS answers, WINDOW messages that wait
 * for theirs; nothing else grows.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "token.h"

enum { HELLO = 1, WELCOME, PING, PONG, EVENT, ACK, REQUEST, REPLY, COMMAND, RESULT, BYE, ERROR };
enum { HEADER = 4, FRAME_MAX = 4096, KEEPALIVE_WISH = 60, KEYS = 16, KEY = 16 };
enum { ITEMS = 8, WINDOW = 16, TOKEN_MAX = 3840 }; /* HELLO has room for such a token */
enum { ANSWERS_MAX = 64 }; /* an ACK and a RESULT of ours, with their lengths */
enum { STATUS_OK = 0, STATUS_REFUSED = 3, STATUS_FAILED = 5 };
enum { KEEPALIVE = 60, FRAME_MAX_UP = 65536 }; /* what rules where WELCOME does not say */
enum { CONNECT_MS = 30000, GREETING_MS = 30000, LINGER_MS = 1000, LOOK_MS = 250 };
enum { HELD_MS = 60000, WAIT_MIN_MS = 1000, WAIT_MAX_MS = 120000, TOLD_MAX_MS = 3600000 };

/* ---- MessagePack out: frames are built in place, behind those that still wait. ---- */

/* Room for one message of ours, and for many answers. It fills up while Owsla takes nothing: we
   read on, PONGs are owed until there is room, a COMMAND stays unanswered and so comes again. */
static struct {
    uint8_t bytes[2 * (HEADER + FRAME_MAX)];
    size_t length, frame; /* bytes that wait; where the frame being built begins */
    bool full;            /* the frame being built does not fit */
} out;

static bool has_room(size_t length) { return length <= sizeof out.bytes - out.length; }

static void put(const void *bytes, size_t length)
{
    if (!has_room(length)) out.full = true;
    if (out.full || length == 0) return;
    memcpy(out.bytes + out.length, bytes, length);
    out.length += length;
}

/* A format byte, and `value` in `width` bytes, big-endian. */
static void put_head(unsigned format, uint64_t value, size_t width)
{
    uint8_t head[9] = { (uint8_t)format };
    for (size_t i = width; i > 0; i--, value >>= 8) head[i] = (uint8_t)value;
    put(head, 1 + width);
}

static void put_uint(uint64_t value)
{
    if (value < 0x80) put_head((unsigned)value, 0, 0);
    else if (value <= UINT8_MAX) put_head(0xcc, value, 1);
    else if (value <= UINT16_MAX) put_head(0xcd, value, 2);
    else if (value <= UINT32_MAX) put_head(0xce, value, 4);
    else put_head(0xcf, value, 8);
}

static void put_str(const char *text)
{
    size_t length = strlen(text);
    if (length < 32) put_head(0xa0 | (unsigned)length, 0, 0);
    else if (length <= UINT8_MAX) put_head(0xd9, length, 1);
    else put_head(0xda, length, 2); /* no str of the protocol is longer than a frame */
    put(text, length);
}

static void put_bin(const char *bytes, size_t length)
{
    put_head(length < 256 ? 0xc4 : 0xc5, length, length < 256 ? 1 : 2);
    put(bytes, length);
}

static void begin(unsigned type, unsigned elements)
{
    out.frame = out.length;
    out.full = false;
    put("\0\0\0", HEADER); /* the length is known at the end */
    put_head(0x90 | elements, 0, 0);
    put_uint(type);
}

/* False: the frame is longer than the buffer or `limit` and is taken back. */
static bool end(uint64_t limit)
{
    size_t size = out.length - out.frame - HEADER;
    if (out.full || size > limit) return out.length = out.frame, false;
    for (size_t i = HEADER; i > 0; i--, size >>= 8) out.bytes[out.frame + i - 1] = (uint8_t)size;
    return true;
}

/* ---- MessagePack in: every read is checked, and once `broken` a reader stays so. ---- */

struct bytes { const uint8_t *at; size_t length; };
#define SHOW(bytes) (int)(bytes).length, (const char *)(bytes).at /* for "%.*s" */
struct reader { const uint8_t *at, *end; uint64_t left; bool broken; }; /* left: elements */
enum kind { UINT, STR, BIN, ARRAY, MAP, OTHER };

static struct bytes take(struct reader *r, uint64_t length)
{
    struct bytes taken = { r->at, 0 };
    if ((uint64_t)(r->end - r->at) < length) r->broken = true;
    if (r->broken) return taken;
    taken.length = (size_t)length;
    r->at += length;
    return taken;
}

static uint64_t take_be(struct reader *r, size_t width)
{
    struct bytes taken = take(r, width);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.length; i++) value = value << 8 | taken.at[i];
    return value;
}

/* One item's head; `n` is its value, length or count. This is the whole table of MessagePack. */
static enum kind head(struct reader *r, uint64_t *n)
{
    uint8_t f = (uint8_t)take_be(r, 1);
    *n = 0;
    if (f < 0x80) return *n = f, UINT;
    if (f < 0x90) return *n = f & 0x0f, MAP;
    if (f < 0xa0) return *n = f & 0x0f, ARRAY;
    if (f < 0xc0) return *n = f & 0x1f, STR;
    if (f == 0xc0 || f == 0xc2 || f == 0xc3) return OTHER; /* nil, false, true */
    if (f >= 0xc4 && f <= 0xc6) return *n = take_be(r, 1u << (f - 0xc4)), BIN;
    if (f >= 0xca && f <= 0xcb) return take(r, 4u << (f - 0xca)), OTHER; /* float */
    if (f >= 0xcc && f <= 0xcf) return *n = take_be(r, 1u << (f - 0xcc)), UINT;
    if (f >= 0xd0 && f <= 0xd3) return take(r, 1u << (f - 0xd0)), OTHER; /* signed */
    if (f >= 0xd9 && f <= 0xdb) return *n = take_be(r, 1u << (f - 0xd9)), STR;
    if (f >= 0xdc && f <= 0xdd) return *n = take_be(r, 2u << (f - 0xdc)), ARRAY;
    if (f >= 0xde && f <= 0xdf) return *n = take_be(r, 2u << (f - 0xde)), MAP;
    if (f < 0xe0) r->broken = true; /* the rest are ext types and one that is never used */
    return OTHER; /* a small negative number */
}

static uint64_t get(struct reader *r, enum kind kind) /* UINT: its value; ARRAY, MAP: the count */
{
    uint64_t n;
    if (head(r, &n) != kind) r->broken = true;
    return r->broken ? 0 : n;
}

static struct bytes get_str(struct reader *r) { return take(r, get(r, STR)); }
static struct bytes get_bin(struct reader *r) { return take(r, get(r, BIN)); }

/* Steps over an item of any kind: what a later version adds must not stop us. */
static void skip(struct reader *r, int depth)
{
    uint64_t n;
    enum kind kind = head(r, &n);
    if (kind == STR || kind == BIN) take(r, n);
    if (depth > 4 && (kind == ARRAY || kind == MAP)) r->broken = true;
    if (kind != ARRAY && kind != MAP) return;
    while (n-- > 0 && !r->broken) {
        if (kind == MAP) get_str(r);
        skip(r, depth + 1);
    }
}

/* Of another kind it is as if it were not there: a COMMAND's key is ours to refuse. */
static struct bytes get_bin_or_skip(struct reader *r, int depth)
{
    struct reader start = *r;
    uint64_t n;
    if (head(r, &n) == BIN) return take(r, n);
    *r = start;
    skip(r, depth);
    return (struct bytes){ r->at, 0 };
}

/* A nil stands for what is not there. */
static bool is_nil(struct reader *r)
{
    if (r->at == r->end || *r->at != 0xc0) return false;
    r->at++;
    return true;
}

/* Is there one more element, and is it not nil? */
static bool has(struct reader *r)
{
    if (r->broken || r->left == 0) return false;
    r->left--;
    return !is_nil(r);
}

static bool must(struct reader *r) { return has(r) || (r->broken = true, false); }

/* ---- Messages, out and in. ---- */

static char token[TOKEN_MAX + 1]; /* proof of who we are; empty: none */
/* Published should the link end without our BYE; topic NULL: there is none. Delay in ms. */
static struct { const char *topic, *text; uint64_t delay; } will;

static void send_hello(const char *device_id)
{
    begin(HELLO, 4);
    put_uint(1); /* the version of the protocol */
    put_str(device_id);
    put_head(0x80 | (2 + (token[0] != 0) + (will.topic != NULL)), 0, 0); /* a map of 2 to 4 */
    if (token[0]) put_str("token"), put_str(token);
    if (will.topic != NULL) {
        put_str("will"), put_head(0x80 | 3, 0, 0);
        put_str("topic"), put_str(will.topic);
        put_str("payload"), put_bin(will.text, strlen(will.text));
        put_str("delay"), put_uint(will.delay);
    }
    put_str("keepalive"), put_uint(KEEPALIVE_WISH);
    put_str("frameBytesMax"), put_uint(FRAME_MAX);
    end(FRAME_MAX);
}

/* EVENT or REQUEST; `seq` is the same whenever the same message is sent again. */
static bool send_message(unsigned type, uint32_t id, const char *topic, const char *text,
                         uint64_t seq, uint64_t limit)
{
    begin(type, 5);
    put_uint(id);
    put_str(topic);
    put_bin(text, strlen(text));
    put_head(0x80 | 1, 0, 0); /* a map of 1 */
    put_str("seq"), put_uint(seq);
    return end(limit);
}

static bool send_plain(unsigned type) { return begin(type, 1), end(FRAME_MAX); } /* PING, PONG */
static void send_bye(const char *reason) { begin(BYE, 2), put_str(reason), end(FRAME_MAX); }

static void send_ack(uint64_t id) { begin(ACK, 2), put_uint(id), end(FRAME_MAX); }

static void send_result(uint64_t id, unsigned status, const char *text) /* text: NULL for none */
{
    begin(RESULT, text ? 4 : 3), put_uint(id), put_uint(status);
    if (text) put_bin(text, strlen(text));
    end(FRAME_MAX);
}

struct message { /* the bytes point into the frame */
    uint64_t type, id, about, status, keepalive, frame_max, time, retry_after, expires_in;
    struct bytes connection, topic, payload, key, word, text; /* word: of a BYE or an ERROR */
    bool has_retry, has_id; /* of a BYE; of an ERROR */
};

static bool is(struct bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.at, text, bytes.length) == 0;
}

/* The map of a WELCOME or a COMMAND: no key of the one means something in the other. */
static void decode_map(struct reader *r, struct message *m)
{
    for (uint64_t pairs = get(r, MAP); pairs > 0 && !r->broken; pairs--) {
        struct bytes key = get_str(r);
        if (is_nil(r)) continue;
        if (is(key, "keepalive")) m->keepalive = get(r, UINT);
        else if (is(key, "frameBytesMax")) m->frame_max = get(r, UINT);
        else if (is(key, "time")) m->time = get(r, UINT);
        else if (is(key, "key")) m->key = get_bin_or_skip(r, 3);
        else if (is(key, "expiresIn")) m->expires_in = get(r, UINT);
        else skip(r, 3);
    }
}

/* A frame without its length. False: it is broken, and with it the link. */
static bool decode(const uint8_t *frame, size_t length, struct message *m)
{
    struct reader r = { frame, frame + length, 0, false };
    memset(m, 0, sizeof *m);
    m->keepalive = KEEPALIVE, m->frame_max = FRAME_MAX_UP;
    r.left = get(&r, ARRAY);
    if (must(&r)) m->type = get(&r, UINT);
    if (m->type == ACK || m->type == REPLY || m->type == COMMAND)
        if (must(&r)) m->id = get(&r, UINT);
    if (m->type == WELCOME) {
        if (must(&r)) m->connection = get_bin(&r);
        if (has(&r)) decode_map(&r, m);
    } else if (m->type == REPLY) {
        if (must(&r)) m->status = get(&r, UINT);
        if (has(&r)) m->payload = get_bin(&r);
    } else if (m->type == COMMAND) {
        if (must(&r)) m->topic = get_str(&r);
        if (has(&r)) m->payload = get_bin(&r);
        if (has(&r)) decode_map(&r, m);
    } else if (m->type == BYE) {
        if (has(&r)) m->word = get_str(&r);
        if (has(&r)) m->retry_after = get(&r, UINT), m->has_retry = true;
    } else if (m->type == ERROR) {
        if (has(&r)) m->word = get_str(&r);
        if (has(&r)) m->text = get_str(&r);
        if (has(&r)) m->id = get(&r, UINT), m->has_id = true;
        if (has(&r)) m->about = get(&r, UINT); /* 0: the id is that of an EVENT or a REQUEST */
    }
    while (r.left-- > 0 && !r.broken) skip(&r, 2); /* elements that a later version adds */
    return !r.broken && r.at == r.end;
}

/* ---- Commands: acted upon once, however often each of them comes. ---- */

/* The last answers, by key; the first acted upon is forgotten first. They outlive links. Firmware
   keeps them in flash as well, and writes the key before it acts: if power fails in between, the
   door stayed shut. It acts at once, so none waits here, but it may have waited to be read. */
static struct answer {
    uint8_t key[KEY];
    uint64_t id; /* under which it was given last, on this link; else 0 */
    unsigned status;
    const char *text;
} answers[KEYS];
static unsigned acted; /* how often; the next answer's place is acted % KEYS */

static struct answer *find_answer(struct bytes key)
{
    for (unsigned i = 0; key.length == KEY && i < KEYS && i < acted; i++)
        if (memcmp(answers[i].key, key.at, KEY) == 0) return &answers[i];
    return NULL;
}

static struct answer *open_door(const struct message *m)
{
    struct answer *answer = &answers[acted++ % KEYS];
    memcpy(answer->key, m->key.at, KEY);
    answer->status = STATUS_FAILED, answer->text = NULL; /* what is known if power fails now */
    printf("command %.*s: %.*s\n", SHOW(m->topic), SHOW(m->payload)); /* the door opens here */
    answer->status = STATUS_OK, answer->text = "opened";
    return answer;
}

/* `waited_ms`: so long it may have lain in the socket. */
static void on_command(const struct message *m, int64_t waited_ms)
{
    struct answer *answer = find_answer(m->key);
    bool is_late = m->expires_in > 0 && (uint64_t)waited_ms > m->expires_in;
    if (!has_room(ANSWERS_MAX)) return; /* an ACK without the RESULT would be the end of it */
    if (!answer && (m->key.length != KEY || !is(m->topic, "door.open") || is_late)) {
        send_result(m->id, STATUS_REFUSED, NULL); /* this device takes no other */
        return;
    }
    send_ack(m->id); /* it has arrived; worth a frame of its own where acting takes time */
    if (answer) printf("again %.*s\n", SHOW(m->topic));
    else answer = open_door(m);
    answer->id = m->id;
    send_result(m->id, answer->status, answer->text);
}

/* Owsla could not read our answer to the COMMAND `id`: the next time it gets one that it can. */
static void spoil_answer(uint64_t id)
{
    for (unsigned i = 0; i < KEYS && i < acted; i++)
        if (id > 0 && answers[i].id == id)
            answers[i].status = STATUS_FAILED, answers[i].text = NULL;
}

static void forget_ids(void) /* a link is over */
{
    for (unsigned i = 0; i < KEYS; i++) answers[i].id = 0;
}

/* ---- Work: messages, each kept until it has its answer or was refused. ---- */

static struct { /* what was asked of us: these messages in turn, `total` of them; 0: none */
    struct item { unsigned type; const char *topic, *text; } item[ITEMS];
    uint64_t items, total, failed, seq, window;
    uint64_t next;  /* the first message that was never sent */
    uint64_t alone; /* those below this number go one at a time */
    bool is_unclear; /* an ERROR named none: that mode begins on the next link */
    struct kept { uint64_t number; uint32_t id; } kept[WINDOW]; /* id 0: not on this link yet */
    unsigned keeping; /* so many of them, in order */
} work = { .window = 1 };

static bool is_done(void)
{
    return work.total > 0 && work.next >= work.total && work.keeping == 0;
}

static void drop(unsigned at)
{
    work.keeping--;
    memmove(work.kept + at, work.kept + at + 1, (work.keeping - at) * sizeof work.kept[0]);
}

static void drop_refused(unsigned at) { drop(at), work.failed++; }

/* The message that has this id on this link; of two the one sent last. WINDOW: there is none. */
static unsigned find_kept(uint64_t id)
{
    for (unsigned at = work.keeping; at-- > 0; )
        if (id > 0 && work.kept[at].id == id) return at;
    return WINDOW;
}

static unsigned sent_on_this_link(void)
{
    unsigned sent = 0;
    while (sent < work.keeping && work.kept[sent].id > 0) sent++;
    return sent;
}

/* The next message to send, or WINDOW if none may be sent now. */
static unsigned next_kept(void)
{
    unsigned sent = sent_on_this_link();
    if (sent > 0 && work.kept[0].number < work.alone) return WINDOW;
    if (sent == work.keeping) {
        if (work.keeping >= work.window || work.next >= work.total) return WINDOW;
        work.kept[work.keeping++] = (struct kept){ work.next++, 0 };
    }
    return sent;
}

/* Something that we sent was wrong: the message that is named is dropped and no other. True: it is
   not known which. */
static bool on_error(const struct message *m)
{
    unsigned at = find_kept(m->id);
    if (m->about == ACK || m->about == RESULT) spoil_answer(m->id);
    if (m->about != 0 || (m->has_id && m->id == 0)) return false; /* 0: nobody keeps it */
    if (at < WINDOW) drop_refused(at);
    return at == WINDOW;
}

/* The link ends because of a message, and nobody says which. They go one at a time from the next
   link on, so that it is found. */
static void find_refused(void)
{
    if (sent_on_this_link() == 1 && work.kept[0].number < work.alone) drop_refused(0);
    else work.is_unclear = true;
}

/* A link is over, and its ids with it. */
static void begin_anew(void)
{
    for (unsigned at = 0; at < work.keeping; at++) work.kept[at].id = 0;
    if (work.is_unclear) work.alone = work.next;
    work.is_unclear = false;
}

/* ---- One link, from connect to its end. ---- */

static struct {
    int socket;
    uint8_t in[HEADER + FRAME_MAX];
    size_t length; /* bytes in `in` */
    int64_t opened_at, sent_at, heard_at, keepalive_ms;
    int64_t empty_at, came_at; /* nothing was there to read; what is read now came, or later */
    uint64_t frame_max, retry_after;
    uint32_t id; /* of the message sent last */
    unsigned pongs_owed;
    char unknown[32]; /* the code of an ERROR that named no message; it ends nothing by itself */
    bool open, pinged; /* pinged: our PING has no PONG yet */
    bool refused; /* an ERROR that ends the link has come, and its BYE not yet */
    bool hopeless, over, taken_over, has_retry; /* hopeless: our HELLO is refused */
    bool bad_will; /* for its will, or its length */
} conn;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The codes of ERROR that end a link, about a message of ours or about HELLO. */
static bool is_end(struct bytes word)
{
    return is(word, "bad-frame") || is(word, "frame-too-long") || is(word, "unexpected")
        || is(word, "bad-id") || is(word, "bad-topic") || is(word, "bad-device-id")
        || is(word, "version") || is(word, "auth-failed");
}

/* Those that end nothing. */
static bool is_harmless(struct bytes word)
{
    return is(word, "not-supported") || is(word, "not-allowed");
}

/* Why the link ends; hopeless: it does not go away by trying. */
static void note_reason(struct bytes word)
{
    conn.bad_will = !conn.open && (is(word, "bad-topic") || is(word, "frame-too-long"));
    conn.hopeless = conn.bad_will || is(word, "version") || is(word, "auth-failed")
        || is(word, "bad-device-id") || is(word, "blocked");
}

static void on_error_message(const struct message *m)
{
    printf("error %.*s: %.*s\n", SHOW(m->word), SHOW(m->text));
    note_reason(m->word);
    if (!conn.open) return; /* it is about HELLO */
    conn.refused |= is_end(m->word);
    if (!on_error(m) || is_harmless(m->word)) return;
    if (is_end(m->word)) find_refused();
    else snprintf(conn.unknown, sizeof conn.unknown, "%.*s", SHOW(m->word));
}

static void on_message(const struct message *m)
{
    unsigned at;
    switch (m->type) {
    case WELCOME:
        conn.open = true, conn.opened_at = now_ms();
        conn.keepalive_ms = (int64_t)(uint32_t)m->keepalive * 1000;
        conn.frame_max = m->frame_max;
        printf("welcome, keepalive %" PRIu64 " s\n", m->keepalive);
        break;
    case PING: conn.pongs_owed++; break;
    case PONG: conn.pinged = false; break;
    case COMMAND: on_command(m, now_ms() - conn.came_at); break;
    case ACK: case REPLY:
        if ((at = find_kept(m->id)) == WINDOW) break;
        drop(at), work.failed += m->status != 0;
        if (m->type == ACK) printf("ack %" PRIu64 "\n", m->id);
        else printf("reply %" PRIu64 " status %" PRIu64 ": %.*s\n", m->id, m->status,
                    SHOW(m->payload));
        break;
    case ERROR: on_error_message(m); break;
    case BYE:
        printf("bye %.*s\n", SHOW(m->word));
        conn.over = true;
        if (conn.unknown[0] && is(m->word, conn.unknown)) find_refused();
        conn.taken_over = is(m->word, "taken-over"), note_reason(m->word);
        conn.has_retry = m->has_retry, conn.retry_after = m->retry_after;
        break;
    } /* a type that a later version adds is passed over */
}

/* What is below the frames: plain TCP, unless a file that includes this one has TLS instead.
   Reading and writing are as recv(2) and send(2) on a socket that does not block. */
static bool transport_open(const char *device_id);
static ssize_t transport_read(void *to, size_t n);
static ssize_t transport_write(const void *from, size_t n);
static bool transport_has_more(void); /* read already, and not handed on yet */
static void transport_close(void);
#ifndef HAS_TRANSPORT
static bool transport_open(const char *device_id) { return device_id != NULL; }
static ssize_t transport_read(void *to, size_t n) { return recv(conn.socket, to, n, 0); }
static ssize_t transport_write(const void *from, size_t n)
{
    return send(conn.socket, from, n, MSG_NOSIGNAL);
}
static bool transport_has_more(void) { return false; }
static void transport_close(void) {}
#endif

static void send_pongs(void)
{
    while (conn.pongs_owed > 0 && !conn.over && send_plain(PONG)) conn.pongs_owed--;
}

/* Reads once and handles every whole frame. False: the link is of no use any more. */
static bool receive(void)
{
    size_t at = 0; /* where the next frame begins */
    int64_t read_at = now_ms();
    ssize_t n = transport_read(conn.in + conn.length, sizeof conn.in - conn.length);
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
    if ((size_t)n < sizeof conn.in - conn.length) conn.empty_at = read_at;
    conn.length += (size_t)n;
    conn.heard_at = now_ms();
    while (!conn.over && conn.length - at >= HEADER) {
        struct message m;
        struct reader header = { conn.in + at, conn.in + at + HEADER, 0, false };
        uint64_t size = take_be(&header, HEADER);
        if (size == 0 || size > FRAME_MAX) return false;
        if (conn.length - at < HEADER + size) break; /* the rest comes later */
        if (!decode(header.at, (size_t)size, &m)) return false;
        on_message(&m);
        send_pongs();
        at += HEADER + (size_t)size;
    }
    memmove(conn.in, conn.in + at, conn.length -= at);
    return true;
}

static bool flush(void)
{
    ssize_t n = transport_write(out.bytes, out.length);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    memmove(out.bytes, out.bytes + n, out.length -= (size_t)n);
    conn.sent_at = now_ms();
    return true;
}

/* Sends what is due: the next message, or where we are quiet, or hear nothing, one PING. */
static void send_due(void)
{
    if (!conn.open || out.length > 0) return;
    int64_t quiet_at = conn.sent_at < conn.heard_at ? conn.sent_at : conn.heard_at;
    unsigned at = WINDOW;
    if (!conn.pinged && now_ms() - quiet_at > conn.keepalive_ms * 3 / 4) {
        send_plain(PING), conn.pinged = true;
    } else if (!conn.refused && conn.id < UINT32_MAX && (at = next_kept()) < WINDOW) {
        struct kept *kept = &work.kept[at];
        const struct item *item = &work.item[kept->number % work.items];
        kept->id = ++conn.id; /* ids begin anew on a link; seq names the message for good */
        if (!send_message(item->type, kept->id, item->topic, item->text, work.seq + kept->number,
                          conn.frame_max))
            drop_refused(at); /* too long for Owsla, or for us */
    }
}

/* Nothing is left to do on this link: all is answered, or all ids are used and those answered. */
static bool is_at_end(void)
{
    return is_done() || (conn.id == UINT32_MAX && sent_on_this_link() == 0);
}

/* Sends what is in `out`, then FIN, unless Owsla has said BYE: then nothing more. Discards what
   still comes until Owsla's FIN is there, but not for long. */
static void leave(void)
{
    uint8_t discarded[256];
    int64_t end_at = now_ms() + LINGER_MS, left;
    if (conn.over) out.length = 0;
    else send_bye("done");
    for (bool sent = conn.over; (left = end_at - now_ms()) > 0; ) {
        if (!sent && out.length == 0) sent = true, shutdown(conn.socket, SHUT_WR);
        struct pollfd events = { .fd = conn.socket, .events = POLLIN };
        if (out.length > 0) events.events |= POLLOUT;
        if (poll(&events, 1, (int)left) <= 0) continue;
        if ((events.revents & POLLOUT) && !flush()) return;
        if (!(events.revents & ~POLLOUT)) continue;
        if (transport_read(discarded, sizeof discarded) <= 0) return;
    }
}

static void run_link(const char *device_id)
{
    conn.heard_at = conn.sent_at = conn.empty_at = now_ms();
    send_hello(device_id);
    while (!conn.over && !is_at_end()) {
        int64_t silence_ms = conn.open ? conn.keepalive_ms * 3 / 2 : GREETING_MS;
        send_pongs(), send_due();
        struct pollfd events = { .fd = conn.socket, .events = POLLIN };
        if (out.length > 0) events.events |= POLLOUT;
        poll(&events, 1, LOOK_MS); /* and look at the clock */
        /* We look more often than that, or were stopped: it may have been there all the time. */
        conn.came_at = now_ms() - conn.empty_at > 2 * LOOK_MS ? conn.empty_at : now_ms();
        if (!(events.revents & POLLIN)) {
            conn.empty_at = now_ms();
            /* What lay in the socket while we were stopped was heard: it has been read by now. */
            if (now_ms() - conn.heard_at > silence_ms) return; /* nobody is there any more */
        }
        if ((events.revents & POLLOUT) && !flush()) return;
        if (!(events.revents & (POLLIN | POLLHUP | POLLERR))) continue;
        do if (!receive()) return;
        while (transport_has_more());
    }
    leave();
}

/* ---- Reconnecting. ---- */

/* Left to itself a connect may take minutes. */
static bool is_connected(int socket, const struct addrinfo *a)
{
    int error = 0;
    if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0) return false;
    if (connect(socket, a->ai_addr, a->ai_addrlen) == 0) return true;
    struct pollfd events = { .fd = socket, .events = POLLOUT };
    if (errno != EINPROGRESS || poll(&events, 1, CONNECT_MS) <= 0) return false;
    socklen_t size = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static bool connect_to(const char *host, const char *port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
    memset(&conn, 0, sizeof conn);
    conn.socket = -1, out.length = 0;
    forget_ids(), begin_anew();
    if (getaddrinfo(host, port, &hints, &list) != 0) return false;
    for (a = list; a != NULL && conn.socket < 0; a = a->ai_next) {
        conn.socket = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (conn.socket >= 0 && !is_connected(conn.socket, a))
            close(conn.socket), conn.socket = -1;
    }
    freeaddrinfo(list);
    if (conn.socket < 0) return false;
    setsockopt(conn.socket, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    return true;
}

/* Owsla's word if it gave one; else a random part of a time that doubles with each failure. */
static int64_t wait_ms(int failures)
{
    int64_t least = conn.taken_over ? HELD_MS : 0, most = WAIT_MIN_MS;
    int64_t told = conn.retry_after < TOLD_MAX_MS ? (int64_t)conn.retry_after : TOLD_MAX_MS;
    if (conn.has_retry) return told > least ? told : least;
    while (failures-- > 0 && most < WAIT_MAX_MS) most *= 2; /* 7 times at most */
    if (most > WAIT_MAX_MS || conn.hopeless) most = WAIT_MAX_MS;
    return least + (int64_t)(rand() / (RAND_MAX + 1.0) * (double)most);
}

/* ---- Who we are, and what we are to do. ---- */

static bool set_token(const char *given)
{
    if (strlen(given) > TOKEN_MAX) return fputs("device: the token is too long\n", stderr), false;
    return strcpy(token, given), true;
}

/* The token that the key in this file makes: KEY_ID.DEVICE_ID:64 hexadecimal digits. It never ends,
   as firmware may have no clock. */
static bool set_token_by_key(const char *path, const char *device_id)
{
    char line[256] = "", end; /* more than a whole line */
    uint8_t key[SHA256_BYTES];
    unsigned byte, keys = 0;
    FILE *file = fopen(path, "r");
    if (file != NULL && fgets(line, sizeof line, file) == NULL) line[0] = '\0';
    if (file != NULL) fclose(file);
    char *dot = strchr(line, '.'), *colon = strchr(line, ':');
    if (dot != NULL && colon != NULL && dot < colon) {
        *dot = *colon = '\0';
        while (keys < SHA256_BYTES && strspn(colon + 1 + 2 * keys, "0123456789abcdef") >= 2
               && sscanf(colon + 1 + 2 * keys, "%2x", &byte) == 1)
            key[keys++] = (uint8_t)byte;
        end = colon[1 + 2 * keys];
        if (keys == SHA256_BYTES && (end == '\n' || end == '\0') && dot > line && dot <= line + 32
            && strcmp(dot + 1, device_id) == 0)
            return make_token(token, key, line, device_id, 0), true;
    }
    fprintf(stderr, "device: %s has no key of %s, as owsla key derive prints it\n", path,
            device_id);
    return false;
}

/* The arguments after the first three, as work. False: they are wrong. */
static bool parse_work(char **arg, const char *device_id)
{
    for (work.total = 1; *arg != NULL; arg++) {
        bool is_event = strcmp(*arg, "--event") == 0, is_request = strcmp(*arg, "--request") == 0;
        if (strcmp(*arg, "--count") == 0 && arg[1]) {
            work.total = strtoull(*++arg, NULL, 10);
        } else if (strcmp(*arg, "--window") == 0 && arg[1]) {
            work.window = strtoull(*++arg, NULL, 10);
            if (work.window < 1 || work.window > WINDOW) return false;
        } else if (strcmp(*arg, "--token") == 0 && arg[1]) {
            if (!set_token(*++arg)) return false;
            memset(*arg, '*', strlen(*arg)); /* gone from ps */
        } else if (strcmp(*arg, "--device-key-file") == 0 && arg[1]) {
            if (!set_token_by_key(*++arg, device_id)) return false;
        } else if (strcmp(*arg, "--will-delay") == 0 && arg[1]) {
            will.delay = strtoull(*++arg, NULL, 10) * 1000;
        } else if (strcmp(*arg, "--will") == 0 && arg[1] && arg[2]) {
            will.topic = *++arg, will.text = *++arg;
        } else if ((is_event || is_request) && arg[1] && arg[2] && work.items < ITEMS) {
            work.item[work.items++] = (struct item){ is_event ? EVENT : REQUEST, arg[1], arg[2] };
            arg += 2;
        } else return false;
    }
    work.total *= work.items;
    /* Both are in HELLO, which is a frame. */
    return !will.topic || strlen(token) + strlen(will.topic) + strlen(will.text) <= TOKEN_MAX;
}

int main(int argc, char **argv)
{
    const char *given = getenv("DEVICE_TOKEN");
    if (argc < 4 || (given != NULL && !set_token(given)) || !parse_work(argv + 4, argv[3]))
        return fputs("usage: device HOST PORT DEVICE_ID [--event TOPIC TEXT] [--request TOPIC TEXT]"
                     " [--count N] [--window N] [--will TOPIC TEXT] [--will-delay SECONDS]"
                     " [--token TOKEN] [--device-key-file FILE]\n",
                     stderr), 64;
    setvbuf(stdout, NULL, _IOLBF, 0); /* line by line into a pipe, too */
    work.seq = (uint64_t)time(NULL) * 1000; /* firmware keeps this number in flash */
    /* A whole town has the same time after a power cut: the seed must differ per device. */
    unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    for (const char *c = argv[3]; *c != '\0'; c++) seed = seed * 31 + (unsigned char)*c;
    srand(seed);
    for (int failures = 0; ; failures++) {
        if (connect_to(argv[1], argv[2]) && transport_open(argv[3])) run_link(argv[3]);
        transport_close();
        if (conn.socket >= 0) close(conn.socket);
        if (is_done()) return work.failed > 0;
        if (failures > 7) failures = 7; /* waits grow no further */
        if (conn.open && now_ms() - conn.opened_at >= HELD_MS) failures = 0; /* it had held */
        if (conn.hopeless) puts("this needs a human");
        if (conn.bad_will && will.topic) will.topic = NULL, conn.hopeless = false;
        int64_t pause = wait_ms(failures);
        printf("link lost, next in %" PRId64 " ms\n", pause);
        nanosleep(&(struct timespec){ pause / 1000, pause % 1000 * 1000000 }, NULL);
    }
}
