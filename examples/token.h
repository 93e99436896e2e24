/*
 * token.h - a device's token for Owsla in plain C99: SHA-256, HMAC and base64url, no library.
 *
 *   char token[TOKEN_SIZE];
 *   make_token(token, key, "2026a", "door-17", 0);
 *
 * `key` is the device's own, as `owsla key derive` prints it. `expires` is in s since 1970; 0 is
 * for a device without a clock: its token never ends. The token goes into HELLO: docs/protocol.md.
 * SHA-256 is FIPS 180-4, HMAC RFC 2104, base64url RFC 4648 without padding.
 * Bound: half a KiB of stack, and the time of six blocks of SHA-256. Nothing is kept.
 */
#ifndef OWSLA_TOKEN_H
#define OWSLA_TOKEN_H
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64, TOKEN_SIZE = 2 + 32 + 20 + 43 + 3 + 1 };

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[SHA256_BLOCK];
};

static uint32_t turned(uint32_t x, unsigned bits) { return x >> bits | x << (32 - bits); }

static void sha256_block(struct sha256 *sha)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2
    };
    uint32_t w[16], v[8]; /* v: a to h of FIPS 180-4 */
    memcpy(v, sha->state, sizeof v);
    for (unsigned t = 0; t < 64; t++) {
        if (t < 16) {
            const uint8_t *at = sha->block + 4 * t;
            w[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        } else {
            uint32_t x = w[(t + 1) % 16], y = w[(t + 14) % 16];
            w[t % 16] += (turned(x, 7) ^ turned(x, 18) ^ x >> 3) + w[(t + 9) % 16]
                + (turned(y, 17) ^ turned(y, 19) ^ y >> 10);
        }
        uint32_t one = v[7] + (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25))
            + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[t] + w[t % 16];
        uint32_t two = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22))
            + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++) sha->state[i] += v[i];
}

static void sha256_begin(struct sha256 *sha)
{
    static const uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(sha->state, state, sizeof state);
    sha->length = 0;
}

static void sha256_add(struct sha256 *sha, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (; length > 0; length--) {
        sha->block[sha->length++ % SHA256_BLOCK] = *at++;
        if (sha->length % SHA256_BLOCK == 0) sha256_block(sha);
    }
}

static void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_BYTES])
{
    uint64_t bits = sha->length * 8;
    uint8_t size[8];
    for (unsigned i = 8; i-- > 0; bits >>= 8) size[i] = (uint8_t)bits;
    sha256_add(sha, "\x80", 1);
    while (sha->length % SHA256_BLOCK != SHA256_BLOCK - 8) sha256_add(sha, "", 1); /* a NUL */
    sha256_add(sha, size, 8);
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* `mac` may be `key` or `text`: it is written last. */
static void hmac_sha256(const void *key, size_t key_length, const void *text, size_t length,
                        uint8_t mac[SHA256_BYTES])
{
    struct sha256 sha;
    uint8_t inner[SHA256_BYTES], pad[SHA256_BLOCK] = { 0 };
    sha256_begin(&sha);
    if (key_length > SHA256_BLOCK) {
        sha256_add(&sha, key, key_length), sha256_end(&sha, pad), sha256_begin(&sha);
    } else if (key_length > 0) memcpy(pad, key, key_length);
    for (unsigned i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36;
    sha256_add(&sha, pad, SHA256_BLOCK), sha256_add(&sha, text, length), sha256_end(&sha, inner);
    for (unsigned i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
    sha256_begin(&sha), sha256_add(&sha, pad, SHA256_BLOCK);
    sha256_add(&sha, inner, SHA256_BYTES), sha256_end(&sha, mac);
}

/* The token `k1.KEY_ID.EXPIRES.SIGNATURE` of this device. The ids are of at most 32 and 64
   characters; a longer one is cut, and the token then proves nothing. */
static void make_token(char token[TOKEN_SIZE], const uint8_t key[SHA256_BYTES],
                       const char *key_id, const char *device_id, uint64_t expires)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t mac[SHA256_BYTES + 1] = { 0 }; /* three bytes are four letters: 33 */
    char text[TOKEN_SIZE + 64];
    int length = snprintf(text, sizeof text, "k1.%.32s.%" PRIu64 ".%.64s", key_id, expires,
                          device_id);
    hmac_sha256(key, SHA256_BYTES, text, (size_t)length, mac);
    char *to = token + snprintf(token, TOKEN_SIZE, "k1.%.32s.%" PRIu64 ".", key_id, expires);
    for (unsigned at = 0; at < 43; at++) {
        unsigned bit = at * 6, pair = (unsigned)mac[bit / 8] << 8;
        if (bit / 8 < SHA256_BYTES) pair |= mac[bit / 8 + 1];
        *to++ = letters[pair >> (10 - bit % 8) & 0x3f];
    }
    *to = '\0';
}

#endif
