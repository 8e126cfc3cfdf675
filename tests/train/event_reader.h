// Reads event files back: records with their checksums, and the part of the protocol buffers that event_file.c writes.
#ifndef FT_TESTS_TRAIN_EVENT_READER_H
#define FT_TESTS_TRAIN_EVENT_READER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/event_file.h"

typedef struct {
    char tag[FT_EVENT_TAG_BYTES];
    float value;
    char *text;          // NULL: a scalar
} read_value;

typedef struct {
    double time;
    int64_t step, session;  // session: status, 0 = none
    char version[32];
    read_value values[FT_EVENT_SCALARS];
    int n;
} read_event;

typedef struct {
    read_event *events;
    int n;
} read_events;

typedef struct {
    const uint8_t *at, *end;
} span;

static inline uint64_t read_integer(span *s, int bytes)
{
    uint64_t value = 0;
    assert_true(s->end - s->at >= bytes);
    for (int i = 0; i < bytes; i++) value |= (uint64_t)*s->at++ << 8 * i;
    return value;
}

static inline uint64_t read_varint(span *s)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(s->at < s->end && shift < 64);
        value |= (uint64_t)(*s->at & 127) << shift;
        if (*s->at++ < 128) return value;
    }
}

// The next field: its number, and its value as a number or as bytes.
static inline int read_field(span *s, uint64_t *number, span *bytes)
{
    uint64_t key = read_varint(s);
    *bytes = (span){0};
    switch (key & 7) {
    case 0: *number = read_varint(s); break;
    case 1: *number = read_integer(s, 8); break;
    case 5: *number = read_integer(s, 4); break;
    case 2:
        *number = read_varint(s);
        assert_true(*number <= (uint64_t)(s->end - s->at));
        *bytes = (span){s->at, s->at + *number};
        s->at += *number;
        break;
    default: fail_msg("field of kind %d", (int)(key & 7));
    }
    return (int)(key >> 3);
}

static inline void read_string(span bytes, char *out, size_t size)
{
    size_t n = (size_t)(bytes.end - bytes.at);
    assert_true(n < size);
    memcpy(out, bytes.at, n);
    out[n] = 0;
}

static inline void read_tensor(span s, read_value *value)
{
    uint64_t number;
    span bytes;
    while (s.at < s.end) {
        int field = read_field(&s, &number, &bytes);
        if (field == 1) assert_int_equal(number, 7);
        if (field == 8) value->text = ft_strndup((const char *)bytes.at, (size_t)(bytes.end - bytes.at));
    }
    assert_non_null(value->text);
}

static inline void read_summary_value(span s, read_value *value)
{
    uint64_t number;
    span bytes;
    while (s.at < s.end) {
        int field = read_field(&s, &number, &bytes);
        uint32_t bits = (uint32_t)number;
        if (field == 1) read_string(bytes, value->tag, sizeof value->tag);
        if (field == 2) memcpy(&value->value, &bits, sizeof bits);
        if (field == 8) read_tensor(bytes, value);
    }
}

static inline void read_summary(span s, read_event *event)
{
    uint64_t number;
    span bytes;
    while (s.at < s.end) {
        assert_int_equal(read_field(&s, &number, &bytes), 1);
        assert_true(event->n < FT_EVENT_SCALARS);
        read_summary_value(bytes, &event->values[event->n++]);
    }
}

static inline void read_one(span s, read_event *event)
{
    uint64_t number;
    span bytes, session;
    while (s.at < s.end) {
        int field = read_field(&s, &number, &bytes);
        if (field == 1) memcpy(&event->time, &number, sizeof number);
        else if (field == 2) event->step = (int64_t)number;
        else if (field == 3) read_string(bytes, event->version, sizeof event->version);
        else if (field == 5) read_summary(bytes, event);
        else if (field == 7) {
            session = bytes;
            assert_int_equal(read_field(&session, (uint64_t *)&event->session, &bytes), 1);
        } else fail_msg("field %d of an event", field);
    }
}

static inline read_events read_event_file(const char *path)
{
    read_events all = {0};
    char *data;
    size_t bytes;
    if (ft_file_read(path, 1 << 24, &data, &bytes) != FT_OK) fail_msg("%s", ft_error_message());
    span file = {(const uint8_t *)data, (const uint8_t *)data + bytes};
    while (file.at < file.end) {
        const uint8_t *start = file.at;
        uint64_t length = read_integer(&file, 8);
        assert_int_equal(read_integer(&file, 4), ft_crc32c_masked(start, 8));
        assert_true(length <= (uint64_t)(file.end - file.at));
        span event = {file.at, file.at + length};
        file.at += length;
        assert_int_equal(read_integer(&file, 4), ft_crc32c_masked(event.at, length));
        all.events = realloc(all.events, (size_t)(all.n + 1) * sizeof *all.events);
        assert_non_null(all.events);
        all.events[all.n] = (read_event){0};
        read_one(event, &all.events[all.n++]);
    }
    ft_free(data);
    return all;
}

// The value of a tag at a step; there must be exactly one.
static inline float read_scalar(const read_events *all, int64_t step, const char *tag)
{
    const read_value *found = NULL;
    for (int i = 0; i < all->n; i++)
        for (int v = 0; all->events[i].step == step && v < all->events[i].n; v++) {
            if (strcmp(all->events[i].values[v].tag, tag) != 0) continue;
            if (found) fail_msg("%s stands twice at step %lld", tag, (long long)step);
            found = &all->events[i].values[v];
        }
    if (found == NULL) fail_msg("no %s at step %lld", tag, (long long)step);
    return found->value;
}

static inline void read_events_free(read_events *all)
{
    for (int i = 0; i < all->n; i++)
        for (int v = 0; v < all->events[i].n; v++) ft_free(all->events[i].values[v].text);
    free(all->events);
    *all = (read_events){0};
}

#endif
