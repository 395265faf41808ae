/* Rows into the buffers of Arrow columns: what the parsers of MySQL's and PostgreSQL's rows share.

   A parser appends one value to each column of its `Batch`, by a `put_..` function, and counts `rows` up. What is taken
   from it goes to Arrow without a copy. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Arrow's columns are little-endian, and so has the machine to be."
#endif

enum { INTEGER, FLOAT, DOUBLE, DECIMAL, DATE, TIMESTAMP, TEXT, BYTES, BOOLEAN, TIME, KINDS };
enum { IMPOSSIBLE_DATE = 1, NUL_CHARACTER = 2, NOT_UTF8 = 4, OUT_OF_RANGE = 8, NOT_A_NUMBER = 16 };

#define TEXT_ROOM 4096
#define DIGITS 38

typedef enum { GOOD, MORE, MALFORMED, NO_MEMORY } Result;

typedef struct {
    int kind;
    int wire;  /* bytes of an integer on the wire, negative if it has a sign; digits of a decimal */
    int lake;  /* the same of the column; digits after the point of a decimal */
    int width; /* bytes of a fixed value in the column */
    unsigned findings;
    int64_t nulls;
    uint8_t *valid, *values; /* values: of fixed width, or the bytes of all texts */
    int32_t *offsets;
    int64_t size, room; /* bytes of all texts */
} Column;

typedef struct {
    int64_t count;
    Column *columns;
    int64_t rows, room, most_rows, most_bytes, bytes;
} Batch;

/* A column as its caller takes it: blocks of `malloc` that are the caller's from then on. NULL: there is none. */
typedef struct {
    void *valid, *offsets, *values;
    int64_t valid_size, offsets_size, values_size, nulls;
    uint32_t findings;
} Taken;

static unsigned __int128 powers[DIGITS + 1];

/* ---- Values ---- */

static inline uint8_t *place_of(Batch *batch, Column *column) { return column->values + batch->rows * column->width; }

static void put_null(Batch *batch, Column *column) {
    column->valid[batch->rows >> 3] &= (uint8_t)~(1u << (batch->rows & 7));
    column->nulls++;
    if (column->width)
        memset(place_of(batch, column), 0, (size_t)column->width);
}

static void put_unfit(Batch *batch, Column *column, unsigned finding) {
    column->findings |= finding;
    put_null(batch, column);
}

static inline Result put_bytes(Column *column, const uint8_t *from, uint64_t length) {
    int64_t size = column->size + (int64_t)length;
    if (size > column->room) {
        if (size > INT32_MAX)
            return MALFORMED;
        int64_t room = size + size / 2 + TEXT_ROOM;
        uint8_t *values = realloc(column->values, (size_t)room);
        if (values == NULL)
            return NO_MEMORY;
        column->values = values;
        column->room = room;
    }
    memcpy(column->values + column->size, from, (size_t)length);
    column->size = size;
    return GOOD;
}

/* The row is whole: where the texts of the next one begin. */
static inline void end_row(Batch *batch) {
    batch->rows++;
    for (int64_t n = 0; n < batch->count; n++)
        if (!batch->columns[n].width)
            batch->columns[n].offsets[batch->rows] = (int32_t)batch->columns[n].size;
}

static bool is_utf8(const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080u)))
            p += 8;
        if (p == end)
            break;
        uint32_t first = *p, least;
        int more;
        if (first < 0x80) {
            p++;
            continue;
        }
        if (first >= 0xc2 && first < 0xe0)
            more = 1, least = 0x80, first &= 0x1f;
        else if ((first & 0xf0) == 0xe0)
            more = 2, least = 0x800, first &= 0x0f;
        else if (first >= 0xf0 && first < 0xf5)
            more = 3, least = 0x10000, first &= 0x07;
        else
            return false;
        if (end - p <= more)
            return false;
        for (int n = 1; n <= more; n++) {
            if ((p[n] & 0xc0) != 0x80)
                return false;
            first = first << 6 | (p[n] & 0x3f);
        }
        if (first < least || first > 0x10ffff || (first >= 0xd800 && first < 0xe000))
            return false;
        p += more + 1;
    }
    return true;
}

/* What is wrong with the texts of a column, all at once: they lie one behind the other. */
static unsigned findings_in_text(const Column *column, int64_t rows) {
    unsigned found = 0;
    if (column->size == 0)
        return 0;
    if (memchr(column->values, 0, (size_t)column->size))
        found |= NUL_CHARACTER;
    uint8_t high = 0;
    for (int64_t n = 0; n < column->size; n++)
        high |= column->values[n];
    if (high < 0x80)
        return found;
    if (!is_utf8(column->values, column->values + column->size))
        found |= NOT_UTF8;
    for (int64_t n = 1; n < rows; n++) /* no text may begin in the middle of a character */
        if (column->offsets[n] < column->size && (column->values[column->offsets[n]] & 0xc0) == 0x80)
            found |= NOT_UTF8;
    return found;
}

