/* Rows of MySQL's binary protocol into the buffers of Arrow columns.

   A pure parser: bytes go in, columns come out; it knows no socket. `_mysql_rows.pyi` says what each call does, and
   `mysql_rows.py` is its only caller. Nothing is read beyond the bytes that were given: what a packet says of its own
   length is checked first. The packets: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { INTEGER, FLOAT, DOUBLE, DECIMAL, DATE, TIMESTAMP, TEXT, BYTES, KINDS };
enum { IMPOSSIBLE_DATE = 1, NUL_CHARACTER = 2, NOT_UTF8 = 4, OUT_OF_RANGE = 8 };
enum { ROW_HEADER = 0x00, END_HEADER = 0xfe, ERROR_HEADER = 0xff, NULL_LENGTH = 0xfb };
enum { READING, ENDED, FAILED };

#define LONGEST_PART 0xffffff
#define LONGEST_PACKET ((size_t)1040 << 20) /* max_allowed_packet is at most 1 GB: offsets of 32 bits are enough */
#define TEXT_ROOM 4096
#define DIGITS 38

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
    PyObject_HEAD
    Py_ssize_t count;
    Column *columns;
    int64_t rows, room, most_rows, most_bytes, bytes;
    uint8_t sequence;
    int state;
    bool busy;
    uint8_t *joined; /* a packet that came in several parts */
    size_t joined_room;
    uint8_t *error;
    size_t error_size;
} Rows;

typedef struct {
    PyObject_HEAD
    void *data;
    Py_ssize_t size;
} Block;

typedef enum { GOOD, MORE, MALFORMED, NO_MEMORY } Result;

/* ---- A block of memory that Arrow keeps as long as it needs it ---- */

static int block_get(PyObject *self, Py_buffer *view, int flags) {
    Block *block = (Block *)self;
    return PyBuffer_FillInfo(view, self, block->data, block->size, 1, flags);
}

