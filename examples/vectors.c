/*
 * vectors.c - checks device.c against the test vectors of docs/protocol.md.
 *
 *   cc -std=c99 -Wall -Wextra -Werror -pedantic -o vectors vectors.c
 *   ./vectors ../docs/protocol.md
 *
 * Each frame to the device ("down") is decoded and told again as the JSON behind it; each frame
 * that device.c can build is built and compared byte by byte. Exits 0 only if all are the same.
 * To check firmware of your own, put its decoder and its encoder in the place of device.c's.
 */
#define main device_main
#include "device.c"
#undef main

enum { LINE_MAX_BYTES = 2048 };

static void print_hex(FILE *to, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++) fprintf(to, "%02x", bytes.at[i]);
}

/* A message in the words of the vectors. */
static void print_message(FILE *to, const struct message *m)
{
    fprintf(to, "{\"type\":%" PRIu64, m->type);
    if (m->type == WELCOME) {
        fputs(",\"connectionId\":\"", to), print_hex(to, m->connection);
        fprintf(to, "\",\"options\":{\"keepalive\":%" PRIu64 ",\"frameBytesMax\":%" PRIu64
                ",\"time\":%" PRIu64 "}", m->keepalive, m->frame_max, m->time);
    }
    if (m->type == BYE) {
        fprintf(to, ",\"reason\":\"%.*s\",\"retryAfter\":", SHOW(m->word));
        if (m->has_retry) fprintf(to, "%" PRIu64, m->retry_after);
        else fputs("null", to);
    }
    if (m->type == ERROR)
        fprintf(to, ",\"code\":\"%.*s\",\"message\":\"%.*s\"", SHOW(m->word),
                SHOW(m->text));
    if (m->id > 0 || m->has_id) fprintf(to, ",\"id\":%" PRIu64, m->id);
    else if (m->type == ERROR) fputs(",\"id\":null", to);
    if (m->about > 0) fprintf(to, ",\"about\":%" PRIu64, m->about);
    if (m->type == REPLY) {
        fprintf(to, ",\"status\":%" PRIu64 ",\"payload\":\"", m->status);
        print_hex(to, m->payload), fputc('"', to);
    }
    if (m->type == COMMAND) {
        fprintf(to, ",\"topic\":\"%.*s\",\"payload\":\"", SHOW(m->topic));
        print_hex(to, m->payload);
        fputs("\",\"meta\":{", to);
        if (m->key.length > 0) fputs("\"key\":\"", to), print_hex(to, m->key), fputc('"', to);
        if (m->expires_in > 0)
            fprintf(to, "%s\"expiresIn\":%" PRIu64, m->key.length > 0 ? "," : "", m->expires_in);
        fputc('}', to);
    }
    fputc('}', to);
}

static bool is_decoded(const uint8_t *frame, size_t length, const char *meaning)
{
    static char told[LINE_MAX_BYTES];
    struct message m;
    if (!decode(frame + HEADER, length - HEADER, &m))
        return strcmp(meaning, "{\"error\":\"bad-frame\"}") == 0;
    FILE *to = fmemopen(told, sizeof told, "w");
    if (to == NULL) return false;
    print_message(to, &m);
    fclose(to); /* writes the NUL */
    return strcmp(told, meaning) == 0;
}

/* Builds the frame of this name into `out`. False: device.c sends no such frame. */
static bool build(const char *name)
{
    struct bytes it = { (const uint8_t *)name, strlen(name) };
    out.length = 0;
    if (is(it, "hello")) send_hello("door-17");
    if (is(it, "ping-up")) send_plain(PING);
    if (is(it, "pong-up")) send_plain(PONG);
    if (is(it, "event")) send_message(EVENT, 1, "hvac.temp", "21.5", 1001, FRAME_MAX);
    if (is(it, "request")) send_message(REQUEST, 2, "door.open", "please", 1002, FRAME_MAX);
    if (is(it, "ack-from-device")) send_ack(7);
    if (is(it, "result")) send_result(7, STATUS_OK, "opened");
    if (is(it, "result-refused")) send_result(7, STATUS_REFUSED, NULL);
    if (is(it, "bye")) send_bye("done");
    return out.length > 0;
}

/* Hex digits and spaces to bytes; 0 for anything else, and for what no frame can be. */
static size_t read_hex(const char *hex, uint8_t *frame, size_t room)
{
    size_t length = 0;
    for (hex += strspn(hex, " "); *hex != '\0'; hex += strspn(hex, " ")) {
        unsigned byte;
        if (length == room || sscanf(hex, "%2x", &byte) != 1) return 0;
        frame[length++] = (uint8_t)byte;
        hex += 2;
    }
    return length;
}

/* One line: name | up or down | exact, also or error | the frame | its meaning. */
static bool check(char *line, int *decoded, int *built)
{
    static uint8_t frame[HEADER + FRAME_MAX];
    char *field[5];
    for (int i = 0; i < 5; i++) {
        char *bar = strstr(field[i] = line, i < 4 ? " | " : "\n");
        if (bar == NULL) return false;
        *bar = '\0';
        line = bar + 3;
    }
    /* device.c makes no spans, and passes over a backend's. */
    char *span = strstr(field[4], ",\"traceparent\":");
    if (span != NULL && strcmp(field[1], "down") == 0) strcpy(span, "}}");
    size_t length = read_hex(field[3], frame, sizeof frame);
    if (length <= HEADER && strcmp(field[1], "down") == 0) return false;
    if (strcmp(field[1], "down") == 0) return ++*decoded, is_decoded(frame, length, field[4]);
    if (!build(field[0])) return true;
    return ++*built, out.length == length && memcmp(out.bytes, frame, length) == 0;
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    int decoded = 0, built = 0, wrong = 0;
    bool inside = false;
    FILE *page = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (page == NULL) return fputs("usage: vectors PATH/TO/protocol.md\n", stderr), 64;
    (void)device_main;
    while (fgets(line, sizeof line, page) != NULL) {
        if (strncmp(line, "```", 3) == 0) inside = strcmp(line, "```vectors\n") == 0;
        else if (inside && line[0] != '#' && line[0] != '\n' && !check(line, &decoded, &built))
            printf("wrong: %s\n", line), wrong++;
    }
    fclose(page);
    printf("%d decoded, %d built, %d wrong\n", decoded, built, wrong);
    return wrong > 0 || decoded == 0 || built < 9;
}
