/* The compiled decode kernel: remote-write bodies to columns, and columns to COPY bytes.
 *
 * purekernel.py does the same in Python; tests feed both the same bodies and compare. Here as there,
 * a TimeSeries of the common shape is read whole, and any other is only noted for the slow path.
 *
 * Bodies come from anybody. Every read is bounded by a stop that was checked against the body's
 * length; places are 32-bit, as bodies are below 2 GiB. Numbers are read byte by byte, so alignment
 * and byte order do not matter. The lock guards the tables, and is never waited for with the GIL.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

/* As in decoded.py, which says why; a test compares. */
#define MAX_MESSAGES 262144
#define MAX_SAMPLES 1048576
#define MAX_SYMBOLS 1048576
#define MAX_MESSAGE_BYTES 4194304
#define MAX_LEARNED 65536
#define MAX_LABELS 100
#define MAX_NAME_BYTES 1024
#define MAX_VALUE_BYTES 16384
#define TIME_MIN_MS (-INT64_C(210866803200000))
#define TIME_MAX_MS INT64_C(9224318015999999)
#define MAX_DEPTH 100
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define MAX_HOUR ((INT64_C(1) << 30) - 1)
#define MAX_CAPACITY (INT64_C(1) << 30)

#define ROW_BYTES 38
#define COPY_HEADER_BYTES 19
#define COPY_TRAILER_BYTES 2
/* PostgreSQL counts microseconds from 2000-01-01. */
#define POSTGRES_EPOCH_MS INT64_C(946684800000)

#define LIKELY(x) __builtin_expect(!!(x), 1)

static const char NO_MEMORY[] = "no memory";

static inline u64 load64(const u8 *p) {
    return (u64)p[0] | (u64)p[1] << 8 | (u64)p[2] << 16 | (u64)p[3] << 24 | (u64)p[4] << 32 |
           (u64)p[5] << 40 | (u64)p[6] << 48 | (u64)p[7] << 56;
}

static inline void store64(u8 *p, u64 v) {
    for (int i = 0; i < 8; i++) p[i] = (u8)(v >> 8 * i);
}

static inline void store64_big(u8 *p, u64 v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, 8);
}

/* ---------------------------------------------------------------- fingerprints: SipHash-1-3-128 */

typedef struct {
    u64 high, low;
} Hash;

typedef struct {
    u64 v0, v1, v2, v3;
} Sip;

static inline u64 rotate(u64 x, int by) { return x << by | x >> (64 - by); }

static inline void sip_round(Sip *s) {
    s->v0 += s->v1; s->v1 = rotate(s->v1, 13); s->v1 ^= s->v0; s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3; s->v3 = rotate(s->v3, 16); s->v3 ^= s->v2;
    s->v0 += s->v3; s->v3 = rotate(s->v3, 21); s->v3 ^= s->v0;
    s->v2 += s->v1; s->v1 = rotate(s->v1, 17); s->v1 ^= s->v2; s->v2 = rotate(s->v2, 32);
}

static inline Sip sip_start(Hash key) {
    Sip s = {key.high ^ UINT64_C(0x736f6d6570736575), key.low ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
             key.high ^ UINT64_C(0x6c7967656e657261), key.low ^ UINT64_C(0x7465646279746573)};
    return s;
}

