// The schema: elements as the footer lists them, depth first, become nodes with levels and what they are in JSON.
#include <ctype.h>
#include <string.h>

#include "common/memory.h"
#include "io/parquet_internal.h"

// Annotations, from the older converted_type or the newer logicalType, as far as they make a difference here.
enum { NO_MEANING, TEXT, LIST, MAP, SIGNED, UNSIGNED, PLAIN_NUMBER, REFUSED };

typedef struct {
    int type, repetition, children;
    int32_t width;
    ft_thrift_bytes name;
    int meaning;
    const char *refused;  // name of what is not implemented
} element;

// The schema under construction; `next` is the node the coming element fills.
typedef struct {
    ft_parquet_schema *schema;
    ft_thrift *t;
    int next;
} builder;

static const struct {
    int meaning;
    const char *name;
} converted[] = {
    {TEXT, "UTF8"}, {MAP, "MAP"}, {MAP, "MAP_KEY_VALUE"}, {LIST, "LIST"}, {TEXT, "ENUM"}, {REFUSED, "DECIMAL"},
    {PLAIN_NUMBER, "DATE"}, {PLAIN_NUMBER, "TIME"}, {PLAIN_NUMBER, "TIME"}, {PLAIN_NUMBER, "TIMESTAMP"},
    {PLAIN_NUMBER, "TIMESTAMP"}, {UNSIGNED, "UINT_8"}, {UNSIGNED, "UINT_16"}, {UNSIGNED, "UINT_32"}, {UNSIGNED, "UINT_64"},
    {SIGNED, "INT_8"}, {SIGNED, "INT_16"}, {SIGNED, "INT_32"}, {SIGNED, "INT_64"}, {TEXT, "JSON"}, {REFUSED, "BSON"},
    {REFUSED, "INTERVAL"},
};

static const struct {
    int meaning;
    const char *name;
} logical[] = {
    [1] = {TEXT, "STRING"}, [2] = {MAP, "MAP"}, [3] = {LIST, "LIST"}, [4] = {TEXT, "ENUM"}, [5] = {REFUSED, "DECIMAL"},
    [6] = {PLAIN_NUMBER, "DATE"}, [7] = {PLAIN_NUMBER, "TIME"}, [8] = {PLAIN_NUMBER, "TIMESTAMP"}, [10] = {SIGNED, "INTEGER"},
    [11] = {NO_MEANING, "UNKNOWN"}, [12] = {TEXT, "JSON"}, [13] = {REFUSED, "BSON"}, [14] = {REFUSED, "UUID"},
    [15] = {REFUSED, "FLOAT16"}, [16] = {REFUSED, "VARIANT"}, [17] = {REFUSED, "GEOMETRY"}, [18] = {REFUSED, "GEOGRAPHY"},
};

static void read_converted(element *e, ft_thrift *t, const ft_thrift_field *field)
{
    int32_t kind = ft_thrift_i32(t, field);
    if (e->meaning != NO_MEANING || kind < 0 || (size_t)kind >= sizeof converted / sizeof *converted) return;
    e->meaning = converted[kind].meaning;
    e->refused = converted[kind].name;
}

static bool integer_is_signed(ft_thrift *t)
{
    bool is_signed = true;
    ft_thrift_field field = {0};
    while (ft_thrift_next(t, &field)) {
        if (field.id == 2) is_signed = ft_thrift_bool(t, &field);
        else ft_thrift_skip(t, &field);
    }
    return is_signed;
}

// A union: a struct with one field, whose number is the type. It wins over the converted type.
static void read_logical(element *e, ft_thrift *t, const ft_thrift_field *outer)
{
    ft_thrift_field field = {0};
    if (!ft_thrift_struct(t, outer)) return;
    while (ft_thrift_next(t, &field)) {
        bool known = field.id > 0 && (size_t)field.id < sizeof logical / sizeof *logical && logical[field.id].name != NULL;
        e->meaning = known ? logical[field.id].meaning : NO_MEANING;
        e->refused = known ? logical[field.id].name : NULL;
        if (field.id != 10 || field.type != FT_THRIFT_STRUCT) ft_thrift_skip(t, &field);
        else if (!integer_is_signed(t)) e->meaning = UNSIGNED;
    }
}

