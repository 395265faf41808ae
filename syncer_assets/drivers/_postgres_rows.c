/* Rows of PostgreSQL's binary COPY into the buffers of Arrow columns.

   `native.py` says what each call does, and `postgres_rows.py` is the only user. It is given libpq's
   functions by their addresses, so that they are those of the libpq that made the connection. Nothing is read beyond a
   message: what it says of its own lengths is checked first. https://www.postgresql.org/docs/current/sql-copy.html has
   the format; values are as the types' own `.._send` functions write them. */

#include "_columns.h"
#include <poll.h>
#include <sys/socket.h>

enum { READING, ENDED, LOST, FAILED };

#define WAKE_BYTES (128 << 10) /* the server sends 8 kB at a time: to be woken for each costs both sides a tenth */
#define WAIT_MILLISECONDS 5    /* and what comes last is less */
#define WAITS 40               /* without a byte, until signals are looked at */
#define EPOCH_DAYS 10957 /* of 2000, from which the server counts, since 1970 */
#define EPOCH_MICROSECONDS 946684800000000
#define TENTHS 4 /* decimal digits in one digit of a numeric, which counts to 10000 */
#define NUMERIC_MINUS 0x4000
#define NUMERIC_NAN 0xc000

static const uint8_t signature[] = "PGCOPY\n\377\r\n"; /* and the zero that ends it */

typedef struct {
    Batch batch;
    int (*get_copy_data)(void *connection, char **message, int asynchronous);
    int (*consume_input)(void *connection);
    void (*free_message)(void *message);
    int state;
    bool begun, whole; /* the header was there; so was the trailer */
} Rows;

/* ---- Values ---- */

static inline uint16_t big16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}

static inline uint32_t big32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t big64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

/* A number as it is: integers, floats, booleans, times of day. */
static inline Result put_number(Batch *batch, Column *column, const uint8_t *at, int32_t length) {
    if (length != column->width)
        return MALFORMED;
    uint8_t *place = place_of(batch, column);
    if (length == 8) {
        uint64_t value = big64(at);
        memcpy(place, &value, sizeof value);
    } else if (length == 4) {
        uint32_t value = big32(at);
        memcpy(place, &value, sizeof value);
    } else if (length == 2) {
        uint16_t value = big16(at);
        memcpy(place, &value, sizeof value);
    } else
        *place = *at;
    return GOOD;
}

/* The server's infinities are the largest and the smallest number; the lake's the largest and its negative. */
static Result put_moment(Batch *batch, Column *column, const uint8_t *at, int32_t length) {
    if (length != 8)
        return MALFORMED;
    int64_t value = (int64_t)big64(at);
    if (value == INT64_MIN)
        value = -INT64_MAX;
    else if (value != INT64_MAX && (__builtin_add_overflow(value, EPOCH_MICROSECONDS, &value) || value == INT64_MAX))
        return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
    memcpy(place_of(batch, column), &value, sizeof value);
    return GOOD;
}

static Result put_date(Batch *batch, Column *column, const uint8_t *at, int32_t length) {
    if (length != 4)
        return MALFORMED;
    int32_t value = (int32_t)big32(at);
    if (value == INT32_MIN)
        value = -INT32_MAX;
    else if (value != INT32_MAX && (__builtin_add_overflow(value, EPOCH_DAYS, &value) || value == INT32_MAX))
        return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
    memcpy(place_of(batch, column), &value, sizeof value);
    return GOOD;
}

/* Digits that count to 10000, the first worth 10000 ^ weight. `up` is the power of ten of a digit's unit in the column,
   whose numbers have `lake` decimal digits after their point. */
static Result put_numeric(Batch *batch, Column *column, const uint8_t *at, int32_t length) {
    if (length < 8)
        return MALFORMED;
    int digits = big16(at), weight = (int16_t)big16(at + 2), sign = big16(at + 4);
    if (length != 8 + 2 * digits)
        return MALFORMED;
    if (sign == NUMERIC_NAN)
        return put_unfit(batch, column, NOT_A_NUMBER), GOOD;
    if (sign != 0 && sign != NUMERIC_MINUS)
        return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
    at += 8;
    int up = TENTHS * weight + column->lake;
    while (digits && big16(at) == 0)
        digits--, at += 2, up -= TENTHS;
    unsigned __int128 value = 0;
    if (digits) {
        int first = big16(at), size = up + 1 + (first >= 10) + (first >= 100) + (first >= 1000);
        if (size > column->wire)
            return put_unfit(batch, column, OUT_OF_RANGE), GOOD; /* from here on nothing overflows */
        int scaled = 0;
        for (; digits; digits--, at += 2, up -= TENTHS) {
            unsigned digit = big16(at);
            if (digit > 9999)
                return MALFORMED;
            if (up >= 0) {
                value = value * 10000 + digit;
                scaled = up;
            } else { /* what lies behind the column's last digit has to be zero */
                unsigned one = up > -TENTHS ? (unsigned)powers[-up] : 10000;
                if (digit % one)
                    return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
                value = value * powers[scaled] + digit / one;
                scaled = 0;
            }
        }
        value *= powers[scaled];
    }
    if (sign)
        value = -value;
    memcpy(place_of(batch, column), &value, sizeof value);
    return GOOD;
}