static inline void sip_word(Sip *s, u64 word) {
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline Hash sip_end(Sip s) {
    Hash h;
    s.v2 ^= 0xee;
    sip_round(&s); sip_round(&s); sip_round(&s);
    h.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    sip_round(&s); sip_round(&s); sip_round(&s);
    h.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return h;
}

static Hash hash_bytes(Hash key, const u8 *p, size_t length) {
    Sip s = sip_start(key);
    u64 last = (u64)length << 56;
    const u8 *stop = p + (length & ~(size_t)7);
    for (; p < stop; p += 8) sip_word(&s, load64(p));
    for (size_t i = 0; i < (length & 7); i++) last |= (u64)p[i] << 8 * i;
    sip_word(&s, last);
    return sip_end(s);
}

static inline bool same(Hash a, Hash b) { return a.high == b.high && a.low == b.low; }

/* ------------------------------------------------------------------------ table of known things */

/* 32 bytes each, and 4 to 8 more for the heads. */
typedef struct {
    Hash hash;
    i64 id;
    u32 hour_used; /* hour << 1 | looked up since the hand passed; FREE where there is no entry */
    u32 next;      /* index + 1 of the next in the chain, or of the next free one */
} Entry;

#define FREE UINT32_MAX

typedef struct {
    Entry *entries;
    u32 *heads; /* index + 1 */
    u64 spread; /* odd and secret, so that nobody can choose what shares a chain */
    u32 capacity, mask, shift;
    u32 reached; /* entries below were used at some time */
    u32 free;    /* index + 1 */
    u32 hand, count;
    u64 evictions;
} Table;

static bool table_init(Table *t, u32 capacity, u64 spread) {
    u32 bits = 4;
    memset(t, 0, sizeof *t);
    while (((u64)1 << bits) < capacity) bits++;
    t->capacity = capacity;
    t->mask = (u32)(((u64)1 << bits) - 1);
    t->shift = 64 - bits;
    t->spread = spread | 1;
    t->entries = malloc((size_t)capacity * sizeof *t->entries);
    t->heads = calloc((size_t)t->mask + 1, sizeof *t->heads);
    return t->entries && t->heads;
}

static void table_free(Table *t) {
    free(t->entries);
    free(t->heads);
}

static void table_clear(Table *t) {
    if (t->heads) memset(t->heads, 0, ((size_t)t->mask + 1) * sizeof *t->heads);
    t->reached = t->free = t->hand = t->count = 0;
}

static inline u32 *table_head(const Table *t, Hash hash) {
    return &t->heads[(hash.high ^ hash.low) * t->spread >> t->shift];
}

static inline Entry *table_find(const Table *t, Hash hash) {
    for (u32 at = *table_head(t, hash); at; at = t->entries[at - 1].next)
        if (same(t->entries[at - 1].hash, hash)) return &t->entries[at - 1];
    return NULL;
}

static void table_unlink(Table *t, u32 index) {
    u32 *link = table_head(t, t->entries[index].hash);
    while (*link != index + 1) link = &t->entries[*link - 1].next;
    *link = t->entries[index].next;
    t->entries[index].hour_used = FREE;
    t->count--;
}

/* An index without an entry: a free one, a new one, or that of what the clock's hand finds unused. */
static u32 table_take(Table *t) {
    u32 index;
    if (t->free) {
        index = t->free - 1;
        t->free = t->entries[index].next;
        return index;
    }
    if (t->reached < t->capacity) return t->reached++;
    for (;;) {
        index = t->hand;
        t->hand = index + 1 == t->capacity ? 0 : index + 1;
        if (!(t->entries[index].hour_used & 1)) break;
        t->entries[index].hour_used &= ~1u;
    }
    table_unlink(t, index);
    t->evictions++;
    return index;
}

static void table_put(Table *t, Hash hash, i64 id, u32 hour) {
    Entry *e = table_find(t, hash);
    if (!e) {
        u32 index = table_take(t), *head = table_head(t, hash);
        e = &t->entries[index];
        e->hash = hash;
        e->hour_used = hour << 1;
        e->next = *head;
        *head = index + 1;
        t->count++;
    }
    e->id = id;
    if (e->hour_used >> 1 < hour) e->hour_used = hour << 1 | (e->hour_used & 1);
}

/* Notes a look-up; whether the entry's hour was an older one. */
static inline bool entry_use(Entry *e, u32 hour) {
    bool older = e->hour_used >> 1 < hour;
    e->hour_used = older ? hour << 1 | 1 : e->hour_used | 1;
    return older;
}

/* ------------------------------------------------------------------------- what a body comes to */

typedef struct {
    u32 start, stop;
} Span;

typedef struct {
    Span *items;
    size_t count, room;
} Spans;

typedef struct {
    Hash hash;
    Span span;
} Found;

typedef struct {
    Found *items;
    size_t count, room;
} Founds;

/* A TimeSeries of the common shape. */
typedef struct {
    Hash hash;
    Span labels;
    u32 first_row;
    i64 id; /* or -1-k */
} Series;

typedef struct {
    Hash labels1, labels2, symbol, metadata;
} Keys;

typedef struct {
    const u8 *body;
    u32 length;
    const Keys *keys;
    const char *error; /* NULL, NO_MEMORY, or why the body is refused */
    u32 messages, known, all_series;
    u32 rows, row_room;
    i64 *time, *id;
    u64 *bits;
    Series *series;
    size_t series_count, series_room;
    Spans odd, metadata, symbols, messages2;
    Hash *symbol_hash;
    Founds unknown, news;
    i64 *touched;
    size_t touched_count, touched_room;
} Body;

static void body_free(Body *b) {
    free(b->time); free(b->id); free(b->bits); free(b->series);
    free(b->odd.items); free(b->metadata.items); free(b->symbols.items); free(b->messages2.items);
    free(b->symbol_hash); free(b->unknown.items); free(b->news.items); free(b->touched);
}

/* Room for one more; counts are bounded by the limits, so sizes cannot overflow. */
static bool grow(void **items, size_t *room, size_t count, size_t size, size_t first) {
    if (LIKELY(count < *room)) return true;
    size_t wanted = *room ? *room * 2 : first;
    void *moved = realloc(*items, wanted * size);
    if (!moved) return false;
    *items = moved;
    *room = wanted;
    return true;
}

#define GROW(list, first) \
    grow((void **)&(list).items, &(list).room, (list).count, sizeof *(list).items, first)

static bool fail(Body *b, const char *why) {
    b->error = why;
    return false;
}

static bool add_span(Body *b, Spans *spans, u32 start, u32 stop) {
    if (!GROW(*spans, 16)) return fail(b, NO_MEMORY);
    spans->items[spans->count++] = (Span){start, stop};
    return true;
}

static bool add_bounded(Body *b, Spans *spans, u32 start, u32 stop) {
    if (stop - start > MAX_MESSAGE_BYTES) return fail(b, "a message of more than " TEXT(MAX_MESSAGE_BYTES) " bytes");
    return add_span(b, spans, start, stop);
}

static bool row_room(Body *b) {
    if (LIKELY(b->rows < b->row_room)) return true;
    u32 wanted = b->row_room ? b->row_room * 2 : 2048;
    i64 *time = realloc(b->time, wanted * sizeof *time);
    if (!time) return fail(b, NO_MEMORY);
    b->time = time;
    u64 *bits = realloc(b->bits, wanted * sizeof *bits);
    if (!bits) return fail(b, NO_MEMORY);
    b->bits = bits;
    b->row_room = wanted;
    return true;
}

/* --------------------------------------------------------------------------------- wire format */

/* The number at *at, which moves behind it; false if it is cut off or past 64 bits. */
static bool read_varint(const u8 *body, u32 *at, u32 stop, u64 *value) {
    u64 v = 0;
    u32 p = *at;
    for (int shift = 0; shift < 70 && p < stop; shift += 7) {
        u8 byte = body[p++];
        if (shift == 63 && byte > 1) return false;
        v |= (u64)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *at = p;
            *value = v;
            return true;
        }
    }
    return false;
}

/* The length at *at, which moves to its content; true only if all of that is before stop. */
static inline bool read_size(const u8 *body, u32 *at, u32 stop, u32 *length) {
    u32 begin = *at;
    u64 v;
    if (LIKELY(begin < stop && body[begin] < 0x80)) {
        v = body[begin];
        *at = begin + 1;
    } else if (!read_varint(body, at, stop, &v) || *at - begin > 5) {
        return false;
    }
    if (v > stop - *at) return false;
    *length = (u32)v;
    return true;
}

/* Only within a group may a field's number be 0, as protobuf's own parser has it. */
static bool read_tag(const u8 *body, u32 *at, u32 stop, bool in_group, u32 *tag) {
    u32 begin = *at;
    u64 v;
    if (!read_varint(body, at, stop, &v) || *at - begin > 5 || v > UINT32_MAX) return false;
    if (v < 8 && !in_group) return false;
    *tag = (u32)v;
    return true;
}

static bool skip(const u8 *body, u32 *at, u32 stop, u32 tag, int depth) {
    u64 value;
    u32 length;
    switch (tag & 7) {
    case 0:
        return read_varint(body, at, stop, &value);
    case 1:
    case 5:
        length = (tag & 7) == 1 ? 8 : 4;
        if (stop - *at < length) return false;
        *at += length;
        return true;
    case 2:
        if (!read_size(body, at, stop, &length)) return false;
        *at += length;
        return true;
    case 3:
        if (depth >= MAX_DEPTH) return false;
        for (;;) {
            u32 inner;
            if (*at >= stop || !read_tag(body, at, stop, true, &inner)) return false;
            if ((inner & 7) == 4) return inner >> 3 == tag >> 3;
            if (!skip(body, at, stop, inner, depth + 1)) return false;
        }
    default:
        return false;
    }
}

/* ------------------------------------------------------------------------------------ messages */

/* Six bytes of varint, of which only the last ends it: any time from 1971 to 2109. */
#define STAMP_BITS UINT64_C(0x808080808080)
#define STAMP_SHAPE UINT64_C(0x008080808080)

static inline i64 stamp(u64 v) {
    return (i64)((v & 0x7f) | (v >> 1 & 0x7f << 7) | (v >> 2 & 0x7f << 14) | (v >> 3 & 0x7f << 21) |
                 (v >> 4 & UINT64_C(0x7f) << 28) | (v >> 5 & UINT64_C(0x7f) << 35));
}