static element read_element(ft_thrift *t)
{
    element e = {.type = FT_PARQUET_GROUP, .repetition = FT_PARQUET_REQUIRED};
    ft_thrift_field field = {0};
    while (ft_thrift_next(t, &field)) {
        switch (field.id) {
        case 1: e.type = ft_thrift_i32(t, &field); break;
        case 2: e.width = ft_thrift_i32(t, &field); break;
        case 3: e.repetition = ft_thrift_i32(t, &field); break;
        case 4: e.name = ft_thrift_binary(t, &field); break;
        case 5: e.children = ft_thrift_i32(t, &field); break;
        case 6: read_converted(&e, t, &field); break;
        case 10: read_logical(&e, t, &field); break;
        default: ft_thrift_skip(t, &field);
        }
    }
    return e;
}

// path: the parent's, a dot, the name; what a terminal would obey is '?'.
static ft_status set_names(ft_parquet_node *node, const ft_parquet_node *parent, ft_thrift_bytes name)
{
    if (name.n > 0 && memchr(name.data, 0, name.n) != NULL) return ft_error(FT_E_INPUT, "a column's name holds a zero byte");
    node->name = ft_strndup(name.n ? (const char *)name.data : "", name.n);
    FT_ALLOC_CHECK(node->name);
    const char *above = parent && parent->path ? parent->path : "";
    node->path = ft_format("%.160s%s%.80s", above, *above ? "." : "", node->name);
    FT_ALLOC_CHECK(node->path);
    for (char *c = node->path; *c; c++) {
        if (iscntrl((unsigned char)*c)) *c = '?';
    }
    json_t *text = json_string(node->name);
    if (text == NULL) return ft_error(FT_E_INPUT, "a column's name is not UTF-8");
    json_decref(text);
    return FT_OK;
}

static ft_status refuse(const ft_parquet_node *node, const char *what)
{
    return ft_error(FT_E_UNSUPPORTED, "column %s: type %s is not implemented", node->path, what);
}

static ft_status set_column(ft_parquet_node *node, const element *e)
{
    static const int widths[] = {0, 4, 8, 12, 4, 8, 0, 0};
    if (e->type < 0 || e->type > FT_PARQUET_FIXED)
        return ft_error(FT_E_INPUT, "column %s: type %d is not one", node->path, e->type);
    if (e->type == FT_PARQUET_INT96) return refuse(node, "INT96");
    if (e->meaning == REFUSED) return refuse(node, e->refused);
    node->type = e->type;
    node->width = e->type == FT_PARQUET_FIXED ? e->width : widths[e->type];
    node->is_unsigned = e->meaning == UNSIGNED;
    if (e->type == FT_PARQUET_FIXED && (e->width <= 0 || e->width > FT_PARQUET_ROW_BYTES_MAX))
        return ft_error(FT_E_INPUT, "column %s: a fixed length of %d", node->path, e->width);
    return FT_OK;
}

static ft_status set_levels(ft_parquet_node *node, const ft_parquet_node *parent, const element *e)
{
    if (e->repetition < 0 || e->repetition > FT_PARQUET_REPEATED)
        return ft_error(FT_E_INPUT, "column %s: repetition %d is not one", node->path, e->repetition);
    node->repetition = e->repetition;
    node->max_def = parent->max_def + (e->repetition != FT_PARQUET_REQUIRED);
    node->max_rep = parent->max_rep + (e->repetition == FT_PARQUET_REPEATED);
    return FT_OK;
}

static ft_status add_node(builder *b, int parent, int depth);

static ft_status add_children(builder *b, int at, const element *e, int depth)
{
    if (e->children < 0 || depth >= FT_PARQUET_DEPTH_MAX)
        return ft_error(FT_E_INPUT, "the schema is nested deeper than %d", FT_PARQUET_DEPTH_MAX);
    for (int i = 0; i < e->children; i++) FT_TRY(add_node(b, at, depth + 1));
    return FT_OK;
}

// The repeated child of a list is only a wrapper around its one field, but for names and shapes of older writers, where it is
// the element itself (LogicalTypes.md, "Lists", rules for backward compatibility).
static bool only_wraps(const ft_parquet_schema *schema, int list, int child)
{
    const ft_parquet_node *outer = &schema->nodes[list], *repeated = &schema->nodes[child];
    size_t n = strlen(outer->name);
    if (repeated->type != FT_PARQUET_GROUP || repeated->list || repeated->end == child + 1) return false;
    const ft_parquet_node *first = &schema->nodes[child + 1];
    if (first->end != repeated->end || first->repetition == FT_PARQUET_REPEATED) return false;
    if (strcmp(repeated->name, "array") == 0) return false;
    return !(strncmp(repeated->name, outer->name, n) == 0 && strcmp(repeated->name + n, "_tuple") == 0);
}

