/* Rows of MySQL's binary protocol into the buffers of Arrow columns.

   A pure parser: bytes go in, columns come out; it knows no socket. `native.py` says what each call does, and
   `mysql_rows.py` is the only user. Nothing is read beyond the bytes that were given: what a packet says of its own
   length is checked first. The packets: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html */

#include "_columns.h"

enum { ROW_HEADER = 0x00, END_HEADER = 0xfe, ERROR_HEADER = 0xff, NULL_LENGTH = 0xfb };
enum { READING, ENDED, FAILED };

#define LONGEST_PART 0xffffff
#define LONGEST_PACKET ((size_t)1040 << 20) /* max_allowed_packet is at most 1 GB: offsets of 32 bits are enough */

typedef struct {
    Batch batch;
    uint8_t sequence;
    int state;
    uint8_t *joined; /* a packet that came in several parts */
    size_t joined_room;
    uint8_t *error;
    size_t error_size;
} Rows;

/* ---- Bytes ---- */

static inline uint64_t little(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    memcpy(&value, at, (size_t)bytes); /* little-endian machines only, as `_columns.h` holds */
    return value;
}

static bool length_of(const uint8_t **at, const uint8_t *end, uint64_t *length) {
    const uint8_t *p = *at;
    if (p >= end)
        return false;
    int more = *p < NULL_LENGTH ? 0 : *p == 0xfc ? 2 : *p == 0xfd ? 3 : *p == 0xfe ? 8 : -1;
    if (more < 0 || end - p - 1 < more)
        return false;
    *length = more ? little(p + 1, more) : *p;
    p += 1 + more;
    *at = p;
    return *length <= (uint64_t)(end - p);
}

/* ---- Values ---- */

static Result put_integer(Batch *batch, Column *column, const uint8_t **at, const uint8_t *end) {
    int wire = abs(column->wire), lake = abs(column->lake);
    if (end - *at < wire)
        return MALFORMED;
    uint64_t value = little(*at, wire);
    *at += wire;
    bool negative = column->wire < 0 && value >> (8 * wire - 1);
    if (negative)
        value |= wire < 8 ? ~(uint64_t)0 << (8 * wire) : 0;
    uint64_t top = (column->lake < 0 ? (uint64_t)1 << (8 * lake - 1) : lake < 8 ? (uint64_t)1 << (8 * lake) : 0) - 1;
    if (negative ? column->lake > 0 || ~value > top : value > top)
        put_unfit(batch, column, OUT_OF_RANGE);
    else
        memcpy(place_of(batch, column), &value, (size_t)lake);
    return GOOD;
}

static Result put_float(Batch *batch, Column *column, const uint8_t **at, const uint8_t *end) {
    if (end - *at < column->width)
        return MALFORMED;
    memcpy(place_of(batch, column), *at, (size_t)column->width);
    *at += column->width;
    return GOOD;
}

static Result put_decimal(Batch *batch, Column *column, const uint8_t **at, const uint8_t *end) {
    uint64_t length;
    if (!length_of(at, end, &length))
        return MALFORMED;
    const uint8_t *p = *at, *stop = p + length;
    *at = stop;
    bool minus = p < stop && *p == '-', point = false, some = false;
    if (p < stop && (*p == '-' || *p == '+'))
        p++;
    unsigned __int128 value = 0; /* what came before the last digits, which are `part` */
    uint64_t part = 0;
    int after = 0, digits = 0;
    for (; p < stop; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            return MALFORMED;
        some = true;
        if (point && after == column->lake) {
            if (*p != '0')
                return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
            continue;
        }
        if (digits == 18) {
            if (value >= powers[DIGITS - 18])
                return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
            value = value * powers[18] + part;
            part = 0;
            digits = 0;
        }
        part = part * 10 + (uint64_t)(*p - '0');
        digits++;
        after += point;
    }
    if (!some)
        return MALFORMED;
    if (value >= powers[DIGITS - digits])
        return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
    value = value * powers[digits] + part;
    int missing = column->lake - after;
    if (value >= powers[column->wire - missing])
        return put_unfit(batch, column, OUT_OF_RANGE), GOOD;
    value *= powers[missing];
    if (minus)
        value = -value;
    memcpy(place_of(batch, column), &value, sizeof value);
    return GOOD;
}