/* A sample's content in any form that has no unknown fields. */
static bool read_sample(const u8 *body, u32 at, u32 stop, int version, i64 *time, u64 *bits) {
    u64 stamp = 0, ignored;
    *bits = 0;
    while (at < stop) {
        u8 tag = body[at++];
        if (tag == 0x09 && stop - at >= 8) {
            *bits = load64(body + at);
            at += 8;
        } else if (tag == 0x10) {
            if (!read_varint(body, &at, stop, &stamp)) return false;
        } else if (tag == 0x18 && version == 2) {
            if (!read_varint(body, &at, stop, &ignored)) return false;
        } else {
            return false;
        }
    }
    memcpy(time, &stamp, sizeof stamp);
    return true;
}

/* Reads the sample whose tag is at *at into a new row; false: not the fast path's, or an error. */
static inline bool add_sample(Body *b, u32 *at, u32 stop, int version, u32 first_row) {
    const u8 *p = b->body + *at;
    u32 length;
    if (b->rows - first_row >= MAX_SAMPLES || !row_room(b)) return false;
    i64 *time = &b->time[b->rows];
    u64 *bits = &b->bits[b->rows];
    if (stop - *at >= 18 && p[1] == 16 && p[2] == 0x09 && p[11] == 0x10) {
        u64 v = load64(p + 10) >> 16;
        if (LIKELY((v & STAMP_BITS) == STAMP_SHAPE)) {
            *bits = load64(p + 3);
            *time = stamp(v);
            *at += 18;
            b->rows++;
            return true;
        }
    } else if (stop - *at >= 9 && p[1] == 7 && p[2] == 0x10) {
        u64 v = load64(p + 1) >> 16;
        if (LIKELY((v & STAMP_BITS) == STAMP_SHAPE)) {
            *bits = 0;
            *time = stamp(v);
            *at += 9;
            b->rows++;
            return true;
        }
    }
    ++*at;
    if (!read_size(b->body, at, stop, &length)) return false;
    if (!read_sample(b->body, *at, *at + length, version, time, bits)) return false;
    *at += length;
    b->rows++;
    return true;
}

static bool add_series(Body *b, Hash hash, u32 start, u32 stop, u32 first_row) {
    if (b->rows > MAX_SAMPLES) return fail(b, "more than " TEXT(MAX_SAMPLES) " samples");
    if (!grow((void **)&b->series, &b->series_room, b->series_count, sizeof *b->series, 2048))
        return fail(b, NO_MEMORY);
    b->series[b->series_count++] = (Series){hash, {start, stop}, first_row, 0};
    return true;
}

static bool add_odd(Body *b, u32 start, u32 stop, u32 first_row) {
    if (b->error) return false;
    b->rows = first_row;
    return add_bounded(b, &b->odd, start, stop);
}

/* A 1.0 TimeSeries: labels, then samples, and nothing else. */
static bool read_message1(Body *b, u32 start, u32 stop) {
    const u8 *body = b->body;
    u32 at = start, length, first_row = b->rows;
    while (at < stop && body[at] == 0x0a) {
        at++;
        if (!read_size(body, &at, stop, &length)) return add_odd(b, start, stop, first_row);
        at += length;
    }
    u32 labels_stop = at;
    if (labels_stop - start > MAX_MESSAGE_BYTES) return add_odd(b, start, stop, first_row);
    while (at < stop)
        if (body[at] != 0x12 || !add_sample(b, &at, stop, 1, first_row))
            return add_odd(b, start, stop, first_row);
    if (b->rows == first_row) return add_odd(b, start, stop, first_row);
    return add_series(b, hash_bytes(b->keys->labels1, body + start, labels_stop - start), start,
                      labels_stop, first_row);
}

/* A reference to a symbol that is there. */
static inline bool read_reference(const Body *b, u32 *at, u32 stop, u32 *reference) {
    u32 begin = *at;
    u64 v;
    if (LIKELY(begin < stop && b->body[begin] < 0x80)) {
        v = b->body[begin];
        *at = begin + 1;
    } else if (!read_varint(b->body, at, stop, &v) || *at - begin > 5) {
        return false;
    }
    if (v >= b->symbols.count) return false;
    *reference = (u32)v;
    return true;
}

static inline bool symbol_is_name(const Body *b, u32 reference) {
    Span s = b->symbols.items[reference];
    return s.stop - s.start == 8 && !memcmp(b->body + s.start, "__name__", 8);
}

static inline void sip_symbol(const Body *b, Sip *s, u32 reference) {
    sip_word(s, b->symbol_hash[reference].high);
    sip_word(s, b->symbol_hash[reference].low);
}

/* Hashes a 2.0 label set; the metric's reference, if it has one, goes to *metric. */
static bool hash_references(const Body *b, Span refs, Hash *hash, i64 *metric) {
    Sip s = sip_start(b->keys->labels2);
    u64 pairs = 0;
    u32 at = refs.start, name, value;
    *metric = -1;
    if (refs.start == refs.stop || refs.stop - refs.start > MAX_MESSAGE_BYTES) return false;
    for (; at < refs.stop; pairs++) {
        if (!read_reference(b, &at, refs.stop, &name)) return false;
        if (!read_reference(b, &at, refs.stop, &value)) return false;
        sip_symbol(b, &s, name);
        sip_symbol(b, &s, value);
        if (*metric < 0 && symbol_is_name(b, name)) *metric = value;
    }
    sip_word(&s, pairs);
    *hash = sip_end(s);
    return true;
}

static bool read_metadata(const Body *b, Span span, u32 *type, u32 *help, u32 *unit) {
    u32 at = span.start;
    u64 v;
    *type = *help = *unit = 0;
    while (at < span.stop) {
        u8 tag = b->body[at++];
        u32 begin = at;
        if (tag != 0x08 && tag != 0x18 && tag != 0x20) return false;
        if (!read_varint(b->body, &at, span.stop, &v) || at - begin > 5 || v > UINT32_MAX)
            return false;
        *(tag == 0x08 ? type : tag == 0x18 ? help : unit) = (u32)v;
    }
    return *help < b->symbols.count && *unit < b->symbols.count;
}

/* Metadata of a 2.0 TimeSeries become `news`; those that were learned are left out later. */
static bool tell(Body *b, Span metadata, i64 metric, Span message) {
    u32 type, help, unit;
    if (!read_metadata(b, metadata, &type, &help, &unit)) return false;
    Span h = b->symbols.items[help], u = b->symbols.items[unit];
    if (!type && h.start == h.stop && u.start == u.stop) return true;
    if (metric < 0) return false;
    Sip s = sip_start(b->keys->metadata);
    sip_symbol(b, &s, (u32)metric);
    sip_word(&s, type);
    sip_symbol(b, &s, help);
    sip_symbol(b, &s, unit);
    if (!GROW(b->news, 64)) return fail(b, NO_MEMORY);
    b->news.items[b->news.count++] = (Found){sip_end(s), message};
    return true;
}

