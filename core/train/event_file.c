// The bytes of an event file. Integers and floats are little-endian.
//
// A file is records, back to back (TensorFlow's TFRecord, tsl/lib/io/record_writer.h):
//   8   length of the data
//   4   masked CRC-32C of those 8 bytes
//   n   data: one Event
//   4   masked CRC-32C of the data
// with mask(c) = rotate_right(c, 15) + 0xa282ead8.
//
// The data is a protocol buffer (tensorflow/core/util/event.proto, tensorflow/core/framework/{summary,tensor,tensor_shape}.proto):
// fields of key = number << 3 | kind as a varint, then by kind: 0 varint, 1 eight bytes, 2 varint length and bytes, 5 four bytes.
//   Event            1 wall_time double   2 step int64   3 file_version string   5 summary Summary   7 session_log SessionLog
//   SessionLog       1 status: 1 = START: events of this step and later that were read before are void
//   Summary          1 value Value, any number
//   Value            1 tag string   2 simple_value float   8 tensor TensorProto   9 metadata SummaryMetadata
//   SummaryMetadata  1 plugin_data {1 plugin_name string}   4 data_class: 2 = TENSOR
//   TensorProto      1 dtype: 7 = DT_STRING   2 tensor_shape: empty = rank 0   8 string_val bytes
// The first event of a file has file_version "brain.Event:2".
#include "train/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

enum {
    HEADER_BYTES = 12,
    FOOTER_BYTES = 4,
    KEYS_BYTES = 192,                        // keys, lengths and numbers around what an event carries, at most
    SCALAR_BYTES = FT_EVENT_TAG_BYTES + 24,  // tag and value with their keys, and the key and widest length around both
    RECORD_BYTES = KEYS_BYTES + FT_EVENT_SCALARS * SCALAR_BYTES,
};
enum { KIND_VARINT = 0, KIND_8_BYTES = 1, KIND_BYTES = 2, KIND_4_BYTES = 5 };
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SESSION_STATUS = 1, SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN = 1, METADATA_CLASS = 4, PLUGIN_NAME = 1, TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_STRING = 8 };
enum { SESSION_START = 1, CLASS_TENSOR = 2, TYPE_STRING = 7 };

struct ft_event_file {
    int fd;
    char *path;
    uint8_t record[RECORD_BYTES];  // of scalars
};