/* Days since 1970 of a day of MySQL's calendar, in which the year 0 has no 29 February; false if there is none. */
static bool day_of(int year, int month, int day, int32_t *days) {
    static const uint8_t longest[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || (year % 400 == 0 && year != 0));
    if (month < 1 || month > 12 || day < 1 || day > longest[month - 1] || (month == 2 && day == 29 && !leap))
        return false;
    int y = year - (month <= 2) + 400, era = y / 400, of_era = y % 400; /* 400 years more: never negative */
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    *days = (era - 1) * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return true;
}

static Result put_time(Batch *batch, Column *column, const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at;
    if (p >= end)
        return MALFORMED;
    int length = *p++;
    if ((length != 0 && length != 4 && length != 7 && length != 11) || end - p < length)
        return MALFORMED;
    *at = p + length;
    int32_t days = 0;
    if (length == 0 || !day_of((int)little(p, 2), p[2], p[3], &days))
        return put_unfit(batch, column, IMPOSSIBLE_DATE), GOOD;
    int64_t micros = length == 11 ? (int64_t)little(p + 7, 4) : 0;
    int64_t seconds = length >= 7 ? p[4] * 3600 + p[5] * 60 + p[6] : 0;
    if (micros > 999999 || (length >= 7 && (p[4] > 23 || p[5] > 59 || p[6] > 59)))
        return MALFORMED;
    if (column->kind == DATE) {
        if (seconds || micros)
            return MALFORMED;
        memcpy(place_of(batch, column), &days, sizeof days);
    } else {
        int64_t moment = ((int64_t)days * 86400 + seconds) * 1000000 + micros;
        memcpy(place_of(batch, column), &moment, sizeof moment);
    }
    return GOOD;
}

static Result put_text(Column *column, const uint8_t **at, const uint8_t *end) {
    uint64_t length;
    if (!length_of(at, end, &length))
        return MALFORMED;
    const uint8_t *from = *at;
    *at += length;
    return put_bytes(column, from, length);
}

/* ---- Rows ---- */

static Result put_row(Batch *batch, const uint8_t *at, const uint8_t *end) {
    int64_t bits = (batch->count + 9) / 8;
    if (end - at < 1 + bits)
        return MALFORMED;
    if (batch->rows == batch->room && !make_room(batch))
        return NO_MEMORY;
    const uint8_t *null = at + 1;
    at += 1 + bits;
    for (int64_t n = 0; n < batch->count; n++) {
        Column *column = &batch->columns[n];
        Result result = GOOD;
        if (null[(n + 2) >> 3] >> ((n + 2) & 7) & 1)
            put_null(batch, column);
        else if (column->kind == INTEGER)
            result = put_integer(batch, column, &at, end);
        else if (column->kind == TEXT || column->kind == BYTES)
            result = put_text(column, &at, end);
        else if (column->kind == DECIMAL)
            result = put_decimal(batch, column, &at, end);
        else if (column->kind == DATE || column->kind == TIMESTAMP)
            result = put_time(batch, column, &at, end);
        else
            result = put_float(batch, column, &at, end);
        if (result != GOOD)
            return result;
    }
    end_row(batch);
    return at == end ? GOOD : MALFORMED;
}

