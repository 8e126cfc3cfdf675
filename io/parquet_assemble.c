// Rows from columns (record assembly, Melnik et al., "Dremel", 2010), top down over the schema. An entry of a column carries
//   rep   at which repeated ancestor it begins a new element; 0 begins a row
//   def   how many of its optional and repeated ancestors are there; below the maximum it stands for a null or an empty list
// so a field is absent if the def of its first column is below the field's own, and a list goes on while the rep of its first
// column is the list's. Every column below takes part in each step and must carry the same rep: files that contradict
// themselves end in an error instead of a wrong row.
#include <math.h>
#include <string.h>

#include "io/parquet_internal.h"

static ft_status make_field(ft_parquet_rows_state *s, int at, int rep, json_t **json);
static ft_status make_value(ft_parquet_rows_state *s, int at, int rep, json_t **json);

static ft_status no_memory(void)
{
    return ft_error(FT_E_NOMEM, "out of memory for a row");
}

static ft_status misfit(void)
{
    return ft_error(FT_E_INPUT, "its levels do not fit those of the other columns");
}

// Looks at the entry of a column; it has to begin at `rep`.
static ft_status peek(ft_parquet_rows_state *s, int leaf, int rep)
{
    ft_parquet_column *column = &s->columns[leaf];
    s->failed = leaf;
    FT_TRY(ft_parquet_column_peek(column));
    if (column->ended) return ft_error(FT_E_INPUT, "it has fewer rows than the row group");
    if (column->rep != rep) return misfit();
    return FT_OK;
}

static ft_status take(ft_parquet_rows_state *s, int leaf)
{
    ft_parquet_column_take(&s->columns[leaf]);
    if (++s->row_values <= FT_PARQUET_ROW_VALUES_MAX) return FT_OK;
    return ft_error(FT_E_INPUT, "a row of more than %d values", FT_PARQUET_ROW_VALUES_MAX);
}

// Length of the text that is ASCII, eight bytes at a time.
static size_t ascii(const uint8_t *text, size_t n)
{
    size_t at = 0;
    for (uint64_t word; at + 8 <= n; at += 8) {
        memcpy(&word, text + at, 8);
        if (word & 0x8080808080808080u) break;
    }
    while (at < n && text[at] < 0x80) at++;
    return at;
}

static ft_status make_text(ft_parquet_rows_state *s, const ft_parquet_value *value, json_t **json)
{
    s->row_bytes += (int64_t)value->n;
    if (s->row_bytes > FT_PARQUET_ROW_BYTES_MAX)
        return ft_error(FT_E_INPUT, "a row with more than %d bytes of text", FT_PARQUET_ROW_BYTES_MAX);
    const char *text = (const char *)value->data;
    bool plain = ascii(value->data, value->n) == value->n;
    *json = plain ? json_stringn_nocheck(value->n ? text : "", value->n) : json_stringn(text, value->n);
    if (*json != NULL) return FT_OK;
    return plain ? no_memory() : ft_error(FT_E_INPUT, "a value that is not UTF-8 text");
}

static uint64_t little(const ft_parquet_value *value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value->n; i++) number |= (uint64_t)value->data[i] << 8 * i;
    return number;
}

static ft_status make_integer(const ft_parquet_node *leaf, const ft_parquet_value *value, json_t **json)
{
    uint64_t bits = little(value);
    if (leaf->width == 4 && !leaf->is_unsigned) bits = (uint64_t)(int64_t)(int32_t)bits;
    if (leaf->is_unsigned && bits > INT64_MAX)
        return ft_error(FT_E_UNSUPPORTED, "an unsigned value of 2^63 or more is not implemented");
    *json = json_integer((int64_t)bits);
    return *json ? FT_OK : no_memory();
}

static ft_status make_real(const ft_parquet_node *leaf, const ft_parquet_value *value, json_t **json)
{
    uint64_t bits = little(value);
    uint32_t low = (uint32_t)bits;
    double number;
    float single;
    memcpy(&single, &low, sizeof single);
    memcpy(&number, &bits, sizeof number);
    if (leaf->type == FT_PARQUET_FLOAT) number = single;
    *json = isfinite(number) ? json_real(number) : json_null();
    return *json ? FT_OK : no_memory();
}