/* A 2.0 TimeSeries: label references, then samples and at most one metadata. */
static bool read_message2(Body *b, u32 start, u32 stop) {
    const u8 *body = b->body;
    u32 at = start, length, first_row = b->rows;
    Span refs, metadata = {0, 0};
    Hash hash;
    i64 metric;
    bool told = false;
    if (at == stop || body[at++] != 0x0a || !read_size(body, &at, stop, &length))
        return add_odd(b, start, stop, first_row);
    refs = (Span){at, at + length};
    at += length;
    while (at < stop) {
        if (body[at] == 0x12) {
            if (!add_sample(b, &at, stop, 2, first_row)) return add_odd(b, start, stop, first_row);
        } else if (body[at] == 0x2a && !told) {
            at++;
            if (!read_size(body, &at, stop, &length)) return add_odd(b, start, stop, first_row);
            metadata = (Span){at, at + length};
            at += length;
            told = true;
        } else {
            return add_odd(b, start, stop, first_row);
        }
    }
    if (b->rows == first_row || !hash_references(b, refs, &hash, &metric) ||
        (told && !tell(b, metadata, metric, (Span){start, stop})))
        return add_odd(b, start, stop, first_row);
    return add_series(b, hash, refs.start, refs.stop, first_row);
}

/* -------------------------------------------------------------------------------------- bodies */

static bool read_body(Body *b, int version) {
    const u32 series = version == 1 ? 0x0a : 0x2a;
    u32 at = 0, tag, length;
    while (at < b->length) {
        if (!read_tag(b->body, &at, b->length, false, &tag)) return fail(b, "a field's tag is wrong");
        bool is_metadata = version == 1 && tag == 0x1a, is_symbol = version == 2 && tag == 0x22;
        if (tag != series && !is_metadata && !is_symbol) {
            if (!skip(b->body, &at, b->length, tag, 0)) return fail(b, "a field is cut off");
            continue;
        }
        if (!read_size(b->body, &at, b->length, &length)) return fail(b, "a field is cut off");
        u32 start = at, stop = at + length;
        at = stop;
        if (is_symbol) {
            if (b->symbols.count >= MAX_SYMBOLS) return fail(b, "more than " TEXT(MAX_SYMBOLS) " symbols");
            if (!add_span(b, &b->symbols, start, stop)) return false;
            continue;
        }
        if (b->messages++ >= MAX_MESSAGES) return fail(b, "more than " TEXT(MAX_MESSAGES) " series");
        if (is_metadata) {
            if (!add_bounded(b, &b->metadata, start, stop)) return false;
            continue;
        }
        b->all_series++;
        if (version == 1 ? !read_message1(b, start, stop)
                         : !add_span(b, &b->messages2, start, stop))
            return false;
    }
    return true;
}

/* With all the symbols known, the messages of a 2.0 body. */
static bool read_messages2(Body *b) {
    b->symbol_hash = malloc((b->symbols.count + 1) * sizeof *b->symbol_hash);
    if (!b->symbol_hash) return fail(b, NO_MEMORY);
    for (size_t i = 0; i < b->symbols.count; i++) {
        Span s = b->symbols.items[i];
        b->symbol_hash[i] = hash_bytes(b->keys->symbol, b->body + s.start, s.stop - s.start);
    }
    for (size_t i = 0; i < b->messages2.count; i++)
        if (!read_message2(b, b->messages2.items[i].start, b->messages2.items[i].stop)) return false;
    return true;
}

static bool add_touched(Body *b, i64 id) {
    if (!grow((void **)&b->touched, &b->touched_room, b->touched_count, sizeof *b->touched, 256))
        return fail(b, NO_MEMORY);
    b->touched[b->touched_count++] = id;
    return true;
}

#define AHEAD 12

/* Looks up every series, and drops the news that were learned; under the lock. A series that is
 * not there has an id of -1 afterwards. */
static bool look_up(Body *b, Table *table, Table *learned, u32 hour) {
    size_t kept = 0;
    for (size_t i = 0; i < b->series_count; i++) {
        if (i + 2 * AHEAD < b->series_count)
            __builtin_prefetch(table_head(table, b->series[i + 2 * AHEAD].hash));
        if (i + AHEAD < b->series_count) {
            u32 head = *table_head(table, b->series[i + AHEAD].hash);
            if (head) __builtin_prefetch(&table->entries[head - 1], 1);
        }
        Entry *e = table_find(table, b->series[i].hash);
        b->series[i].id = e ? e->id : -1;
        if (!e) continue;
        b->known++;
        if (entry_use(e, hour) && !add_touched(b, e->id)) return false;
    }
    for (size_t i = 0; i < b->news.count; i++) {
        Entry *e = table_find(learned, b->news.items[i].hash);
        if (e)
            entry_use(e, 0);
        else
            b->news.items[kept++] = b->news.items[i];
    }
    b->news.count = kept;
    return true;
}

/* A small map from hash to its place in a list, for one body. */
typedef struct {
    u32 *places; /* place + 1 */
    u32 mask;
} Seen;

static bool seen_init(Body *b, Seen *seen, size_t count) {
    u32 room = 16;
    while (room < 2 * count) room *= 2; /* count <= MAX_MESSAGES */
    seen->mask = room - 1;
    seen->places = calloc(room, sizeof *seen->places);
    return seen->places || fail(b, NO_MEMORY);
}

/* The hash's place in the list, into which it goes if it was not there. */
static bool seen_place(Body *b, Seen *seen, Founds *list, Hash hash, Span span, u32 *place) {
    u32 at = (u32)hash.high & seen->mask;
    for (; seen->places[at]; at = (at + 1) & seen->mask)
        if (same(list->items[seen->places[at] - 1].hash, hash)) {
            *place = seen->places[at] - 1;
            return true;
        }
    if (!GROW(*list, 64)) return fail(b, NO_MEMORY);
    list->items[list->count] = (Found){hash, span};
    *place = (u32)list->count++;
    seen->places[at] = *place + 1;
    return true;
}

/* Numbers what was not found, and gives every row its series. */
static bool number(Body *b) {
    Seen seen;
    u32 place;
    bool ok = true;
    b->id = malloc(((size_t)b->rows + 1) * sizeof *b->id);
    if (!b->id) return fail(b, NO_MEMORY);
    if (!seen_init(b, &seen, b->series_count - b->known)) return false;
    for (size_t i = 0; ok && i < b->series_count; i++) {
        Series *s = &b->series[i];
        u32 stop = i + 1 < b->series_count ? b->series[i + 1].first_row : b->rows;
        if (s->id < 0) {
            ok = seen_place(b, &seen, &b->unknown, s->hash, s->labels, &place);
            s->id = ok ? -1 - (i64)place : -1;
        }
        for (u32 row = s->first_row; row < stop; row++) b->id[row] = s->id;
    }
    free(seen.places);
    return ok;
}

