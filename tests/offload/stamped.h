// A store without a model: records whose every 8-byte word says which word of which record it is, striped over drives with real
// hashes. What the streamer delivers can be told from what it should have delivered, word by word.
#ifndef TESTS_OFFLOAD_STAMPED_H
#define TESTS_OFFLOAD_STAMPED_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hash.h"
#include "offload/store.h"

#define STAMPED __attribute__((unused)) static
#define STAMPED_LAYERS_MAX 64
#define STAMPED_BLOCK 4096
#define ok(call) assert_ok((call), #call, __LINE__)

STAMPED void assert_ok(ft_status status, const char *call, int line)
{
    if (status != FT_OK) fail_msg("line %d: %s: %d, %s", line, call, status, ft_error_message());
}

typedef struct {
    int layers, drives;
    int64_t group_bytes;  // about what each matrix group of a layer takes; a multiple of 4 KiB
    bool uneven;          // extents and records of different sizes
    bool tied;
    int64_t vocab, hidden;  // of the embedding, bf16; 0 = 64 x 2048
    const char *engine;
    int depth;            // requests in flight per drive, 0 = the drive's default
} stamped_options;

typedef struct {
    stamped_options options;
    char directory[256];
    ft_record record[STAMPED_LAYERS_MAX + 2];
    ft_store store;
} stamped_store;

// Word `at / 8` of a record. The first two words of a block are readable in a dump.
STAMPED uint64_t stamped_word(int record, int64_t at)
{
    if (at % STAMPED_BLOCK == 0) return (uint64_t)record << 32 | 0x57A4;
    if (at % STAMPED_BLOCK == 8) return (uint64_t)at;
    uint64_t x = ((uint64_t)record + 1) * 0x9E3779B97F4A7C15u + (uint64_t)at * 0xD1B54A32D192ED03u;
    return x ^ x >> 31;
}

STAMPED void stamped_fill(char *dst, int record, int64_t begin, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 8) {
        uint64_t word = stamped_word(record, begin + at);
        memcpy(dst + at, &word, 8);
    }
}

STAMPED void stamped_check(const char *data, int record, int64_t begin, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
        if (word != stamped_word(record, begin + at))
            fail_msg("record %d, byte %lld: %016llx instead of %016llx", record, (long long)(begin + at), (unsigned long long)word,
                     (unsigned long long)stamped_word(record, begin + at));
    }
}

STAMPED int64_t stamped_round(int64_t bytes)
{
    return (bytes + STAMPED_BLOCK - 1) / STAMPED_BLOCK * STAMPED_BLOCK;
}

// A layer's extents. Uneven ones shift from layer to layer, and some layers lack the o group.
STAMPED void stamped_layer(stamped_store *m, int layer)
{
    ft_record *record = &m->record[layer];
    *record = (ft_record){.kind = FT_RECORD_LAYER, .layer = layer};
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        int64_t bytes = group == FT_GROUP_SMALL ? STAMPED_BLOCK : m->options.group_bytes;
        if (m->options.uneven && group != FT_GROUP_SMALL) bytes = stamped_round(bytes * (1 + (layer * 5 + group * 3) % 4) / 2);
        if (m->options.uneven && group == FT_GROUP_O && layer % 3 == 1) bytes = 0;
        record->extent[group] = (ft_extent){.offset = record->bytes, .bytes = bytes};
        record->bytes += bytes;
    }
}

STAMPED void stamped_globals(stamped_store *m)
{
    int layers = m->options.layers;
    int64_t vocab = m->options.vocab ? m->options.vocab : 64, hidden = m->options.hidden ? m->options.hidden : 2048;
    ft_record *embed = &m->record[layers], *head = &m->record[layers + 1];
    *embed = (ft_record){.kind = FT_RECORD_EMBED, .layer = -1, .bytes = stamped_round(vocab * hidden * 2), .n_tensors = 1};
    embed->tensor[0] = (ft_record_tensor){.role = FT_ROLE_EMBED, .n_parts = 1, .group = FT_GROUP_SMALL, .dtype = FT_DTYPE_BF16,
                                          .rows = vocab, .cols = hidden, .codes_bytes = vocab * hidden * 2, .scales = -1, .scales_t = -1};
    embed->extent[FT_GROUP_SMALL] = (ft_extent){.bytes = embed->bytes};
    *head = (ft_record){.kind = FT_RECORD_HEAD, .layer = -1, .bytes = 3 * STAMPED_BLOCK};
    head->extent[FT_GROUP_SMALL] = (ft_extent){.bytes = head->bytes};
}