// Half a byte at a time: an event is some hundred bytes.
uint32_t ft_crc32c(const void *data, size_t bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    uint32_t crc = ~0u;
    for (const uint8_t *byte = data, *end = byte + bytes; byte < end; byte++) {
        crc ^= *byte;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t ft_crc32c_masked(const void *data, size_t bytes)
{
    uint32_t crc = ft_crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

// A message under way. The memory behind it is large enough: put() asserts it.
typedef struct {
    uint8_t *at, *end;
} message;

static void put(message *m, const void *bytes, size_t n)
{
    FT_ASSERT(n <= (size_t)(m->end - m->at), "an event is larger than its buffer");
    memcpy(m->at, bytes, n);
    m->at += n;
}

static void put_integer(message *m, uint64_t value, int bytes)
{
    uint8_t text[8];
    for (int i = 0; i < bytes; i++) text[i] = (uint8_t)(value >> 8 * i);
    put(m, text, (size_t)bytes);
}

static void put_varint(message *m, uint64_t value)
{
    uint8_t byte;
    do {
        byte = (uint8_t)(value & 127) | (value > 127 ? 128 : 0);
        put(m, &byte, 1);
    } while (value >>= 7);
}

static void put_key(message *m, int field, int kind)
{
    put_varint(m, (uint64_t)(field << 3 | kind));
}

static void put_number(message *m, int field, int64_t value)
{
    put_key(m, field, KIND_VARINT);
    put_varint(m, (uint64_t)value);
}

static void put_double(message *m, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, KIND_8_BYTES);
    put_integer(m, bits, 8);
}

static void put_float(message *m, int field, double value)
{
    float number = (float)value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_key(m, field, KIND_4_BYTES);
    put_integer(m, bits, 4);
}

static void put_bytes(message *m, int field, const void *bytes, size_t n)
{
    put_key(m, field, KIND_BYTES);
    put_varint(m, n);
    put(m, bytes, n);
}

static void put_string(message *m, int field, const char *text)
{
    put_bytes(m, field, text, strlen(text));
}

// A message within another. Its length stands before it and is known after it: it begins after the widest length there is and is
// moved to the end of its own.
enum { WIDEST_LENGTH = 10 };
typedef struct {
    uint8_t *length, *first;
} nested;

static nested open_nested(message *m, int field)
{
    put_key(m, field, KIND_BYTES);
    nested n = {.length = m->at, .first = m->at + WIDEST_LENGTH};
    FT_ASSERT(n.first <= m->end, "an event is larger than its buffer");
    m->at = n.first;
    return n;
}

static void close_nested(message *m, nested n)
{
    size_t bytes = (size_t)(m->at - n.first);
    m->at = n.length;
    put_varint(m, bytes);
    memmove(m->at, n.first, bytes);
    m->at += bytes;
}

static message begin(uint8_t *record, size_t bytes, double time, int64_t step)
{
    message m = {.at = record + HEADER_BYTES, .end = record + bytes - FOOTER_BYTES};
    put_double(&m, EVENT_TIME, time);
    put_number(&m, EVENT_STEP, step);
    return m;
}

static ft_status finish(ft_event_file *file, uint8_t *record, message m)
{
    size_t bytes = (size_t)(m.at - record) - HEADER_BYTES;
    message header = {record, record + HEADER_BYTES}, footer = {m.at, m.at + FOOTER_BYTES};
    put_integer(&header, bytes, 8);
    put_integer(&header, ft_crc32c_masked(record, 8), 4);
    put_integer(&footer, ft_crc32c_masked(record + HEADER_BYTES, bytes), 4);
    size_t all = (size_t)(footer.at - record);
    ssize_t written = write(file->fd, record, all);
    if (written == (ssize_t)all) return FT_OK;
    return ft_error_errno(FT_E_IO, written < 0 ? errno : ENOSPC, "%s: cannot be written", file->path);
}

static ft_status write_version(ft_event_file *file, double time)
{
    message m = begin(file->record, RECORD_BYTES, time, 0);
    put_string(&m, EVENT_VERSION, "brain.Event:2");
    return finish(file, file->record, m);
}

static ft_status write_start(ft_event_file *file, double time)
{
    message m = begin(file->record, RECORD_BYTES, time, 0);
    nested session = open_nested(&m, EVENT_SESSION);
    put_number(&m, SESSION_STATUS, SESSION_START);
    close_nested(&m, session);
    return finish(file, file->record, m);
}

ft_status ft_event_file_create(ft_event_file **out, const char *path, double time)
{
    ft_event_file *file = FT_NEW(ft_event_file);
    FT_ALLOC_CHECK(file);
    file->path = ft_strdup(path);
    file->fd = file->path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
    ft_status status = file->path == NULL ? FT_E_NOMEM : file->fd < 0 ? ft_error_errno(FT_E_IO, errno, "%s: cannot be created", path) : FT_OK;
    if (status == FT_OK) status = write_version(file, time);
    if (status == FT_OK) status = write_start(file, time);
    if (status == FT_OK) *out = file;
    else ft_event_file_close(file);
    return status;
}

ft_status ft_event_file_scalars(ft_event_file *file, double time, int64_t step, const ft_event_scalar *scalars, int n)
{
    FT_ASSERT(n <= FT_EVENT_SCALARS, "%d scalars in an event", n);
    message m = begin(file->record, RECORD_BYTES, time, step);
    nested summary = open_nested(&m, EVENT_SUMMARY);
    for (int i = 0; i < n; i++) {
        nested value = open_nested(&m, SUMMARY_VALUE);
        put_string(&m, VALUE_TAG, scalars[i].tag);
        put_float(&m, VALUE_SIMPLE, scalars[i].value);
        close_nested(&m, value);
    }
    close_nested(&m, summary);
    return finish(file, file->record, m);
}

static void put_metadata(message *m)
{
    nested metadata = open_nested(m, VALUE_METADATA), plugin = open_nested(m, METADATA_PLUGIN);
    put_string(m, PLUGIN_NAME, "text");
    close_nested(m, plugin);
    put_number(m, METADATA_CLASS, CLASS_TENSOR);
    close_nested(m, metadata);
}

// One string.
static void put_tensor(message *m, const char *text)
{
    nested tensor = open_nested(m, VALUE_TENSOR);
    put_number(m, TENSOR_TYPE, TYPE_STRING);
    put_bytes(m, TENSOR_SHAPE, "", 0);
    put_string(m, TENSOR_STRING, text);
    close_nested(m, tensor);
}

ft_status ft_event_file_text(ft_event_file *file, double time, int64_t step, const char *tag, const char *text)
{
    size_t bytes = KEYS_BYTES + strlen(tag) + strlen(text);
    uint8_t *record = ft_malloc(bytes);
    FT_ALLOC_CHECK(record);
    message m = begin(record, bytes, time, step);
    nested summary = open_nested(&m, EVENT_SUMMARY), value = open_nested(&m, SUMMARY_VALUE);
    put_string(&m, VALUE_TAG, tag);
    put_metadata(&m);
    put_tensor(&m, text);
    close_nested(&m, value);
    close_nested(&m, summary);
    ft_status status = finish(file, record, m);
    ft_free(record);
    return status;
}

const char *ft_event_file_path(const ft_event_file *file)
{
    return file->path;
}

ft_status ft_event_file_close(ft_event_file *file)
{
    if (file == NULL) return FT_OK;
    ft_status status = FT_OK;
    if (file->fd >= 0 && close(file->fd) != 0) status = ft_error_errno(FT_E_IO, errno, "%s", file->path);
    ft_free(file->path);
    ft_free(file);
    return status;
}