static ft_status rename_field(ft_parquet_node *node, const char *name)
{
    char *copy = ft_strdup(name);
    FT_ALLOC_CHECK(copy);
    ft_free(node->name);
    node->name = copy;
    return FT_OK;
}

// A map's repeated group has a key and, unless it is a set, a value; the file may call them anything.
static ft_status set_map(ft_parquet_schema *schema, int child)
{
    ft_parquet_node *repeated = &schema->nodes[child];
    int key = child + 1, value = key < repeated->end ? schema->nodes[key].end : key;
    if (repeated->type != FT_PARQUET_GROUP || key == repeated->end) return FT_OK;
    if (value < repeated->end && schema->nodes[value].end != repeated->end) return FT_OK;
    FT_TRY(rename_field(&schema->nodes[key], "key"));
    return value < repeated->end ? rename_field(&schema->nodes[value], "value") : FT_OK;
}

static ft_status set_shape(ft_parquet_schema *schema, int at, const element *e)
{
    ft_parquet_node *node = &schema->nodes[at];
    bool one_child = node->end > at + 1 && schema->nodes[at + 1].end == node->end;
    if ((e->meaning != LIST && e->meaning != MAP) || !one_child) return FT_OK;
    if (schema->nodes[at + 1].repetition != FT_PARQUET_REPEATED) return FT_OK;
    node->list = true;
    if (e->meaning == MAP) return set_map(schema, at + 1);
    schema->nodes[at + 1].unwrap = only_wraps(schema, at, at + 1);
    return FT_OK;
}

static ft_status add_node(builder *b, int parent, int depth)
{
    ft_parquet_schema *schema = b->schema;
    if (b->next == schema->n) return ft_error(FT_E_INPUT, "the schema's groups want more columns than it lists");
    int at = b->next++;
    ft_parquet_node *node = &schema->nodes[at];
    element e = read_element(b->t);
    node->type = FT_PARQUET_GROUP;
    FT_TRY(set_names(node, at ? &schema->nodes[parent] : NULL, at ? e.name : (ft_thrift_bytes){0}));
    if (at > 0) FT_TRY(set_levels(node, &schema->nodes[parent], &e));
    node->leaf_begin = schema->n_leaves;
    if (e.children == 0 && at > 0) {
        FT_TRY(set_column(node, &e));
        schema->leaves[schema->n_leaves++] = at;
    } else {
        FT_TRY(add_children(b, at, &e, depth));
    }
    node->leaf_end = schema->n_leaves;
    node->end = b->next;
    return at > 0 ? set_shape(schema, at, &e) : FT_OK;
}

ft_status ft_parquet_schema_read(ft_parquet_schema *schema, ft_thrift *t, const ft_thrift_field *field)
{
    size_t n = ft_thrift_structs(t, field);
    if (t->bad || schema->nodes != NULL) return ft_error(FT_E_INPUT, "the footer's schema is not a list");
    if (n > FT_PARQUET_COLUMNS_MAX)
        return ft_error(FT_E_INPUT, "a schema of %zu elements, at most %d", n, FT_PARQUET_COLUMNS_MAX);
    schema->nodes = FT_NEW_ARRAY(ft_parquet_node, n);
    FT_ALLOC_CHECK(schema->nodes);
    schema->n = (int)n;
    schema->leaves = FT_NEW_ARRAY(int, n);
    FT_ALLOC_CHECK(schema->leaves);
    builder b = {.schema = schema, .t = t};
    FT_TRY(add_node(&b, 0, 0));
    if (b.next != schema->n) return ft_error(FT_E_INPUT, "the schema lists columns that belong to no group");
    return schema->n_leaves > 0 ? FT_OK : ft_error(FT_E_INPUT, "the schema has no columns");
}

void ft_parquet_schema_free(ft_parquet_schema *schema)
{
    for (int i = 0; i < schema->n; i++) {
        ft_free(schema->nodes[i].name);
        ft_free(schema->nodes[i].path);
    }
    ft_free(schema->nodes);
    ft_free(schema->leaves);
    *schema = (ft_parquet_schema){0};
}