static void block_free(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    free(((Block *)self)->data);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot block_slots[] = {{Py_bf_getbuffer, block_get}, {Py_tp_dealloc, block_free}, {0, NULL}};
static PyType_Spec block_spec = {"syncer_assets.drivers._mysql_rows.Block", sizeof(Block), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots};
static PyObject *block_type;

static PyObject *block_of(void **data, int64_t size) {
    Block *block = PyObject_New(Block, (PyTypeObject *)block_type);
    if (block != NULL) {
        block->data = *data;
        block->size = (Py_ssize_t)size;
        *data = NULL;
    }
    return (PyObject *)block;
}

/* ---- Bytes ---- */

static inline uint64_t little(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    memcpy(&value, at, (size_t)bytes); /* little-endian machines only, as `PyInit` holds */
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

static bool is_utf8(const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        while (end - p >= 8 && !(little(p, 8) & 0x8080808080808080u))
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

/* ---- Values ---- */

static inline uint8_t *place_of(Rows *self, Column *column) { return column->values + self->rows * column->width; }

static void put_null(Rows *self, Column *column) {
    column->valid[self->rows >> 3] &= (uint8_t)~(1u << (self->rows & 7));
    column->nulls++;
    if (column->width)
        memset(place_of(self, column), 0, (size_t)column->width);
}

static void put_unfit(Rows *self, Column *column, unsigned finding) {
    column->findings |= finding;
    put_null(self, column);
}

static Result put_integer(Rows *self, Column *column, const uint8_t **at, const uint8_t *end) {
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
        put_unfit(self, column, OUT_OF_RANGE);
    else
        memcpy(place_of(self, column), &value, (size_t)lake);
    return GOOD;
}

static Result put_float(Rows *self, Column *column, const uint8_t **at, const uint8_t *end) {
    if (end - *at < column->width)
        return MALFORMED;
    memcpy(place_of(self, column), *at, (size_t)column->width);
    *at += column->width;
    return GOOD;
}

static unsigned __int128 powers[DIGITS + 1];

static Result put_decimal(Rows *self, Column *column, const uint8_t **at, const uint8_t *end) {
    uint64_t length;
    if (!length_of(at, end, &length))
        return MALFORMED;
    const uint8_t *p = *at, *stop = p + length;
    *at = stop;
    bool minus = p < stop && *p == '-', point = false, some = false;
    if (p < stop && (*p == '-' || *p == '+'))
        p++;
    unsigned __int128 value = 0;
    int after = 0;
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
                return put_unfit(self, column, OUT_OF_RANGE), GOOD;
            continue;
        }
        if (value >= powers[DIGITS - 1])
            return put_unfit(self, column, OUT_OF_RANGE), GOOD;
        value = value * 10 + (unsigned)(*p - '0');
        after += point;
    }
    if (!some)
        return MALFORMED;
    int missing = column->lake - after;
    if (value >= powers[column->wire - missing])
        return put_unfit(self, column, OUT_OF_RANGE), GOOD;
    value *= powers[missing];
    if (minus)
        value = -value;
    memcpy(place_of(self, column), &value, sizeof value);
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

static Result put_time(Rows *self, Column *column, const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at;
    if (p >= end)
        return MALFORMED;
    int length = *p++;
    if ((length != 0 && length != 4 && length != 7 && length != 11) || end - p < length)
        return MALFORMED;
    *at = p + length;
    int32_t days = 0;
    if (length == 0 || !day_of((int)little(p, 2), p[2], p[3], &days))
        return put_unfit(self, column, IMPOSSIBLE_DATE), GOOD;
    int64_t micros = length == 11 ? (int64_t)little(p + 7, 4) : 0;
    int64_t seconds = length >= 7 ? p[4] * 3600 + p[5] * 60 + p[6] : 0;
    if (micros > 999999 || (length >= 7 && (p[4] > 23 || p[5] > 59 || p[6] > 59)))
        return MALFORMED;
    if (column->kind == DATE) {
        if (seconds || micros)
            return MALFORMED;
        memcpy(place_of(self, column), &days, sizeof days);
    } else {
        int64_t moment = ((int64_t)days * 86400 + seconds) * 1000000 + micros;
        memcpy(place_of(self, column), &moment, sizeof moment);
    }
    return GOOD;
}

static Result put_text(Column *column, const uint8_t **at, const uint8_t *end) {
    uint64_t length;
    if (!length_of(at, end, &length))
        return MALFORMED;
    int64_t size = column->size + (int64_t)length;
    if (size > column->room) {
        if (size > INT32_MAX)
            return MALFORMED;
        int64_t room = size + size / 2 + 4096;
        uint8_t *values = realloc(column->values, (size_t)room);
        if (values == NULL)
            return NO_MEMORY;
        column->values = values;
        column->room = room;
    }
    memcpy(column->values + column->size, *at, (size_t)length);
    column->size = size;
    *at += length;
    return GOOD;
}

/* ---- Rows ---- */

static bool make_room(Rows *self) {
    int64_t room = self->room ? self->room * 2 : 1024;
    for (Py_ssize_t n = 0; n < self->count; n++) {
        Column *column = &self->columns[n];
        uint8_t *valid = realloc(column->valid, (size_t)room / 8);
        if (valid == NULL)
            return false;
        memset(valid + self->room / 8, 0xff, (size_t)(room - self->room) / 8);
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
    self->room = room;
    return true;
}

static Result put_row(Rows *self, const uint8_t *at, const uint8_t *end) {
    Py_ssize_t bits = (self->count + 9) / 8;
    if (end - at < 1 + bits)
        return MALFORMED;
    if (self->rows == self->room && !make_room(self))
        return NO_MEMORY;
    const uint8_t *null = at + 1;
    at += 1 + bits;
    for (Py_ssize_t n = 0; n < self->count; n++) {
        Column *column = &self->columns[n];
        Result result = GOOD;
        if (null[(n + 2) >> 3] >> ((n + 2) & 7) & 1)
            put_null(self, column);
        else if (column->kind == INTEGER)
            result = put_integer(self, column, &at, end);
        else if (column->kind == TEXT || column->kind == BYTES)
            result = put_text(column, &at, end);
        else if (column->kind == DECIMAL)
            result = put_decimal(self, column, &at, end);
        else if (column->kind == DATE || column->kind == TIMESTAMP)
            result = put_time(self, column, &at, end);
        else
            result = put_float(self, column, &at, end);
        if (result != GOOD)
            return result;
        if (!column->width)
            column->offsets[self->rows + 1] = (int32_t)column->size;
    }
    self->rows++;
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

static bool is_full(const Rows *self) { return self->rows >= self->most_rows || self->bytes >= self->most_bytes; }

static Result parse(Rows *self, const uint8_t **at, const uint8_t *end) {
    while (self->state == READING && !is_full(self)) {
        const uint8_t *body, *next;
        size_t size;
        Result result = packet_at(self, *at, end, &body, &size, &next);
        if (result != GOOD)
            return result;
        if (size == 0)
            return MALFORMED;
        if (body[0] == ROW_HEADER) {
            result = put_row(self, body, body + size);
            if (result != GOOD)
                return result;
            self->bytes += (int64_t)size;
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

/* ---- The type ---- */

static PyObject *rows_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"columns", "sequence", "most_rows", "most_bytes", NULL};
    static const int widths[KINDS] = {0, 4, 8, 16, 4, 8, 0, 0};
    PyObject *columns;
    int sequence;
    long long most_rows, most_bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!iLL", names, &PyTuple_Type, &columns, &sequence, &most_rows,
                                     &most_bytes))
        return NULL;
    if (most_rows < 1 || most_bytes < 1 || most_bytes > 512 << 20)
        return PyErr_Format(PyExc_ValueError, "most_rows is at least 1, most_bytes 1 to 512 MB");
    Rows *self = (Rows *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->sequence = (uint8_t)sequence;
    self->most_rows = most_rows;
    self->most_bytes = most_bytes;
    self->columns = PyMem_Calloc((size_t)PyTuple_GET_SIZE(columns) + 1, sizeof(Column));
    if (self->columns == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->count = PyTuple_GET_SIZE(columns);
    for (Py_ssize_t n = 0; n < self->count; n++) {
        Column *column = &self->columns[n];
        bool good = PyArg_ParseTuple(PyTuple_GET_ITEM(columns, n), "iii", &column->kind, &column->wire, &column->lake);
        if (good) {
            int wire = abs(column->wire), lake = abs(column->lake);
            good = column->kind >= 0 && column->kind < KINDS;
            if (good && column->kind == INTEGER)
                good = (wire == 1 || wire == 2 || wire == 4 || wire == 8) &&
                       (lake == 1 || lake == 2 || lake == 4 || lake == 8);
            if (good && column->kind == DECIMAL)
                good = column->wire >= 1 && column->wire <= DIGITS && column->lake >= 0 && column->lake <= column->wire;
            if (good)
                column->width = column->kind == INTEGER ? lake : widths[column->kind];
            else
                PyErr_SetString(PyExc_ValueError, "a column is (kind, wire, lake)");
        }
        if (!good) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static void rows_free(PyObject *object) {
    Rows *self = (Rows *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t n = 0; n < self->count; n++) {
        free(self->columns[n].valid);
        free(self->columns[n].values);
        free(self->columns[n].offsets);
    }
    PyMem_Free(self->columns);
    free(self->joined);
    free(self->error);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *rows_feed(PyObject *object, PyObject *args) {
    Rows *self = (Rows *)object;
    Py_buffer data;
    Py_ssize_t start, stop;
    if (!PyArg_ParseTuple(args, "y*nn", &data, &start, &stop))
        return NULL;
    PyObject *answer = NULL;
    if (start < 0 || start > stop || stop > data.len || self->busy || self->state == FAILED) {
        PyErr_SetString(PyExc_ValueError, "the rows are fed by one thread, within the buffer, and not after an error");
    } else {
        const uint8_t *bytes = data.buf, *at = bytes + start;
        Result result;
        self->busy = true;
        Py_BEGIN_ALLOW_THREADS;
        result = parse(self, &at, bytes + stop);
        Py_END_ALLOW_THREADS;
        self->busy = false;
        if (result == MALFORMED || result == NO_MEMORY)
            self->state = FAILED;
        if (result == MALFORMED)
            PyErr_SetString(PyExc_ValueError, "malformed packet");
        else
            answer = result == NO_MEMORY ? PyErr_NoMemory() : PyLong_FromSsize_t(at - bytes);
    }
    PyBuffer_Release(&data);
    return answer;
}

static PyObject *take_column(Rows *self, Column *column) {
    int64_t rows = self->rows;
    PyObject *valid = NULL, *offsets = NULL, *values = NULL, *answer = NULL;
    if (column->nulls)
        valid = block_of((void **)&column->valid, (rows + 7) / 8);
    else
        valid = Py_NewRef(Py_None);
    if (column->width)
        offsets = Py_NewRef(Py_None);
    else
        offsets = block_of((void **)&column->offsets, (rows + 1) * 4);
    values = block_of((void **)&column->values, column->width ? rows * column->width : column->size);
    if (valid != NULL && offsets != NULL && values != NULL)
        answer = Py_BuildValue("(OOOLI)", valid, offsets, values, (long long)column->nulls, column->findings);
    Py_XDECREF(valid);
    Py_XDECREF(offsets);
    Py_XDECREF(values);
    free(column->valid);
    free(column->values);
    free(column->offsets);
    column->valid = column->values = NULL;
    column->offsets = NULL;
    column->findings = 0;
    column->nulls = column->size = column->room = 0;
    return answer;
}

static PyObject *rows_take(PyObject *object, PyObject *Py_UNUSED(none)) {
    Rows *self = (Rows *)object;
    if (self->busy || self->state == FAILED || !self->rows)
        return PyErr_Format(PyExc_ValueError, "there are no rows to take");
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t n = 0; n < self->count; n++)
        if (self->columns[n].kind == TEXT)
            self->columns[n].findings |= findings_in_text(&self->columns[n], self->rows);
    Py_END_ALLOW_THREADS;
    PyObject *answer = PyTuple_New(self->count);
    for (Py_ssize_t n = 0; n < self->count; n++) {
        PyObject *column = take_column(self, &self->columns[n]);
        if (column == NULL)
            Py_CLEAR(answer);
        else if (answer != NULL)
            PyTuple_SET_ITEM(answer, n, column);
        else
            Py_DECREF(column);
    }
    self->rows = self->room = self->bytes = 0;
    self->busy = false;
    return answer;
}

static PyObject *rows_count(PyObject *self, void *Py_UNUSED(none)) {
    return PyLong_FromLongLong(((Rows *)self)->rows);
}

static PyObject *rows_full(PyObject *self, void *Py_UNUSED(none)) { return PyBool_FromLong(is_full((Rows *)self)); }

static PyObject *rows_ended(PyObject *self, void *Py_UNUSED(none)) {
    return PyBool_FromLong(((Rows *)self)->state == ENDED);
}

static PyObject *rows_error(PyObject *object, void *Py_UNUSED(none)) {
    Rows *self = (Rows *)object;
    if (self->error == NULL)
        Py_RETURN_NONE;
    size_t start = self->error_size >= 9 && self->error[3] == '#' ? 9 : 3;
    const char *text = (const char *)self->error + start;
    PyObject *message = PyUnicode_DecodeUTF8(text, (Py_ssize_t)(self->error_size - start), "replace");
    return message == NULL ? NULL : Py_BuildValue("(iN)", (int)little(self->error + 1, 2), message);
}

static PyMethodDef rows_methods[] = {{"feed", rows_feed, METH_VARARGS, NULL},
                                     {"take", rows_take, METH_NOARGS, NULL},
                                     {NULL, NULL, 0, NULL}};
static PyGetSetDef rows_fields[] = {{"count", rows_count, NULL, NULL, NULL},
                                    {"full", rows_full, NULL, NULL, NULL},
                                    {"ended", rows_ended, NULL, NULL, NULL},
                                    {"error", rows_error, NULL, NULL, NULL},
                                    {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot rows_slots[] = {{Py_tp_new, rows_new},
                                   {Py_tp_dealloc, rows_free},
                                   {Py_tp_methods, rows_methods},
                                   {Py_tp_getset, rows_fields},
                                   {0, NULL}};
static PyType_Spec rows_spec = {"syncer_assets.drivers._mysql_rows.Rows", sizeof(Rows), 0, Py_TPFLAGS_DEFAULT,
                                rows_slots};

static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT, .m_name = "_mysql_rows", .m_size = -1};

PyMODINIT_FUNC PyInit__mysql_rows(void) {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The wire and Arrow are little-endian, and so has the machine to be."
#endif
    powers[0] = 1;
    for (int n = 1; n <= DIGITS; n++)
        powers[n] = powers[n - 1] * 10;
    PyObject *made = PyModule_Create(&module), *rows_type = PyType_FromSpec(&rows_spec);
    block_type = PyType_FromSpec(&block_spec);
    if (made == NULL || rows_type == NULL || block_type == NULL || PyModule_AddObjectRef(made, "Rows", rows_type) < 0)
        Py_CLEAR(made);
    Py_XDECREF(rows_type);
    return made;
}