/* Leaves each of the news once. */
static bool settle_news(Body *b) {
    Founds all = b->news;
    Seen seen;
    u32 place;
    bool ok = true;
    if (!all.count) return true;
    if (!seen_init(b, &seen, all.count)) return false;
    memset(&b->news, 0, sizeof b->news);
    for (size_t i = 0; ok && i < all.count; i++)
        ok = seen_place(b, &seen, &b->news, all.items[i].hash, all.items[i].span, &place);
    free(seen.places);
    free(all.items);
    return ok;
}

/* --------------------------------------------------------------------------------- label sets */

typedef struct {
    const u8 *text;
    u32 length;
} Text;

typedef struct {
    Text name, value;
} Label;

typedef struct {
    Label items[MAX_LABELS];
    u32 count;
} LabelSet;

static int compare_texts(Text a, Text b) {
    u32 shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.text, b.text, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Puts a label into its place; false for what the slow path has to judge. */
static bool add_label(LabelSet *set, Label label) {
    if (set->count == MAX_LABELS || !label.name.length || label.name.length > MAX_NAME_BYTES ||
        label.value.length > MAX_VALUE_BYTES || memchr(label.name.text, 0, label.name.length) ||
        (label.value.length && memchr(label.value.text, 0, label.value.length)))
        return false;
    u32 at = set->count;
    for (; at; at--) {
        int order = compare_texts(set->items[at - 1].name, label.name);
        if (!order) return false;
        if (order < 0) break;
        set->items[at] = set->items[at - 1];
    }
    set->items[at] = label;
    set->count++;
    return true;
}

static bool read_label(const u8 *body, u32 at, u32 stop, Label *label) {
    *label = (Label){{body, 0}, {body, 0}};
    while (at < stop) {
        u8 tag = body[at++];
        u32 length;
        if ((tag != 0x0a && tag != 0x12) || !read_size(body, &at, stop, &length)) return false;
        *(tag == 0x0a ? &label->name : &label->value) = (Text){body + at, length};
        at += length;
    }
    return true;
}

static bool read_labels1(const u8 *body, u32 at, u32 stop, LabelSet *set) {
    while (at < stop) {
        Label label;
        u32 length;
        if (body[at++] != 0x0a || !read_size(body, &at, stop, &length)) return false;
        if (!read_label(body, at, at + length, &label) || !add_label(set, label)) return false;
        at += length;
    }
    return true;
}

/* The symbol of the reference at *at; `places` are pairs of start and stop, not aligned. */
static bool read_symbol(const Py_buffer *body, u32 *at, u32 stop, const Py_buffer *places,
                        Text *text) {
    u32 begin = *at;
    u64 reference, start, end;
    if (!read_varint(body->buf, at, stop, &reference) || *at - begin > 5) return false;
    if (reference >= (u64)places->len / 16) return false;
    memcpy(&start, (const u8 *)places->buf + 16 * reference, 8);
    memcpy(&end, (const u8 *)places->buf + 16 * reference + 8, 8);
    if (start > end || end > (u64)body->len) return false;
    *text = (Text){(const u8 *)body->buf + start, (u32)(end - start)};
    return true;
}

static bool read_labels2(const Py_buffer *body, u32 at, u32 stop, const Py_buffer *places,
                         LabelSet *set) {
    while (at < stop) {
        Label label;
        if (!read_symbol(body, &at, stop, places, &label.name) ||
            !read_symbol(body, &at, stop, places, &label.value) || !add_label(set, label))
            return false;
    }
    return true;
}

static bool has_metric_name(const LabelSet *set) {
    static const Text name = {(const u8 *)"__name__", 8};
    for (u32 i = 0; i < set->count; i++)
        if (!compare_texts(set->items[i].name, name)) return set->items[i].value.length > 0;
    return false;
}

/* ------------------------------------------------------------------------------ rows for COPY */

typedef struct {
    u64 series, time, bits; /* the first two with the sign bit turned: unsigned order */
} Row;

typedef struct {
    u64 key, bits;
} Packed;

static int by_bits(const void *a, const void *b) {
    u64 x = ((const Packed *)a)->bits, y = ((const Packed *)b)->bits;
    return (x > y) - (x < y);
}

static int by_row(const void *a, const void *b) {
    const Row *x = a, *y = b;
    if (x->series != y->series) return x->series < y->series ? -1 : 1;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    return (x->bits > y->bits) - (x->bits < y->bits);
}

#define DIGIT 11
#define DIGITS (1u << DIGIT)

/* Sorts by key, eleven bits a pass, into either of the two arrays; NULL without memory. */
static Packed *radix_sort(Packed *rows, Packed *spare, size_t count, int key_bits) {
    u32 passes = (u32)(key_bits + DIGIT - 1) / DIGIT;
    size_t *counts = calloc((size_t)(passes ? passes : 1) * DIGITS, sizeof *counts);
    if (!counts) return NULL;
    for (size_t i = 0; i < count; i++)
        for (u32 pass = 0; pass < passes; pass++)
            counts[pass * DIGITS + (rows[i].key >> pass * DIGIT & (DIGITS - 1))]++;
    for (u32 pass = 0; pass < passes; pass++) {
        size_t *at = counts + pass * DIGITS, sum = 0;
        if (at[rows[0].key >> pass * DIGIT & (DIGITS - 1)] == count) continue;
        for (u32 digit = 0; digit < DIGITS; digit++) {
            size_t here = at[digit];
            at[digit] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++)
            spare[at[rows[i].key >> pass * DIGIT & (DIGITS - 1)]++] = rows[i];
        Packed *swap = rows;
        rows = spare;
        spare = swap;
    }
    free(counts);
    return rows;
}

/* Rows sorted by key: sorts those of one key by bits, drops what is there twice; how many stay. */
static size_t unique_packed(Packed *rows, size_t count) {
    size_t kept = 0;
    for (size_t start = 0, stop; start < count; start = stop) {
        for (stop = start + 1; stop < count && rows[stop].key == rows[start].key;) stop++;
        if (stop - start > 1) qsort(rows + start, stop - start, sizeof *rows, by_bits);
        for (size_t i = start; i < stop; i++)
            if (i == start || rows[i].bits != rows[i - 1].bits) rows[kept++] = rows[i];
    }
    return kept;
}

static size_t unique_rows(Row *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!i || by_row(&rows[i], &rows[kept - 1])) rows[kept++] = rows[i];
    return kept;
}

static int bit_length(u64 v) { return v ? 64 - __builtin_clzll(v) : 0; }

#define TURN (UINT64_C(1) << 63)

/* The rows of a flush, sorted and without repetition, in whichever form they fit. */
typedef struct {
    const u8 *series, *time, *bits; /* the columns, not aligned */
    size_t count;
    u64 series_min, time_min;
    int time_bits; /* at most 54: the times are in range */
    Packed *packed, *spare, *sorted;
    Row *rows;
    const char *error;
} Flush;

static inline u64 column(const u8 *p, size_t i) {
    u64 v;
    memcpy(&v, p + 8 * i, 8);
    return v;
}

static void flush_free(Flush *f) {
    free(f->packed);
    free(f->spare);
    free(f->rows);
}