static ft_status make_leaf(ft_parquet_rows_state *s, const ft_parquet_node *leaf, int rep, json_t **json)
{
    ft_parquet_column *column = &s->columns[leaf->leaf_begin];
    ft_parquet_value value;
    FT_TRY(peek(s, leaf->leaf_begin, rep));
    if (column->def != leaf->max_def) return misfit();
    FT_TRY(ft_parquet_values_next(&column->values, &value));
    FT_TRY(take(s, leaf->leaf_begin));
    switch (leaf->type) {
    case FT_PARQUET_BOOLEAN: *json = json_boolean(value.data[0]); return FT_OK;
    case FT_PARQUET_INT32:
    case FT_PARQUET_INT64: return make_integer(leaf, &value, json);
    case FT_PARQUET_FLOAT:
    case FT_PARQUET_DOUBLE: return make_real(leaf, &value, json);
    default: return make_text(s, &value, json);
    }
}

static ft_status make_fields(ft_parquet_rows_state *s, int at, int rep, json_t *object)
{
    const ft_parquet_node *nodes = s->schema->nodes;
    for (int child = at + 1; child < nodes[at].end; child = nodes[child].end) {
        json_t *field;
        FT_TRY(make_field(s, child, rep, &field));
        if (json_object_set_new_nocheck(object, nodes[child].name, field) != 0) return no_memory();
    }
    return FT_OK;
}

static ft_status make_object(ft_parquet_rows_state *s, int at, int rep, json_t **json)
{
    json_t *object = json_object();
    if (object == NULL) return no_memory();
    ft_status status = make_fields(s, at, rep, object);
    if (status == FT_OK) *json = object;
    else json_decref(object);
    return status;
}

// One instance of a node that is there.
static ft_status make_value(ft_parquet_rows_state *s, int at, int rep, json_t **json)
{
    const ft_parquet_node *node = &s->schema->nodes[at];
    if (node->type != FT_PARQUET_GROUP) return make_leaf(s, node, rep, json);
    if (node->list || node->unwrap) return make_field(s, at + 1, rep, json);
    return make_object(s, at, rep, json);
}

// The entry that says "not there" in every column below: defined up to the node's parent.
static ft_status take_absent(ft_parquet_rows_state *s, const ft_parquet_node *node, int rep)
{
    for (int leaf = node->leaf_begin; leaf < node->leaf_end; leaf++) {
        FT_TRY(peek(s, leaf, rep));
        if (s->columns[leaf].def != node->max_def - 1) return misfit();
        FT_TRY(take(s, leaf));
    }
    return FT_OK;
}

static ft_status make_elements(ft_parquet_rows_state *s, int at, int rep, json_t *array)
{
    const ft_parquet_node *node = &s->schema->nodes[at];
    ft_parquet_column *first = &s->columns[node->leaf_begin];
    do {
        json_t *element;
        FT_TRY(make_value(s, at, rep, &element));
        if (json_array_append_new(array, element) != 0) return no_memory();
        rep = node->max_rep;
        s->failed = node->leaf_begin;
        FT_TRY(ft_parquet_column_peek(first));
    } while (!first->ended && first->rep == rep);
    return FT_OK;
}

static ft_status make_array(ft_parquet_rows_state *s, int at, int rep, bool empty, json_t **json)
{
    json_t *array = json_array();
    if (array == NULL) return no_memory();
    ft_status status = empty ? take_absent(s, &s->schema->nodes[at], rep) : make_elements(s, at, rep, array);
    if (status == FT_OK) *json = array;
    else json_decref(array);
    return status;
}

static ft_status make_field(ft_parquet_rows_state *s, int at, int rep, json_t **json)
{
    const ft_parquet_node *node = &s->schema->nodes[at];
    if (node->repetition == FT_PARQUET_REQUIRED) return make_value(s, at, rep, json);
    FT_TRY(peek(s, node->leaf_begin, rep));
    bool absent = s->columns[node->leaf_begin].def < node->max_def;
    if (node->repetition == FT_PARQUET_REPEATED) return make_array(s, at, rep, absent, json);
    if (!absent) return make_value(s, at, rep, json);
    *json = json_null();
    return take_absent(s, node, rep);
}

ft_status ft_parquet_assemble(ft_parquet_rows_state *state, json_t **row)
{
    state->row_values = state->row_bytes = 0;
    return make_object(state, 0, 0, row);
}
