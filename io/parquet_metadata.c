// The structs of parquet.thrift: FileMetaData, RowGroup, ColumnChunk, PageHeader. The numbers are its field ids.
#include "io/parquet_internal.h"

static ft_status not_thrift(const char *what)
{
    return ft_error(FT_E_INPUT, "%s cannot be read (is the file whole?)", what);
}

static ft_status encrypted(void)
{
    return ft_error(FT_E_UNSUPPORTED, "an encrypted file");
}

// Row groups are kept as they are and read when their turn comes; here they are only skipped.
static ft_status keep_groups(ft_parquet_footer *footer, ft_thrift *t, const ft_thrift_field *field)
{
    if (footer->groups.at != NULL) return not_thrift("the footer");
    footer->groups_left = ft_thrift_structs(t, field);
    footer->groups = *t;
    for (size_t i = 0; i < footer->groups_left && !t->bad; i++) ft_thrift_skip_struct(t);
    return FT_OK;
}

static ft_status read_field(ft_parquet_footer *footer, ft_thrift *t, const ft_thrift_field *field)
{
    switch (field->id) {
    case 2: return ft_parquet_schema_read(&footer->schema, t, field);
    case 3: footer->rows = ft_thrift_int(t, field); return FT_OK;
    case 4: return keep_groups(footer, t, field);
    case 8: return encrypted();
    default: ft_thrift_skip(t, field); return FT_OK;
    }
}

ft_status ft_parquet_footer_read(ft_parquet_footer *footer, const uint8_t *bytes, size_t n, int64_t data_end)
{
    ft_thrift t = {.at = bytes, .end = bytes + n};
    ft_thrift_field field = {0};
    *footer = (ft_parquet_footer){.rows = -1, .data_end = data_end};
    while (ft_thrift_next(&t, &field)) {
        ft_status status = read_field(footer, &t, &field);
        if (status == FT_OK) continue;
        ft_parquet_schema_free(&footer->schema);
        return status;
    }
    if (!t.bad && footer->schema.n > 0 && footer->rows >= 0 && footer->groups.at != NULL) return FT_OK;
    ft_parquet_schema_free(&footer->schema);
    return not_thrift("the footer");
}

// ColumnMetaData, with what it says about places still unchecked.
typedef struct {
    ft_parquet_chunk chunk;
    int64_t data_page, dictionary_page, size;
    bool elsewhere, encrypted, present;
} chunk_fields;

static void read_chunk_metadata(chunk_fields *c, ft_thrift *t, const ft_thrift_field *outer)
{
    ft_thrift_field field = {0};
    if (!ft_thrift_struct(t, outer)) return;
    c->present = true;
    while (ft_thrift_next(t, &field)) {
        switch (field.id) {
        case 1: c->chunk.type = ft_thrift_i32(t, &field); break;
        case 4: c->chunk.codec = ft_thrift_i32(t, &field); break;
        case 5: c->chunk.values = ft_thrift_int(t, &field); break;
        case 7: c->size = ft_thrift_int(t, &field); break;
        case 9: c->data_page = ft_thrift_int(t, &field); break;
        case 11: c->dictionary_page = ft_thrift_int(t, &field); break;
        default: ft_thrift_skip(t, &field);
        }
    }
}

static void read_chunk(chunk_fields *c, ft_thrift *t)
{
    ft_thrift_field field = {0};
    *c = (chunk_fields){.chunk = {.type = -1, .codec = -1, .values = -1}, .size = -1};
    while (ft_thrift_next(t, &field)) {
        if (field.id == 1) c->elsewhere = ft_thrift_binary(t, &field).n > 0;
        else if (field.id == 3) read_chunk_metadata(c, t, &field);
        else ft_thrift_skip(t, &field);
        c->encrypted = c->encrypted || field.id == 8;
    }
}

// A dictionary, where there is one, comes first; some writers say 0 for none.
static ft_status check_chunk(chunk_fields *c, const ft_parquet_footer *footer, const ft_parquet_node *leaf)
{
    int64_t begin = c->data_page, end;
    if (c->dictionary_page > 0 && c->dictionary_page < begin) begin = c->dictionary_page;
    if (c->encrypted || !c->present) return c->encrypted ? encrypted() : not_thrift("a column chunk of the footer");
    if (c->elsewhere) return ft_error(FT_E_UNSUPPORTED, "column %s: its data lies in another file", leaf->path);
    if (c->chunk.type != leaf->type)
        return ft_error(FT_E_INPUT, "column %s: type %d in the schema, %d in a row group", leaf->path, leaf->type, c->chunk.type);
    ft_status status = ft_parquet_codec_check(c->chunk.codec);
    if (status != FT_OK) return ft_error_prefix(status, "column %s", leaf->path);
    if (c->chunk.values == 0) return FT_OK;  // nothing is read, and writers give no place
    bool outside = c->size < 0 || begin < 4 || __builtin_add_overflow(begin, c->size, &end) || end > footer->data_end;
    if (c->chunk.values < 0) return ft_error(FT_E_INPUT, "column %s: %lld values", leaf->path, (long long)c->chunk.values);
    if (outside)
        return ft_error(FT_E_INPUT, "column %s: its %lld bytes at byte %lld lie outside the file's data", leaf->path,
                        (long long)c->size, (long long)begin);
    c->chunk.begin = begin;
    c->chunk.end = end;
    return FT_OK;
}