/* ---- Rows ---- */

static inline Result put_value(Batch *batch, Column *column, const uint8_t *at, int32_t length) {
    switch (column->kind) {
    case TEXT:
    case BYTES:
        return put_bytes(column, at, (uint64_t)length);
    case DECIMAL:
        return put_numeric(batch, column, at, length);
    case DATE:
        return put_date(batch, column, at, length);
    case TIMESTAMP:
        return put_moment(batch, column, at, length);
    default:
        return put_number(batch, column, at, length);
    }
}

static Result put_row(Batch *batch, const uint8_t **from, const uint8_t *end) {
    const uint8_t *at = *from;
    if (batch->rows == batch->room && !make_room(batch))
        return NO_MEMORY;
    for (int64_t n = 0; n < batch->count; n++) {
        if (end - at < 4)
            return MALFORMED;
        int32_t length = (int32_t)big32(at);
        at += 4;
        if (length == -1) {
            put_null(batch, &batch->columns[n]);
            continue;
        }
        if (length < 0 || end - at < length)
            return MALFORMED;
        Result result = put_value(batch, &batch->columns[n], at, length);
        if (result != GOOD)
            return result;
        at += length;
    }
    end_row(batch);
    *from = at;
    return GOOD;
}

/* A message: whole rows, the first behind the header, the last before the trailer. */
static Result parse(Rows *self, const uint8_t *at, const uint8_t *end) {
    if (!self->begun) {
        size_t fixed = sizeof signature + 8;
        if ((size_t)(end - at) < fixed || memcmp(at, signature, sizeof signature) || big32(at + sizeof signature))
            return MALFORMED;
        uint32_t more = big32(at + sizeof signature + 4);
        if ((size_t)(end - at) - fixed < more)
            return MALFORMED;
        at += fixed + more;
        self->begun = true;
    }
    self->batch.bytes += end - at;
    while (at < end) {
        if (end - at < 2 || self->whole)
            return MALFORMED;
        int16_t count = (int16_t)big16(at);
        at += 2;
        if (count == -1) {
            self->whole = true;
        } else if (count != self->batch.count) {
            return MALFORMED;
        } else {
            Result result = put_row(&self->batch, &at, end);
            if (result != GOOD)
                return result;
        }
    }
    return GOOD;
}

/* MORE if nothing came for a while: TLS may hold what no `poll` shows, so libpq is asked before and after. */
static Result receive(Rows *self, void *connection, int socket) {
    bool asked = false;
    int waits = 0;
    while (self->state == READING && !is_full(&self->batch)) {
        char *message = NULL;
        int length = self->get_copy_data(connection, &message, 1);
        if (length > 0) {
            Result result = parse(self, (const uint8_t *)message, (const uint8_t *)message + length);
            self->free_message(message);
            if (result != GOOD)
                return result;
            asked = false;
            waits = 0;
        } else if (length == 0) {
            struct pollfd waited = {.fd = socket, .events = POLLIN};
            int ready = asked ? poll(&waited, 1, WAIT_MILLISECONDS) : 1;
            asked = true;
            if (!self->consume_input(connection))
                self->state = LOST;
            else if (ready < 0 || (ready == 0 && ++waits == WAITS))
                return MORE;
        } else {
            self->state = length == -1 ? ENDED : LOST;
        }
    }
    return GOOD;
}

static void wake_at(int socket, int bytes) { /* where that cannot be set, it does not matter */
    (void)setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static Result pull(Rows *self, void *connection, int socket) {
    wake_at(socket, WAKE_BYTES);
    Result result = receive(self, connection, socket);
    wake_at(socket, 1); /* as libpq's own waits need it */
    return result;
}

/* ---- What is called ---- */

void postgres_free(Rows *self) {
    batch_end(&self->batch);
    free(self);
}

Rows *postgres_new(const int32_t *columns, int64_t count, uint64_t get_copy_data, uint64_t consume_input,
                   uint64_t free_message, int64_t most_rows, int64_t most_bytes) {
    Rows *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->get_copy_data = (int (*)(void *, char **, int))(uintptr_t)get_copy_data;
    self->consume_input = (int (*)(void *))(uintptr_t)consume_input;
    self->free_message = (void (*)(void *))(uintptr_t)free_message;
    if (!batch_begin(&self->batch, columns, count, KINDS, most_rows, most_bytes)) {
        postgres_free(self);
        return NULL;
    }
    return self;
}

int32_t postgres_pull(Rows *self, uint64_t connection, int32_t socket) {
    Result result = self->state == FAILED ? MALFORMED : pull(self, (void *)(uintptr_t)connection, socket);
    if (result == MALFORMED || result == NO_MEMORY)
        self->state = FAILED;
    return (int32_t)result;
}

bool postgres_take(Rows *self, Taken *taken) {
    if (self->state == FAILED || !self->batch.rows)
        return false;
    batch_take(&self->batch, taken);
    return true;
}

int64_t postgres_count(const Rows *self) { return self->batch.rows; }

bool postgres_ended(const Rows *self) { return self->state == ENDED; }

bool postgres_lost(const Rows *self) { return self->state == LOST; }

bool postgres_whole(const Rows *self) { return self->whole; }
