#include "io/parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "io/parquet_internal.h"

#define MAGIC "PAR1"
#define MAGIC_ENCRYPTED "PARE"
#define TAIL_BYTES 8

struct ft_parquet {
    char *name;
    ft_parquet_source source;
    uint8_t *footer_bytes;
    ft_parquet_footer footer;
    ft_parquet_chunk *chunks;
    ft_parquet_rows_state state;
    int64_t group, group_rows_left, rows_left;  // group: from 0, -1 before the first
};

ft_status ft_parquet_source_read(const ft_parquet_source *source, int64_t at, void *bytes, size_t n)
{
    if (at < 0 || at > source->size || (int64_t)n > source->size - at)
        return ft_error(FT_E_INTERNAL, "a read outside the file");
    if (source->fd < 0) {
        if (n > 0) memcpy(bytes, source->bytes + at, n);
        return FT_OK;
    }
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(source->fd, (char *)bytes + done, n - done, at + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ft_error_errno(FT_E_IO, errno, "reading failed");
        if (got == 0) return ft_error(FT_E_INPUT, "the file became shorter while it was read");
        done += (size_t)got;
    }
    return FT_OK;
}

// Bytes of the footer, from the file's last eight.
static ft_status footer_size(const ft_parquet *file, uint32_t *size)
{
    char head[4], tail[TAIL_BYTES];
    int64_t bytes = file->source.size;
    if (bytes < 4 + TAIL_BYTES) return ft_error(FT_E_INPUT, "too short to be Parquet (%lld bytes)", (long long)bytes);
    FT_TRY(ft_parquet_source_read(&file->source, 0, head, 4));
    FT_TRY(ft_parquet_source_read(&file->source, bytes - TAIL_BYTES, tail, TAIL_BYTES));
    if (memcmp(tail + 4, MAGIC_ENCRYPTED, 4) == 0) return ft_error(FT_E_UNSUPPORTED, "an encrypted file");
    if (memcmp(head, MAGIC, 4) != 0) return ft_error(FT_E_INPUT, "not a Parquet file");
    if (memcmp(tail + 4, MAGIC, 4) != 0) return ft_error(FT_E_INPUT, "the end of a Parquet file is missing");
    memcpy(size, tail, 4);
    if (*size > bytes - 4 - TAIL_BYTES || *size > FT_PARQUET_FOOTER_MAX)
        return ft_error(FT_E_INPUT, "a footer of %u bytes in a file of %lld", *size, (long long)bytes);
    return FT_OK;
}

static ft_status read_footer(ft_parquet *file)
{
    uint32_t size = 0;
    FT_TRY(footer_size(file, &size));
    int64_t begin = file->source.size - TAIL_BYTES - size;
    file->footer_bytes = ft_malloc(size);
    FT_ALLOC_CHECK(file->footer_bytes);
    FT_TRY(ft_parquet_source_read(&file->source, begin, file->footer_bytes, size));
    return ft_parquet_footer_read(&file->footer, file->footer_bytes, size, begin);
}

static ft_status prepare_columns(ft_parquet *file)
{
    const ft_parquet_schema *schema = &file->footer.schema;
    file->chunks = FT_NEW_ARRAY(ft_parquet_chunk, schema->n_leaves);
    FT_ALLOC_CHECK(file->chunks);
    file->state.columns = FT_NEW_ARRAY(ft_parquet_column, schema->n_leaves);
    FT_ALLOC_CHECK(file->state.columns);
    for (int i = 0; i < schema->n_leaves; i++) {
        file->state.columns[i].source = &file->source;
        file->state.columns[i].leaf = &schema->nodes[schema->leaves[i]];
    }
    file->state.schema = schema;
    file->rows_left = file->footer.rows;
    return FT_OK;
}