static bool sort_packed(Flush *f, int key_bits) {
    bool sorted = true;
    f->packed = malloc(f->count * sizeof *f->packed);
    f->spare = malloc(f->count * sizeof *f->spare);
    if (!f->packed || !f->spare) return false;
    for (size_t i = 0; i < f->count; i++) {
        u64 series = (column(f->series, i) ^ TURN) - f->series_min;
        u64 time = (column(f->time, i) ^ TURN) - f->time_min;
        u64 key = series << f->time_bits | time;
        f->packed[i] = (Packed){key, column(f->bits, i)};
        sorted &= !i || f->packed[i - 1].key <= key;
    }
    f->sorted = sorted ? f->packed : radix_sort(f->packed, f->spare, f->count, key_bits);
    if (!f->sorted) return false;
    f->count = unique_packed(f->sorted, f->count);
    return true;
}

static bool sort_rows(Flush *f) {
    f->rows = malloc(f->count * sizeof *f->rows);
    if (!f->rows) return false;
    for (size_t i = 0; i < f->count; i++)
        f->rows[i] = (Row){column(f->series, i) ^ TURN, column(f->time, i) ^ TURN, column(f->bits, i)};
    qsort(f->rows, f->count, sizeof *f->rows, by_row);
    f->count = unique_rows(f->rows, f->count);
    return true;
}

static bool sort_flush(Flush *f) {
    u64 series_max = 0, time_max = 0;
    f->series_min = f->time_min = UINT64_MAX;
    for (size_t i = 0; i < f->count; i++) {
        u64 series = column(f->series, i) ^ TURN, time = column(f->time, i) ^ TURN;
        if (series < f->series_min) f->series_min = series;
        if (series > series_max) series_max = series;
        if (time < f->time_min) f->time_min = time;
        if (time > time_max) time_max = time;
    }
    if (!f->count) return true;
    if (f->time_min < ((u64)TIME_MIN_MS ^ TURN) || time_max > ((u64)TIME_MAX_MS ^ TURN)) {
        f->error = "a time is past what timestamptz holds";
        return false;
    }
    f->time_bits = bit_length(time_max - f->time_min);
    int key_bits = f->time_bits + bit_length(series_max - f->series_min);
    if (key_bits <= 64 ? sort_packed(f, key_bits) : sort_rows(f)) return true;
    f->error = NO_MEMORY;
    return false;
}

static inline u8 *put_length(u8 *p, u8 length) {
    p[0] = p[1] = p[2] = 0;
    p[3] = length;
    return p + 4;
}

static inline void write_row(u8 *p, u64 series, u64 time_ms, u64 bits) {
    /* Unsigned arithmetic: the result fits, as the time was checked. */
    u64 time = (time_ms - (u64)POSTGRES_EPOCH_MS) * 1000;
    p[0] = 0;
    p[1] = 3;
    p = put_length(p + 2, 8);
    store64_big(p, time);
    p = put_length(p + 8, 8);
    store64_big(p, series);
    p = put_length(p + 8, 8);
    store64_big(p, bits);
}

static void write_flush(const Flush *f, u8 *p) {
    static const u8 header[COPY_HEADER_BYTES] = "PGCOPY\n\xff\r\n";
    memcpy(p, header, COPY_HEADER_BYTES);
    p += COPY_HEADER_BYTES;
    if (f->rows) {
        for (size_t i = 0; i < f->count; i++, p += ROW_BYTES)
            write_row(p, f->rows[i].series ^ TURN, f->rows[i].time ^ TURN, f->rows[i].bits);
    } else {
        u64 mask = ((u64)1 << f->time_bits) - 1;
        for (size_t i = 0; i < f->count; i++, p += ROW_BYTES) {
            u64 key = f->sorted[i].key;
            write_row(p, ((key >> f->time_bits) + f->series_min) ^ TURN,
                      ((key & mask) + f->time_min) ^ TURN, f->sorted[i].bits);
        }
    }
    p[0] = p[1] = 0xff;
}

/* ---------------------------------------------------------------------------- Python's side */

typedef struct {
    PyObject_HEAD
    Table series, learned;
    Keys keys;
    PyThread_type_lock lock;
} Cache;

static PyObject *refuse(const char *error) {
    if (error == NO_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, error);
    return NULL;
}

static Hash read_hash(const u8 *p) { return (Hash){load64(p), load64(p + 8)}; }

static PyObject *hash_object(Hash hash) {
    u8 text[16];
    store64(text, hash.high);
    store64(text + 8, hash.low);
    return PyBytes_FromStringAndSize((const char *)text, sizeof text);
}