// The table: every extent in stripes of 4 MiB, dealt to the drives in turn.
STAMPED void stamped_stripe(stamped_store *m, ft_stripe *stripe, int64_t *n, int64_t end[FT_MAX_DRIVES], int record)
{
    uint32_t index = 0;
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        const ft_extent *extent = &m->record[record].extent[group];
        for (int64_t at = 0; at < extent->bytes; at += FT_STRIPE_BYTES) {
            int64_t rest = extent->bytes - at;
            uint32_t bytes = (uint32_t)(rest < FT_STRIPE_BYTES ? rest : FT_STRIPE_BYTES), drive = (uint32_t)(*n % m->options.drives);
            stripe[(*n)++] = (ft_stripe){.record = (uint32_t)record, .index = index++, .drive = drive, .bytes = bytes,
                                         .offset = end[drive], .record_offset = extent->offset + at};
            end[drive] += bytes;
        }
    }
}

STAMPED void stamped_table(stamped_store *m)
{
    ft_store *store = &m->store;
    int64_t end[FT_MAX_DRIVES] = {0}, most = 0;
    for (int i = 0; i < store->layout.n_records; i++) most += FT_GROUP_COUNT + m->record[i].bytes / FT_STRIPE_BYTES;
    store->stripe = FT_NEW_ARRAY(ft_stripe, most);
    store->first_stripe = FT_NEW_ARRAY(int64_t, store->layout.n_records + 1);
    for (int i = 0; i < store->layout.n_records; i++) {
        stamped_stripe(m, store->stripe, &store->n_stripes, end, i);
        store->first_stripe[i + 1] = store->n_stripes;
    }
    store->verified = FT_NEW_ARRAY(uint8_t, store->n_stripes);
}

STAMPED void stamped_drive_path(const stamped_store *m, int drive, const char *file, char path[512])
{
    snprintf(path, 512, "%s/drive%d%s%s", m->directory, drive, *file ? "/" : "", file);
}

STAMPED void stamped_write(stamped_store *m)
{
    FILE *file[FT_MAX_DRIVES];
    char path[512], *data = malloc(FT_STRIPE_BYTES);
    for (int d = 0; d < m->options.drives; d++) {
        stamped_drive_path(m, d, "", path);
        ok(ft_make_directories(path));
        stamped_drive_path(m, d, "data", path);
        assert_non_null(file[d] = fopen(path, "wb"));
    }
    for (int64_t i = 0; i < m->store.n_stripes; i++) {
        ft_stripe *stripe = &m->store.stripe[i];
        stamped_fill(data, (int)stripe->record, stripe->record_offset, stripe->bytes);
        stripe->hash = ft_hash64(data, stripe->bytes);
        assert_int_equal(fwrite(data, 1, stripe->bytes, file[stripe->drive]), stripe->bytes);
    }
    for (int d = 0; d < m->options.drives; d++) assert_int_equal(fclose(file[d]), 0);
    free(data);
}

STAMPED void stamped_open_drives(stamped_store *m)
{
    char path[512];
    ft_drive_options io = {.engine = m->options.engine ? m->options.engine : "auto", .depth = m->options.depth};
    m->store.n_drives = m->options.drives;
    for (int d = 0; d < m->options.drives; d++) {
        stamped_drive_path(m, d, "", path);
        ok(ft_drive_open(&m->store.drive[d], path, &io));
        ok(ft_drive_open_file(m->store.drive[d], "data", false, &m->store.file[d]));
    }
}

STAMPED void stamped_store_open(stamped_store *m, const stamped_options *options)
{
    *m = (stamped_store){.options = *options};
    assert_true(options->layers <= STAMPED_LAYERS_MAX);
    const char *root = getenv("TMPDIR");
    snprintf(m->directory, sizeof m->directory, "%s/ft-test-XXXXXX", root && *root ? root : "/tmp");
    assert_non_null(mkdtemp(m->directory));
    for (int i = 0; i < options->layers; i++) stamped_layer(m, i);
    stamped_globals(m);
    ft_layout *layout = &m->store.layout;
    *layout = (ft_layout){.record = m->record, .n_records = options->layers + 2};
    layout->shape.layers = options->layers;
    layout->shape.tied = options->tied;
    for (int i = 0; i < layout->n_records; i++) layout->bytes += m->record[i].bytes;
    for (int i = 0; i < options->layers; i++)
        if (m->record[i].bytes > layout->layer_bytes_max) layout->layer_bytes_max = m->record[i].bytes;
    stamped_table(m);
    stamped_write(m);
    stamped_open_drives(m);
}

STAMPED void stamped_store_close(stamped_store *m)
{
    for (int d = 0; d < m->store.n_drives; d++) ft_drive_close(m->store.drive[d]);
    ft_free(m->store.stripe);
    ft_free(m->store.first_stripe);
    ft_free(m->store.verified);
    ok(ft_remove_tree(m->directory));
}

#endif
