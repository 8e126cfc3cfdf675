// The stripe table: how extents are cut and spread over drives, and stripes.bin (byte table in store.h).
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "io/hash.h"
#include "offload/store_internal.h"

#define TABLE_VERSION 1
#define TABLE_BYTES_MAX ((size_t)1 << 30)

typedef struct {
    char magic[8];
    uint32_t version, n_drives;
    uint64_t n, entries_hash;
    uint8_t zero[32];
} table_header;

typedef struct {
    uint32_t record, drive;
    uint64_t offset, hash;
    uint32_t bytes, index;
} table_entry;

_Static_assert(sizeof(table_header) == 64 && sizeof(table_entry) == 32, "stripes.bin");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stripes.bin is written as it lies in memory");

int64_t ft_extent_stripes(ft_extent extent)
{
    return (extent.bytes + FT_STRIPE_BYTES - 1) / FT_STRIPE_BYTES;
}

static int64_t count_stripes(const ft_layout *layout)
{
    int64_t n = 0;
    for (int r = 0; r < layout->n_records; r++)
        for (int g = 0; g < FT_GROUP_COUNT; g++) n += ft_extent_stripes(layout->record[r].extent[g]);
    return n;
}

static uint32_t emptiest_drive(const ft_stripe_table *table)
{
    uint32_t best = 0;
    for (int d = 1; d < table->n_drives; d++)
        if (table->drive_bytes[d] < table->drive_bytes[best]) best = (uint32_t)d;
    return best;
}

// Appends the stripes of one extent; returns the next index within the record.
static uint32_t cut_extent(ft_stripe_table *table, uint32_t record, uint32_t index, ft_extent extent)
{
    uint32_t drive = emptiest_drive(table);
    for (int64_t at = 0; at < extent.bytes; at += FT_STRIPE_BYTES) {
        int64_t bytes = extent.bytes - at < FT_STRIPE_BYTES ? extent.bytes - at : FT_STRIPE_BYTES;
        table->stripe[table->n++] = (ft_stripe){.record = record, .index = index++, .drive = drive, .bytes = (uint32_t)bytes,
                                                .offset = table->drive_bytes[drive], .record_offset = extent.offset + at};
        table->drive_bytes[drive] += bytes;
        drive = (drive + 1) % (uint32_t)table->n_drives;
    }
    return index;
}

ft_status ft_stripe_table_make(ft_stripe_table *table, const ft_layout *layout, int n_drives)
{
    *table = (ft_stripe_table){.n_drives = n_drives};
    table->stripe = FT_NEW_ARRAY(ft_stripe, count_stripes(layout));
    table->first = FT_NEW_ARRAY(int64_t, layout->n_records + 1);
    if (table->stripe == NULL || table->first == NULL) {
        ft_stripe_table_free(table);
        return FT_E_NOMEM;
    }
    for (int r = 0; r < layout->n_records; r++) {
        uint32_t index = 0;
        table->first[r] = table->n;
        for (int g = 0; g < FT_GROUP_COUNT; g++) index = cut_extent(table, (uint32_t)r, index, layout->record[r].extent[g]);
    }
    table->first[layout->n_records] = table->n;
    return FT_OK;
}

void ft_stripe_table_free(ft_stripe_table *table)
{
    ft_free(table->stripe);
    ft_free(table->first);
    *table = (ft_stripe_table){0};
}

ft_status ft_stripe_table_write(const ft_stripe_table *table, const char *path, uint64_t *hash)
{
    size_t bytes = sizeof(table_header) + (size_t)table->n * sizeof(table_entry);
    table_header *header = ft_calloc(1, bytes);
    FT_ALLOC_CHECK(header);
    table_entry *entry = (table_entry *)(header + 1);
    for (int64_t i = 0; i < table->n; i++) {
        const ft_stripe *stripe = &table->stripe[i];
        entry[i] = (table_entry){.record = stripe->record, .drive = stripe->drive, .offset = (uint64_t)stripe->offset,
                                 .hash = stripe->hash, .bytes = stripe->bytes, .index = stripe->index};
    }
    *header = (table_header){.magic = "FTSTRIPE", .version = TABLE_VERSION, .n_drives = (uint32_t)table->n_drives,
                             .n = (uint64_t)table->n, .entries_hash = ft_hash64(entry, (size_t)table->n * sizeof *entry)};
    *hash = ft_hash64(header, bytes);
    ft_status status = ft_commit_file(path, header, bytes);
    ft_free(header);
    return status;
}

static bool header_holds(const ft_stripe_table *table, const table_header *header, size_t bytes)
{
    size_t entries = (size_t)table->n * sizeof(table_entry);
    return bytes == sizeof *header + entries && memcmp(header->magic, "FTSTRIPE", 8) == 0 && header->version == TABLE_VERSION &&
           header->n_drives == (uint32_t)table->n_drives && header->n == (uint64_t)table->n &&
           header->entries_hash == ft_hash64(header + 1, entries);
}

static bool entry_holds(const ft_stripe_table *table, const ft_stripe *stripe, const table_entry *entry)
{
    if (entry->record != stripe->record || entry->index != stripe->index || entry->bytes != stripe->bytes) return false;
    if (entry->drive >= (uint32_t)table->n_drives || entry->offset % FT_IO_ALIGN != 0) return false;
    int64_t room = table->drive_bytes[entry->drive] - entry->bytes;
    return room >= 0 && entry->offset <= (uint64_t)room;
}

static ft_status take_entries(ft_stripe_table *table, const char *path, const char *data, size_t bytes, uint64_t hash)
{
    const table_header *header = (const table_header *)data;
    if (bytes < sizeof *header || ft_hash64(data, bytes) != hash || !header_holds(table, header, bytes))
        return ft_error(FT_E_CORRUPT, "%s is not the stripe table its manifest names: remove the store and prepare again", path);
    const table_entry *entry = (const table_entry *)(header + 1);
    for (int64_t i = 0; i < table->n; i++) {
        ft_stripe *stripe = &table->stripe[i];
        if (!entry_holds(table, stripe, &entry[i]))
            return ft_error(FT_E_CORRUPT, "%s: entry %lld contradicts the model's layout: remove the store and prepare again", path,
                            (long long)i);
        stripe->drive = entry[i].drive;
        stripe->offset = (int64_t)entry[i].offset;
        stripe->hash = entry[i].hash;
    }
    return FT_OK;
}

ft_status ft_stripe_table_read(ft_stripe_table *table, const char *path, uint64_t hash)
{
    char *data;
    size_t bytes;
    ft_status status = ft_file_read(path, TABLE_BYTES_MAX, &data, &bytes);
    if (status == FT_E_NOT_FOUND) return ft_error(FT_E_CORRUPT, "%s is missing: remove the store and prepare again", path);
    FT_TRY(status);
    status = take_entries(table, path, data, bytes, hash);
    ft_free(data);
    return status;
}
