// Machine files: flat YAML, one key per member of ft_machine; sizes take K, M, G, T, rates are plain numbers per second.
// Optional keys that say nothing (0, "") are not written.
#include <errno.h>
#include <libfyaml.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/yaml_text.h"
#include "io/commit.h"
#include "offload/machine.h"

typedef enum { FIELD_TEXT, FIELD_DEVICE, FIELD_COUNT_OF, FIELD_BYTES, FIELD_RATE } field_kind;

typedef struct {
    const char *key;
    field_kind kind;
    size_t offset;
    bool required;
    size_t size;  // of the member: a text is cut to it
} field;

#define ROW(key, kind, member, required) {key, FIELD_##kind, offsetof(ft_machine, member), required, sizeof(((ft_machine *)0)->member)}
static const field fields[] = {
    ROW("name", TEXT, name, true),
    ROW("device", DEVICE, device, true),
    ROW("gpus", COUNT_OF, gpus, true),
    ROW("numa_nodes", COUNT_OF, nodes, false),
    ROW("hbm_bytes", BYTES, hbm_bytes, true),
    ROW("host_bytes", BYTES, host_bytes, true),
    ROW("drives", COUNT_OF, drives, true),
    ROW("nvme_bytes", BYTES, nvme_bytes, true),
    ROW("gemm_bf16", RATE, gemm_bf16, true),
    ROW("gemm_fp8", RATE, gemm_fp8, false),
    ROW("attention_forward", RATE, attention_forward, true),
    ROW("attention_backward", RATE, attention_backward, true),
    ROW("hbm", RATE, hbm, true),
    ROW("h2d", RATE, h2d, true),
    ROW("d2h", RATE, d2h, true),
    ROW("gather", RATE, gather, false),
    ROW("dram", RATE, dram, true),
    ROW("nvme_read", RATE, nvme_read, true),
    ROW("nvme_write", RATE, nvme_write, true),
    ROW("h2d_both", RATE, h2d_both, false),
    ROW("d2h_both", RATE, d2h_both, false),
    ROW("nvme_read_all", RATE, nvme_read_all, false),
    ROW("copy_piece", BYTES, copy_piece, false),
    ROW("io_chunk", BYTES, io_chunk, false),
    ROW("io_depth", COUNT_OF, io_depth, false),
    ROW("measured", TEXT, measured, false),
    ROW("software", TEXT, software, false),
    ROW("nvme_of", TEXT, nvme_of, false),
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static ft_status parse_number(const char *text, double minimum, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end != 0 || !(*value >= minimum)) return FT_E_USAGE;
    return FT_OK;
}

static ft_status parse_field(ft_machine *machine, const field *f, const char *text)
{
    void *at = (char *)machine + f->offset;
    double number;
    switch (f->kind) {
    case FIELD_TEXT:
        snprintf(at, f->size, "%s", text);
        return FT_OK;
    case FIELD_DEVICE:
        if (strcmp(text, "cpu") != 0 && strcmp(text, "cuda") != 0) return ft_error(FT_E_USAGE, "'%s' is neither cpu nor cuda", text);
        machine->device = strcmp(text, "cpu") == 0 ? FT_DEVICE_CPU : FT_DEVICE_CUDA;
        return FT_OK;
    case FIELD_BYTES: return ft_parse_bytes(text, at);
    case FIELD_COUNT_OF:
        if (parse_number(text, 0, &number) != FT_OK || number > INT_MAX || number != floor(number))
            return ft_error(FT_E_USAGE, "'%s' is not a whole number", text);
        *(int *)at = (int)number;
        return FT_OK;
    default:
        if (parse_number(text, 0, &number) != FT_OK || !isfinite(number)) return ft_error(FT_E_USAGE, "'%s' is not a rate (a number per second)", text);
        *(double *)at = number;
        return FT_OK;
    }
}

static const field *find_field(const char *key)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0) return &fields[i];
    return NULL;
}

static ft_status unknown_key(const char *key)
{
    const char *names[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) names[i] = fields[i].key;
    const char *near = ft_nearest_word(key, names, N_FIELDS);
    return ft_error(FT_E_USAGE, "unknown key%s%s", near ? ", did you mean " : "", near ? near : "");
}

static ft_status read_pair(ft_machine *machine, struct fy_node_pair *pair, const char *path, bool *seen)
{
    const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
    const char *text = fy_node_get_scalar0(fy_node_pair_value(pair));
    if (key == NULL || text == NULL) return ft_error(FT_E_USAGE, "%s: expected lines of `key: value`", path);
    const struct fy_mark *mark = fy_token_start_mark(fy_node_get_scalar_token(fy_node_pair_key(pair)));
    int line = mark ? mark->line + 1 : 0;
    const field *f = find_field(key);
    ft_status status = f ? parse_field(machine, f, text) : unknown_key(key);
    if (status != FT_OK) return ft_error_prefix(status, "%s:%d: %s", path, line, key);
    seen[f - fields] = true;
    return FT_OK;
}