static ft_status read_chunks(ft_parquet_footer *footer, const ft_thrift_field *field, ft_parquet_chunk *chunks)
{
    const ft_parquet_schema *schema = &footer->schema;
    size_t n = ft_thrift_structs(&footer->groups, field);
    if (footer->groups.bad || n != (size_t)schema->n_leaves)
        return ft_error(FT_E_INPUT, "a row group has %zu columns, the schema %d", n, schema->n_leaves);
    for (size_t i = 0; i < n; i++) {
        chunk_fields c;
        read_chunk(&c, &footer->groups);
        if (footer->groups.bad) return not_thrift("a row group of the footer");
        FT_TRY(check_chunk(&c, footer, &schema->nodes[schema->leaves[i]]));
        chunks[i] = c.chunk;
    }
    return FT_OK;
}

ft_status ft_parquet_group_read(ft_parquet_footer *footer, ft_parquet_chunk *chunks, int64_t *rows)
{
    ft_thrift *t = &footer->groups;
    ft_thrift_field field = {0};
    bool columns = false;
    *rows = -1;
    footer->groups_left--;
    while (ft_thrift_next(t, &field)) {
        if (field.id == 1) FT_TRY(read_chunks(footer, &field, chunks));
        else if (field.id == 3) *rows = ft_thrift_int(t, &field);
        else ft_thrift_skip(t, &field);
        columns = columns || field.id == 1;
    }
    return t->bad || !columns || *rows < 0 ? not_thrift("a row group of the footer") : FT_OK;
}

// DataPageHeader and DictionaryPageHeader number what they share alike.
static void read_page_v1(ft_parquet_page_header *header, ft_thrift *t, const ft_thrift_field *outer)
{
    ft_thrift_field field = {0};
    if (!ft_thrift_struct(t, outer)) return;
    while (ft_thrift_next(t, &field)) {
        if (field.id == 1) header->values = ft_thrift_i32(t, &field);
        else if (field.id == 2) header->encoding = ft_thrift_i32(t, &field);
        else if (field.id == 3 && outer->id == 5) header->def_encoding = ft_thrift_i32(t, &field);
        else if (field.id == 4 && outer->id == 5) header->rep_encoding = ft_thrift_i32(t, &field);
        else ft_thrift_skip(t, &field);
    }
}

static void read_page_v2(ft_parquet_page_header *header, ft_thrift *t, const ft_thrift_field *outer)
{
    ft_thrift_field field = {0};
    if (!ft_thrift_struct(t, outer)) return;
    while (ft_thrift_next(t, &field)) {
        switch (field.id) {
        case 1: header->values = ft_thrift_i32(t, &field); break;
        case 4: header->encoding = ft_thrift_i32(t, &field); break;
        case 5: header->def_bytes = ft_thrift_i32(t, &field); break;
        case 6: header->rep_bytes = ft_thrift_i32(t, &field); break;
        case 7: header->compressed = ft_thrift_bool(t, &field); break;
        default: ft_thrift_skip(t, &field);
        }
    }
}

bool ft_parquet_page_header_read(ft_parquet_page_header *header, ft_thrift *t)
{
    ft_thrift_field field = {0};
    *header = (ft_parquet_page_header){.type = -1, .size = -1, .compressed_size = -1, .values = -1, .encoding = -1,
                                       .def_encoding = FT_PARQUET_RLE, .rep_encoding = FT_PARQUET_RLE, .compressed = true};
    while (ft_thrift_next(t, &field)) {
        switch (field.id) {
        case 1: header->type = ft_thrift_i32(t, &field); break;
        case 2: header->size = ft_thrift_i32(t, &field); break;
        case 3: header->compressed_size = ft_thrift_i32(t, &field); break;
        case 4:
            header->crc = (uint32_t)ft_thrift_i32(t, &field);
            header->has_crc = true;
            break;
        case 5:
        case 7: read_page_v1(header, t, &field); break;
        case 8: read_page_v2(header, t, &field); break;
        default: ft_thrift_skip(t, &field);
        }
    }
    return !t->bad;
}