static PyObject *spans_object(const Spans *spans) {
    PyObject *list = PyList_New((Py_ssize_t)spans->count);
    for (size_t i = 0; list && i < spans->count; i++) {
        PyObject *item = Py_BuildValue("(II)", spans->items[i].start, spans->items[i].stop);
        if (!item) {
            Py_CLEAR(list);
        } else {
            PyList_SetItem(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

static PyObject *founds_object(const Founds *founds) {
    PyObject *list = PyList_New((Py_ssize_t)founds->count);
    for (size_t i = 0; list && i < founds->count; i++) {
        const Found *found = &founds->items[i];
        PyObject *item =
            Py_BuildValue("(NII)", hash_object(found->hash), found->span.start, found->span.stop);
        if (!item) {
            Py_CLEAR(list);
        } else {
            PyList_SetItem(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

static PyObject *column_object(const void *items, size_t count) {
    /* A NULL pointer would ask for uninitialised bytes. */
    return PyBytes_FromStringAndSize(count ? items : "", (Py_ssize_t)(8 * count));
}

static PyObject *symbols_object(const Body *b) {
    bool wanted = b->unknown.count || b->odd.count || b->news.count;
    size_t count = wanted ? b->symbols.count : 0;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(16 * count));
    char *p = bytes ? PyBytes_AsString(bytes) : NULL;
    if (!p) {
        Py_XDECREF(bytes);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        i64 places[2] = {b->symbols.items[i].start, b->symbols.items[i].stop};
        memcpy(p + 16 * i, places, 16);
    }
    return bytes;
}

static PyObject *body_object(const Body *b) {
    return Py_BuildValue(
        "(NNNNNNNIINN)", column_object(b->id, b->rows), column_object(b->time, b->rows),
        column_object(b->bits, b->rows), founds_object(&b->unknown), spans_object(&b->odd),
        spans_object(&b->metadata), column_object(b->touched, b->touched_count), b->all_series,
        b->known, founds_object(&b->news), symbols_object(b));
}

static bool hour_fits(long long hour) {
    if (hour >= 0 && hour <= MAX_HOUR) return true;
    PyErr_SetString(PyExc_OverflowError, "hour is out of range");
    return false;
}

static PyObject *cache_decode(PyObject *object, PyObject *args) {
    Cache *self = (Cache *)object;
    Py_buffer view;
    int version;
    long long hour;
    if (!PyArg_ParseTuple(args, "y*iL", &view, &version, &hour)) return NULL;
    PyObject *result = NULL;
    Body b;
    memset(&b, 0, sizeof b);
    if (view.len > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a body is too long");
    } else if (hour_fits(hour)) {
        b.body = view.buf;
        b.length = (u32)view.len;
        b.keys = &self->keys;
        Py_BEGIN_ALLOW_THREADS
        bool ok = read_body(&b, version) && (version == 1 || read_messages2(&b));
        if (ok) {
            PyThread_acquire_lock(self->lock, WAIT_LOCK);
            ok = look_up(&b, &self->series, &self->learned, (u32)hour);
            PyThread_release_lock(self->lock);
        }
        if (ok && number(&b)) settle_news(&b);
        Py_END_ALLOW_THREADS
        result = b.error ? refuse(b.error) : body_object(&b);
    }
    body_free(&b);
    PyBuffer_Release(&view);
    return result;
}

static PyObject *cache_find(PyObject *object, PyObject *args) {
    Cache *self = (Cache *)object;
    Py_buffer hashes;
    long long hour;
    if (!PyArg_ParseTuple(args, "y*L", &hashes, &hour)) return NULL;
    PyObject *result = NULL;
    size_t count = (size_t)hashes.len / 16, touched_count = 0;
    i64 *ids = malloc((count + 1) * sizeof *ids), *touched = malloc((count + 1) * sizeof *touched);
    if (!ids || !touched) {
        PyErr_NoMemory();
    } else if (hour_fits(hour)) {
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->lock, WAIT_LOCK);
        for (size_t i = 0; i < count; i++) {
            Entry *e = table_find(&self->series, read_hash((const u8 *)hashes.buf + 16 * i));
            ids[i] = e ? e->id : -1;
            if (e && entry_use(e, (u32)hour)) touched[touched_count++] = e->id;
        }
        PyThread_release_lock(self->lock);
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("(NN)", column_object(ids, count), column_object(touched, touched_count));
    }
    free(ids);
    free(touched);
    PyBuffer_Release(&hashes);
    return result;
}

static PyObject *cache_put(PyObject *object, PyObject *args) {
    Cache *self = (Cache *)object;
    Py_buffer hashes, ids;
    long long hour;
    if (!PyArg_ParseTuple(args, "y*y*L", &hashes, &ids, &hour)) return NULL;
    bool ok = hour_fits(hour);
    if (ok && (hashes.len % 16 || hashes.len / 16 != ids.len / 8 || ids.len % 8)) {
        PyErr_SetString(PyExc_ValueError, "not as many ids as fingerprints");
        ok = false;
    }
    if (ok) {
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->lock, WAIT_LOCK);
        for (size_t i = 0; i < (size_t)ids.len / 8; i++)
            table_put(&self->series, read_hash((const u8 *)hashes.buf + 16 * i),
                      (i64)column(ids.buf, i), (u32)hour);
        PyThread_release_lock(self->lock);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&hashes);
    PyBuffer_Release(&ids);
    return ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *cache_learned(PyObject *object, PyObject *args) {
    Cache *self = (Cache *)object;
    Py_buffer hashes;
    if (!PyArg_ParseTuple(args, "y*", &hashes)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    for (size_t i = 0; i < (size_t)hashes.len / 16; i++)
        table_put(&self->learned, read_hash((const u8 *)hashes.buf + 16 * i), 0, 0);
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&hashes);
    return Py_NewRef(Py_None);
}

static bool among(const u8 *ids, size_t count, i64 id) {
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        i64 there = (i64)column(ids, middle);
        if (there == id) return true;
        if (there < id)
            low = middle + 1;
        else
            count = middle;
    }
    return false;
}

static PyObject *cache_forget(PyObject *object, PyObject *args) {
    Cache *self = (Cache *)object;
    Table *t = &self->series;
    Py_buffer ids; /* ascending */
    unsigned long long removed = 0;
    if (!PyArg_ParseTuple(args, "y*", &ids)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    for (u32 i = 0; ids.len && i < t->reached; i++) {
        Entry *e = &t->entries[i];
        if (e->hour_used == FREE || !among(ids.buf, (size_t)ids.len / 8, e->id)) continue;
        table_unlink(t, i);
        e->next = t->free;
        t->free = i + 1;
        removed++;
    }
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&ids);
    return PyLong_FromUnsignedLongLong(removed);
}

static PyObject *cache_clear(PyObject *object, PyObject *Py_UNUSED(none)) {
    Cache *self = (Cache *)object;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    table_clear(&self->series);
    table_clear(&self->learned);
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    return Py_NewRef(Py_None);
}

static PyObject *cache_counts(PyObject *object, PyObject *Py_UNUSED(none)) {
    Cache *self = (Cache *)object;
    u32 count;
    u64 evictions;
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(self->lock, WAIT_LOCK);
    count = self->series.count;
    evictions = self->series.evictions;
    PyThread_release_lock(self->lock);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(IK)", count, (unsigned long long)evictions);
}

#define SECRET_BYTES 72

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named)) {
    long long capacity;
    Py_buffer secret;
    if (!PyArg_ParseTuple(args, "Ly*", &capacity, &secret)) return NULL;
    Cache *self = NULL;
    if (capacity < 1 || capacity > MAX_CAPACITY || secret.len != SECRET_BYTES) {
        PyErr_SetString(PyExc_ValueError, "capacity is out of range");
    } else {
        allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        self = (Cache *)alloc(type, 0);
    }
    if (self) {
        const u8 *p = secret.buf;
        self->keys = (Keys){read_hash(p), read_hash(p + 16), read_hash(p + 32), read_hash(p + 48)};
        self->lock = PyThread_allocate_lock();
        if (!self->lock || !table_init(&self->series, (u32)capacity, load64(p + 64)) ||
            !table_init(&self->learned, MAX_LEARNED, load64(p + 64))) {
            Py_DECREF(self);
            self = NULL;
            PyErr_NoMemory();
        }
    }
    PyBuffer_Release(&secret);
    return (PyObject *)self;
}

static void cache_dealloc(PyObject *object) {
    Cache *self = (Cache *)object;
    PyTypeObject *type = Py_TYPE(object);
    table_free(&self->series);
    table_free(&self->learned);
    if (self->lock) PyThread_free_lock(self->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef cache_methods[] = {
    {"decode", cache_decode, METH_VARARGS, "A body's columns, as bytes, and the rest of it."},
    {"find", cache_find, METH_VARARGS, "Ids of fingerprints, and which of them had an older hour."},
    {"put", cache_put, METH_VARARGS, "Makes fingerprints known."},
    {"learned", cache_learned, METH_VARARGS, "Makes metadata known."},
    {"forget", cache_forget, METH_VARARGS, "Removes the entries of ascending ids; how many."},
    {"clear", cache_clear, METH_NOARGS, "Forgets everything."},
    {"counts", cache_counts, METH_NOARGS, "Entries, and evictions since the start."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cache_slots[] = {
    {Py_tp_new, (void *)cache_new},
    {Py_tp_dealloc, (void *)cache_dealloc},
    {Py_tp_methods, cache_methods},
    {Py_tp_doc, "Known label sets: Cache(capacity, 72 secret bytes)."},
    {0, NULL},
};

static PyType_Spec cache_spec = {
    .name = "ingest.remotewrite._kernel.Cache",
    .basicsize = sizeof(Cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cache_slots,
};

static PyObject *copy_rows(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer series, time, bits;
    if (!PyArg_ParseTuple(args, "y*y*y*", &series, &time, &bits)) return NULL;
    PyObject *bytes = NULL;
    Flush f;
    memset(&f, 0, sizeof f);
    if (series.len != time.len || series.len != bits.len || series.len % 8) {
        PyErr_SetString(PyExc_ValueError, "the columns are not of one length");
    } else {
        f.series = series.buf;
        f.time = time.buf;
        f.bits = bits.buf;
        f.count = (size_t)series.len / 8;
        bool ok;
        Py_BEGIN_ALLOW_THREADS
        ok = sort_flush(&f);
        Py_END_ALLOW_THREADS
        if (!ok)
            refuse(f.error);
        else
            bytes = PyBytes_FromStringAndSize(
                NULL, (Py_ssize_t)(COPY_HEADER_BYTES + ROW_BYTES * f.count + COPY_TRAILER_BYTES));
    }
    u8 *p = bytes ? (u8 *)PyBytes_AsString(bytes) : NULL;
    if (p) {
        Py_BEGIN_ALLOW_THREADS
        write_flush(&f, p);
        Py_END_ALLOW_THREADS
    }
    size_t count = f.count;
    flush_free(&f);
    PyBuffer_Release(&series);
    PyBuffer_Release(&time);
    PyBuffer_Release(&bits);
    return p ? Py_BuildValue("(Nn)", bytes, (Py_ssize_t)count) : NULL;
}

/* The set as Python has it; NULL with an error where a text is not UTF-8. */
static PyObject *labels_object(const LabelSet *set) {
    Py_ssize_t count = 0;
    for (u32 i = 0; i < set->count; i++) count += set->items[i].value.length > 0;
    PyObject *labels = PyTuple_New(count);
    Py_ssize_t at = 0;
    for (u32 i = 0; labels && i < set->count; i++) {
        const Label *label = &set->items[i];
        if (!label->value.length) continue;
        PyObject *pair = Py_BuildValue("(s#s#)", label->name.text, (Py_ssize_t)label->name.length,
                                       label->value.text, (Py_ssize_t)label->value.length);
        if (pair)
            PyTuple_SetItem(labels, at++, pair);
        else
            Py_CLEAR(labels);
    }
    return labels;
}

static PyObject *read_labels(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer body, places;
    long long start, stop;
    PyObject *symbols, *result = NULL;
    memset(&places, 0, sizeof places);
    if (!PyArg_ParseTuple(args, "y*LLO", &body, &start, &stop, &symbols)) return NULL;
    LabelSet set;
    set.count = 0;
    if (symbols != Py_None && PyObject_GetBuffer(symbols, &places, PyBUF_SIMPLE)) {
        PyBuffer_Release(&body);
        return NULL;
    }
    bool ok = 0 <= start && start <= stop && stop <= body.len && body.len <= INT32_MAX;
    if (ok)
        ok = places.obj ? read_labels2(&body, (u32)start, (u32)stop, &places, &set)
                        : read_labels1(body.buf, (u32)start, (u32)stop, &set);
    if (ok && has_metric_name(&set)) {
        result = labels_object(&set);
        if (!result && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) PyErr_Clear();
    }
    PyBuffer_Release(&body);
    if (places.obj) PyBuffer_Release(&places);
    return result || PyErr_Occurred() ? result : Py_NewRef(Py_None);
}

/* Writes each text with its length, or only counts the bytes; -1 with an error. */
static Py_ssize_t write_identity(PyObject *labels, u8 *p) {
    Py_ssize_t total = 0, length;
    for (Py_ssize_t i = 0; i < PyTuple_Size(labels); i++) {
        PyObject *pair = PyTuple_GetItem(labels, i);
        for (Py_ssize_t k = 0; k < 2; k++) {
            PyObject *text = pair ? PyTuple_GetItem(pair, k) : NULL;
            const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &length) : NULL;
            if (!utf8) return -1;
            if (length > INT32_MAX) {
                PyErr_SetString(PyExc_OverflowError, "a label is too long");
                return -1;
            }
            if (p) {
                for (int byte = 0; byte < 4; byte++) *p++ = (u8)(length >> (24 - 8 * byte));
                memcpy(p, utf8, (size_t)length);
                p += length;
            }
            total += 4 + length;
        }
    }
    return total;
}

static PyObject *identity_text(PyObject *Py_UNUSED(module), PyObject *labels) {
    if (!PyTuple_Check(labels)) {
        PyErr_SetString(PyExc_TypeError, "labels are a tuple");
        return NULL;
    }
    Py_ssize_t total = write_identity(labels, NULL);
    PyObject *bytes = total < 0 ? NULL : PyBytes_FromStringAndSize(NULL, total);
    u8 *p = bytes ? (u8 *)PyBytes_AsString(bytes) : NULL;
    if (p && write_identity(labels, p) != total) Py_CLEAR(bytes);
    return bytes;
}

/* As ckernel.py has it. */
#define INTERFACE 1

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &cache_spec, NULL);
    PyObject *limits = Py_BuildValue("{sIsIsIsIsIsIsIsLsL}", "LABELS", MAX_LABELS,
                                     "NAME_BYTES", MAX_NAME_BYTES, "VALUE_BYTES", MAX_VALUE_BYTES,
                                     "MESSAGES", MAX_MESSAGES, "SAMPLES",
                                     MAX_SAMPLES, "SYMBOLS", MAX_SYMBOLS, "MESSAGE_BYTES",
                                     MAX_MESSAGE_BYTES, "TIME_MIN_MS", (long long)TIME_MIN_MS,
                                     "TIME_MAX_MS", (long long)TIME_MAX_MS);
    int status = type && limits && !PyModule_AddObjectRef(module, "Cache", type) &&
                         !PyModule_AddObjectRef(module, "LIMITS", limits) &&
                         !PyModule_AddIntConstant(module, "INTERFACE", INTERFACE)
                     ? 0
                     : -1;
    Py_XDECREF(type);
    Py_XDECREF(limits);
    return status;
}

static PyMethodDef module_methods[] = {
    {"copy_rows", copy_rows, METH_VARARGS, "Columns (buffers of int64, int64, uint64) to COPY bytes."},
    {"read_labels", read_labels, METH_VARARGS, "A region's canonical label set, or None."},
    {"identity_text", identity_text, METH_O, "What an identity is the hash of."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "Remote-write bodies to columns, and columns to COPY bytes.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module_def); }