static bool says_nothing(const ft_machine *machine, const field *f)
{
    const void *at = (const char *)machine + f->offset;
    switch (f->kind) {
    case FIELD_TEXT: return *(const char *)at == 0;
    case FIELD_DEVICE: return false;
    case FIELD_COUNT_OF: return *(const int *)at == 0;
    case FIELD_BYTES: return *(const int64_t *)at == 0;
    default: return *(const double *)at == 0;
    }
}

// What a plan divides by.
static bool divides(const field *f)
{
    return f->kind == FIELD_RATE || f->kind == FIELD_COUNT_OF;
}

static ft_status read_document(ft_machine *machine, struct fy_document *document, const char *path)
{
    bool seen[N_FIELDS] = {false};
    struct fy_node *root = fy_document_root(document);
    if (root == NULL || !fy_node_is_mapping(root)) return ft_error(FT_E_USAGE, "%s: not a machine file (expected lines of `key: value`)", path);
    void *iterator = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(root, &iterator)) != NULL) FT_TRY(read_pair(machine, pair, path, seen));
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (!fields[i].required) continue;
        if (!seen[i]) return ft_error(FT_E_USAGE, "%s: key %s is missing", path, fields[i].key);
        if (divides(&fields[i]) && says_nothing(machine, &fields[i])) return ft_error(FT_E_USAGE, "%s: %s: must be above 0", path, fields[i].key);
    }
    if (machine->gpus > 1 && machine->gather <= 0) return ft_error(FT_E_USAGE, "%s: key gather is missing (several devices)", path);
    if (machine->gemm_fp8 <= 0) machine->gemm_fp8 = machine->gemm_bf16;
    return FT_OK;
}

static ft_status read_text(ft_machine *machine, const char *text, size_t bytes, const char *path)
{
    FT_TRY(ft_yaml_check_bytes(path, text, bytes));
    struct fy_diag *diag = ft_yaml_diag();
    FT_ALLOC_CHECK(diag);
    struct fy_parse_cfg options = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&options, text, bytes);
    ft_status status = document ? read_document(machine, document, path) : ft_yaml_error(diag, path);
    if (document) fy_document_destroy(document);
    fy_diag_destroy(diag);
    return status;
}

ft_status ft_machine_read(ft_machine *machine, const char *path)
{
    *machine = (ft_machine){.nodes = 1};
    char *text;
    size_t bytes;
    FT_TRY(ft_file_read(path, 1 << 20, &text, &bytes));
    ft_status status = read_text(machine, text, bytes, path);
    ft_free(text);
    if (status == FT_OK) snprintf(machine->source, sizeof machine->source, "%s%s%s", machine->measured, machine->measured[0] ? ", " : "", path);
    return status;
}

// In double quotes, as YAML escapes them.
static ft_status format_text(const char *key, const char *value, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "%s: \"", key));
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\') FT_TRY(ft_text_puts(out, "\\"));
        FT_TRY(ft_text_add(out, c, 1));
    }
    return ft_text_puts(out, "\"\n");
}

static ft_status format_field(const ft_machine *machine, const field *f, ft_text *out)
{
    const void *at = (const char *)machine + f->offset;
    switch (f->kind) {
    case FIELD_TEXT: return format_text(f->key, at, out);
    case FIELD_DEVICE: return ft_text_printf(out, "%s: %s\n", f->key, machine->device == FT_DEVICE_CPU ? "cpu" : "cuda");
    case FIELD_COUNT_OF: return ft_text_printf(out, "%s: %d\n", f->key, *(const int *)at);
    case FIELD_BYTES: return ft_text_printf(out, "%s: %lld\n", f->key, (long long)*(const int64_t *)at);
    default: return ft_text_printf(out, "%s: %.6g\n", f->key, *(const double *)at);
    }
}

ft_status ft_machine_write(const ft_machine *machine, const char *path)
{
    ft_text out = {0};
    ft_status status = ft_text_printf(&out, "# Machine file: %s\n", machine->source);
    for (size_t i = 0; i < N_FIELDS && status == FT_OK; i++)
        if (fields[i].required || !says_nothing(machine, &fields[i])) status = format_field(machine, &fields[i], &out);
    if (status == FT_OK) status = ft_commit_file(path, out.data, out.length);
    ft_text_free(&out);
    return status;
}