// Takes the source's descriptor over, also on failure.
static ft_status open_source(ft_parquet **out, ft_parquet_source source, const char *name)
{
    ft_parquet *file = FT_NEW(ft_parquet);
    ft_status status = file ? FT_OK : FT_E_NOMEM;
    *out = NULL;
    if (file == NULL) {
        if (source.fd >= 0) close(source.fd);
        return status;
    }
    file->source = source;
    file->group = -1;
    file->name = ft_strdup(name);
    if (file->name == NULL) status = FT_E_NOMEM;
    if (status == FT_OK) status = read_footer(file);
    if (status == FT_OK) status = prepare_columns(file);
    if (status == FT_OK) *out = file;
    else ft_parquet_close(file);
    return status == FT_OK || status == FT_E_NOMEM ? status : ft_error_prefix(status, "%s", name);
}

ft_status ft_parquet_open(ft_parquet **file, const char *path)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *file = NULL;
    if (fd < 0) return ft_error_errno(FT_E_INPUT, errno, "%s: cannot be opened", path);
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        return open_source(file, (ft_parquet_source){.fd = fd, .size = about.st_size}, path);
    close(fd);
    return ft_error(FT_E_INPUT, "%s: not a file", path);
}

ft_status ft_parquet_open_memory(ft_parquet **file, const void *bytes, size_t n, const char *name)
{
    return open_source(file, (ft_parquet_source){.fd = -1, .bytes = bytes, .size = (int64_t)n}, name);
}

void ft_parquet_close(ft_parquet *file)
{
    if (file == NULL) return;
    for (int i = 0; file->state.columns != NULL && i < file->footer.schema.n_leaves; i++)
        ft_parquet_column_free(&file->state.columns[i]);
    ft_free(file->state.columns);
    ft_free(file->chunks);
    ft_parquet_schema_free(&file->footer.schema);
    ft_free(file->footer_bytes);
    if (file->source.fd >= 0) close(file->source.fd);
    ft_free(file->name);
    ft_free(file);
}

int64_t ft_parquet_rows(const ft_parquet *file)
{
    return file->footer.rows;
}

static ft_status begin_group(ft_parquet *file)
{
    if (file->footer.groups_left == 0)
        return ft_error(FT_E_INPUT, "the row groups have %lld rows fewer than the footer says", (long long)file->rows_left);
    FT_TRY(ft_parquet_group_read(&file->footer, file->chunks, &file->group_rows_left));
    if (file->group_rows_left > file->rows_left)
        return ft_error(FT_E_INPUT, "the row groups have more rows than the footer says");
    for (int i = 0; i < file->footer.schema.n_leaves; i++)
        ft_parquet_column_begin(&file->state.columns[i], &file->chunks[i]);
    return FT_OK;
}

// After its rows, a row group's columns hold nothing more.
static ft_status end_group(ft_parquet *file)
{
    for (int i = 0; i < file->footer.schema.n_leaves; i++) {
        ft_parquet_column *column = &file->state.columns[i];
        file->state.failed = i;
        FT_TRY(ft_parquet_column_peek(column));
        if (!column->ended) return ft_error(FT_E_INPUT, "it has more rows than the row group");
    }
    return FT_OK;
}

static ft_status in_column(const ft_parquet *file, ft_status status)
{
    if (status == FT_OK || status == FT_E_NOMEM) return status;
    const char *column = file->state.columns[file->state.failed].leaf->path;
    return ft_error_prefix(status, "%s: row group %lld, column %s", file->name, (long long)file->group, column);
}

static ft_status in_group(const ft_parquet *file, ft_status status)
{
    if (status == FT_OK || status == FT_E_NOMEM) return status;
    return ft_error_prefix(status, "%s: row group %lld", file->name, (long long)file->group);
}

ft_status ft_parquet_next(ft_parquet *file, json_t **row)
{
    *row = NULL;
    while (file->group_rows_left == 0 && (file->rows_left > 0 || file->footer.groups_left > 0)) {
        file->group++;
        FT_TRY(in_group(file, begin_group(file)));
    }
    if (file->rows_left == 0) return FT_OK;
    FT_TRY(in_column(file, ft_parquet_assemble(&file->state, row)));
    file->rows_left--;
    file->group_rows_left--;
    if (file->group_rows_left > 0) return FT_OK;
    ft_status status = in_column(file, end_group(file));
    if (status != FT_OK) json_decref(*row);
    if (status != FT_OK) *row = NULL;
    return status;
}
