/*
 * device-tls.c - device.c with TLS below its frames, by mbed TLS (Debian: libmbedtls-dev).
 *
 *   cc -std=c99 -Wall -Wextra -Werror -pedantic -o device-tls device-tls.c \
 *      -lmbedtls -lmbedx509 -lmbedcrypto
 *   TLS_CA=ca.pem TLS_CERT=door-17.pem TLS_KEY=door-17.key ./device-tls HOST PORT door-17
 *   TLS_PSK_FILE=door-17.psk ./device-tls HOST PORT door-17
 *
 * With TLS_CA the server shows a certificate for TLS_NAME (localhost) that this CA has signed;
 * TLS_CERT and TLS_KEY are the device's own. TLS_PSK_FILE has the line of `owsla key derive --psk`:
 * then both sides prove that they know the key, and no certificate is needed. A token goes as with
 * device.c.
 * Bound: mbed TLS's own buffers, 16 KiB each way; a handshake of HANDSHAKE_MS.
 */
#define HAS_TRANSPORT
#include "device.c"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

enum { HANDSHAKE_MS = 15000, PSK_LINE_MAX = 256, PSK_BYTES = 32 };

static struct {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt ca, own;
    mbedtls_pk_context key;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    size_t writing; /* length of a write that has to be tried again just so */
    bool ready, open;
} tls;

static int say(const char *what, int error)
{
    char why[128];
    mbedtls_strerror(error, why, sizeof why);
    fprintf(stderr, "device: %s: %s\n", what, why);
    return error;
}

/* No others: the server would rather show a certificate, which we could not check. */
static const int psk_suites[] = {
    MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_PSK_WITH_AES_256_GCM_SHA384, 0
};

/* `KEY_ID.DEVICE:64 hex`, as owsla key derive --psk prints it. */
static bool use_psk(const char *path)
{
    char line[PSK_LINE_MAX] = "";
    unsigned char psk[PSK_BYTES];
    FILE *file = fopen(path, "r");
    char *got = file == NULL ? NULL : fgets(line, sizeof line, file);
    char *colon = got == NULL ? NULL : strchr(line, ':');
    if (file != NULL) fclose(file);
    for (size_t at = 0; colon != NULL && at < PSK_BYTES; at++) {
        unsigned byte;
        if (sscanf(colon + 1 + 2 * at, "%2x", &byte) != 1) colon = NULL;
        else psk[at] = (unsigned char)byte;
    }
    if (colon == NULL) return fprintf(stderr, "device: no key in %s\n", path), false;
    mbedtls_ssl_conf_ciphersuites(&tls.config, psk_suites);
    return mbedtls_ssl_conf_psk(&tls.config, psk, PSK_BYTES, (unsigned char *)line,
                                (size_t)(colon - line)) == 0;
}

static bool use_certificates(const char *ca, const char *cert, const char *key)
{
    int error;
    if (ca == NULL) return fputs("device: TLS_CA or TLS_PSK_FILE is needed\n", stderr), false;
    if ((error = mbedtls_x509_crt_parse_file(&tls.ca, ca)) != 0) return say(ca, error), false;
    mbedtls_ssl_conf_ca_chain(&tls.config, &tls.ca, NULL);
    mbedtls_ssl_conf_authmode(&tls.config, MBEDTLS_SSL_VERIFY_REQUIRED);
    if (cert == NULL || key == NULL) return true;
    if ((error = mbedtls_x509_crt_parse_file(&tls.own, cert)) != 0) return say(cert, error), false;
    if ((error = mbedtls_pk_parse_keyfile(&tls.key, key, NULL)) != 0) return say(key, error), false;
    return mbedtls_ssl_conf_own_cert(&tls.config, &tls.own, &tls.key) == 0;
}