/* ---- Batches ---- */

static bool is_full(const Batch *batch) {
    return batch->rows >= batch->most_rows || batch->bytes >= batch->most_bytes;
}

static bool make_room(Batch *batch) {
    int64_t room = batch->room ? batch->room * 2 : 1024;
    for (int64_t n = 0; n < batch->count; n++) {
        Column *column = &batch->columns[n];
        uint8_t *valid = realloc(column->valid, (size_t)room / 8);
        if (valid == NULL)
            return false;
        memset(valid + batch->room / 8, 0xff, (size_t)(room - batch->room) / 8);
        column->valid = valid;
        if (column->width) {
            uint8_t *values = realloc(column->values, (size_t)(room * column->width));
            if (values == NULL)
                return false;
            column->values = values;
        } else {
            int32_t *offsets = realloc(column->offsets, (size_t)(room + 1) * sizeof *offsets);
            if (offsets == NULL)
                return false;
            offsets[0] = 0;
            column->offsets = offsets;
            if (column->values == NULL) { /* no text has no bytes, but Arrow wants a place for them */
                column->values = malloc(TEXT_ROOM);
                if (column->values == NULL)
                    return false;
                column->room = TEXT_ROOM;
            }
        }
    }
    batch->room = room;
    return true;
}

/* What `columns` says, (kind, wire, lake) each, of the first `kinds`. False if it is not that, or without memory. */
static bool batch_begin(Batch *batch, const int32_t *columns, int64_t count, int kinds, int64_t most_rows,
                        int64_t most_bytes) {
    static const int widths[KINDS] = {0, 4, 8, 16, 4, 8, 0, 0, 1, 8};
    powers[0] = 1;
    for (int n = 1; n <= DIGITS; n++)
        powers[n] = powers[n - 1] * 10;
    if (most_rows < 1 || most_bytes < 1 || most_bytes > 512 << 20)
        return false;
    batch->most_rows = most_rows;
    batch->most_bytes = most_bytes;
    batch->columns = calloc((size_t)count + 1, sizeof(Column));
    if (batch->columns == NULL)
        return false;
    batch->count = count;
    for (int64_t n = 0; n < count; n++) {
        Column *column = &batch->columns[n];
        column->kind = columns[3 * n];
        column->wire = columns[3 * n + 1];
        column->lake = columns[3 * n + 2];
        int wire = abs(column->wire), lake = abs(column->lake);
        bool good = column->kind >= 0 && column->kind < kinds;
        if (good && column->kind == INTEGER)
            good = (wire == 1 || wire == 2 || wire == 4 || wire == 8) &&
                   (lake == 1 || lake == 2 || lake == 4 || lake == 8);
        if (good && column->kind == DECIMAL)
            good = column->wire >= 1 && column->wire <= DIGITS && column->lake >= 0 && column->lake <= column->wire;
        if (!good)
            return false;
        column->width = column->kind == INTEGER ? lake : widths[column->kind];
    }
    return true;
}

static void batch_end(Batch *batch) {
    for (int64_t n = 0; n < batch->count; n++) {
        free(batch->columns[n].valid);
        free(batch->columns[n].values);
        free(batch->columns[n].offsets);
    }
    free(batch->columns);
}

/* The rows, a `Taken` per column; the batch is empty then. */
static void batch_take(Batch *batch, Taken *taken) {
    int64_t rows = batch->rows;
    for (int64_t n = 0; n < batch->count; n++) {
        Column *column = &batch->columns[n];
        if (column->kind == TEXT)
            column->findings |= findings_in_text(column, rows);
        if (!column->nulls) {
            free(column->valid);
            column->valid = NULL;
        }
        taken[n] = (Taken){.valid = column->valid,
                           .offsets = column->offsets,
                           .values = column->values,
                           .valid_size = (rows + 7) / 8,
                           .offsets_size = (rows + 1) * 4,
                           .values_size = column->width ? rows * column->width : column->size,
                           .nulls = column->nulls,
                           .findings = column->findings};
        column->valid = column->values = NULL;
        column->offsets = NULL;
        column->findings = 0;
        column->nulls = column->size = column->room = 0;
    }
    batch->rows = batch->room = batch->bytes = 0;
}