/* The packet at `at`, its parts joined. `next` is where the one after it begins. */
static Result packet_at(Rows *self, const uint8_t *at, const uint8_t *end, const uint8_t **body, size_t *size,
                        const uint8_t **next) {
    const uint8_t *p = at;
    size_t total = 0, length;
    uint8_t sequence = self->sequence;
    do {
        if (end - p < 4)
            return MORE;
        length = little(p, 3);
        total += length;
        bool is_error = p == at && end - p > 4 && p[4] == ERROR_HEADER; /* a shutdown counts from 0 */
        if (total > LONGEST_PACKET || (p[3] != sequence++ && !is_error && end - p > 4))
            return MALFORMED;
        if ((size_t)(end - p - 4) < length)
            return MORE;
        p += 4 + length;
    } while (length == LONGEST_PART);
    *next = p;
    *size = total;
    *body = at + 4;
    self->sequence = sequence;
    if (total < LONGEST_PART)
        return GOOD;
    if (total > self->joined_room) {
        uint8_t *joined = realloc(self->joined, total);
        if (joined == NULL)
            return NO_MEMORY;
        self->joined = joined;
        self->joined_room = total;
    }
    uint8_t *to = self->joined;
    for (p = at; p < *next; p += 4 + length) {
        length = little(p, 3);
        memcpy(to, p + 4, length);
        to += length;
    }
    *body = self->joined;
    return GOOD;
}

static Result parse(Rows *self, const uint8_t **at, const uint8_t *end) {
    while (self->state == READING && !is_full(&self->batch)) {
        const uint8_t *body, *next;
        size_t size;
        Result result = packet_at(self, *at, end, &body, &size, &next);
        if (result != GOOD)
            return result;
        if (size == 0)
            return MALFORMED;
        if (body[0] == ROW_HEADER) {
            result = put_row(&self->batch, body, body + size);
            if (result != GOOD)
                return result;
            self->batch.bytes += (int64_t)size;
        } else if (body[0] == END_HEADER && size < LONGEST_PART) {
            self->state = ENDED;
        } else if (body[0] == ERROR_HEADER && size >= 3 && size < LONGEST_PART) {
            self->error = malloc(size);
            if (self->error == NULL)
                return NO_MEMORY;
            memcpy(self->error, body, size);
            self->error_size = size;
            self->state = ENDED;
        } else
            return MALFORMED;
        *at = next;
    }
    return GOOD;
}

/* ---- What is called ---- */

void mysql_free(Rows *self) {
    batch_end(&self->batch);
    free(self->joined);
    free(self->error);
    free(self);
}

Rows *mysql_new(const int32_t *columns, int64_t count, int32_t sequence, int64_t most_rows, int64_t most_bytes) {
    Rows *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->sequence = (uint8_t)sequence;
    if (!batch_begin(&self->batch, columns, count, BYTES + 1, most_rows, most_bytes)) {
        mysql_free(self);
        return NULL;
    }
    return self;
}

int32_t mysql_feed(Rows *self, const uint8_t *bytes, int64_t start, int64_t stop, int64_t *stopped) {
    const uint8_t *at = bytes + start;
    Result result = self->state == FAILED ? MALFORMED : parse(self, &at, bytes + stop);
    if (result == MALFORMED || result == NO_MEMORY)
        self->state = FAILED;
    *stopped = at - bytes;
    return (int32_t)result;
}

bool mysql_take(Rows *self, Taken *taken) {
    if (self->state == FAILED || !self->batch.rows)
        return false;
    batch_take(&self->batch, taken);
    return true;
}

int64_t mysql_count(const Rows *self) { return self->batch.rows; }

bool mysql_full(const Rows *self) { return is_full(&self->batch); }

bool mysql_ended(const Rows *self) { return self->state == ENDED; }

/* The server's error and its text; NULL without one. */
const char *mysql_error(const Rows *self, int32_t *code, int64_t *size) {
    if (self->error == NULL)
        return NULL;
    size_t start = self->error_size >= 9 && self->error[3] == '#' ? 9 : 3;
    *code = (int32_t)little(self->error + 1, 2);
    *size = (int64_t)(self->error_size - start);
    return (const char *)self->error + start;
}

/* Of a `Taken`, when nobody needs it any more. */
void rows_release(void *block) { free(block); }