/* Once: files are read, and what they say holds for all links. */
static bool prepare(const char *device_id)
{
    const char *psk = getenv("TLS_PSK_FILE");
    mbedtls_entropy_init(&tls.entropy);
    mbedtls_ctr_drbg_init(&tls.random);
    mbedtls_x509_crt_init(&tls.ca), mbedtls_x509_crt_init(&tls.own);
    mbedtls_pk_init(&tls.key);
    mbedtls_ssl_config_init(&tls.config);
    if (mbedtls_ctr_drbg_seed(&tls.random, mbedtls_entropy_func, &tls.entropy,
                              (const unsigned char *)device_id, strlen(device_id)) != 0)
        return false;
    if (mbedtls_ssl_config_defaults(&tls.config, MBEDTLS_SSL_IS_CLIENT,
                                    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return false;
    mbedtls_ssl_conf_rng(&tls.config, mbedtls_ctr_drbg_random, &tls.random);
    mbedtls_ssl_conf_min_version(&tls.config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3); /* TLS 1.2 */
    return psk != NULL ? use_psk(psk)
                       : use_certificates(getenv("TLS_CA"), getenv("TLS_CERT"), getenv("TLS_KEY"));
}

static int below_write(void *none, const unsigned char *from, size_t n)
{
    ssize_t sent = send(conn.socket, from, n, MSG_NOSIGNAL);
    (void)none;
    if (sent >= 0) return (int)sent;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : -1;
}

static int below_read(void *none, unsigned char *to, size_t n)
{
    ssize_t got = recv(conn.socket, to, n, 0);
    (void)none;
    if (got >= 0) return (int)got;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : -1;
}

/* As recv(2) and send(2) would have it. */
static ssize_t result_of(int n)
{
    if (n >= 0) return n;
    if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) return 0;
    errno = n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static bool shake_hands(void)
{
    int64_t end_at = now_ms() + HANDSHAKE_MS, left;
    int n;
    while ((n = mbedtls_ssl_handshake(&tls.ssl)) != 0) {
        struct pollfd events = { .fd = conn.socket, .events = POLLIN };
        if (n == MBEDTLS_ERR_SSL_WANT_WRITE) events.events = POLLOUT;
        else if (n != MBEDTLS_ERR_SSL_WANT_READ) return say("TLS handshake", n), false;
        if ((left = end_at - now_ms()) <= 0 || poll(&events, 1, (int)left) <= 0)
            return fputs("device: the TLS handshake takes too long\n", stderr), false;
    }
    return true;
}

static char host_name[256]; /* what the server's certificate has to be for */

static bool transport_open(const char *device_id)
{
    const char *name = getenv("TLS_NAME");
    if (!tls.ready && !prepare(device_id)) exit(64);
    tls.ready = true, tls.writing = 0;
    mbedtls_ssl_init(&tls.ssl);
    tls.open = true;
    if (mbedtls_ssl_setup(&tls.ssl, &tls.config) != 0) return false;
    snprintf(host_name, sizeof host_name, "%s", name == NULL ? "localhost" : name);
    if (mbedtls_ssl_set_hostname(&tls.ssl, host_name) != 0) return false;
    mbedtls_ssl_set_bio(&tls.ssl, NULL, below_write, below_read, NULL);
    return shake_hands();
}

static ssize_t transport_read(void *to, size_t n)
{
    return result_of(mbedtls_ssl_read(&tls.ssl, to, n));
}

/* A write that was put off has to come again with the same bytes, though more may wait by now. */
static ssize_t transport_write(const void *from, size_t n)
{
    size_t length = tls.writing > 0 ? tls.writing : n;
    ssize_t sent = result_of(mbedtls_ssl_write(&tls.ssl, from, length));
    tls.writing = sent < 0 ? length : 0;
    return sent;
}

static bool transport_has_more(void) { return mbedtls_ssl_get_bytes_avail(&tls.ssl) > 0; }

static void transport_close(void)
{
    if (tls.open) mbedtls_ssl_free(&tls.ssl);
    tls.open = false;
}
