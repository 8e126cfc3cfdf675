// The file: a header line, then one line for each product.
//   ft-gemm 1 cuBLASLt 130100, 132 SMs, NVIDIA H100 80GB HBM3
//   kind m n k a_transposed b_transposed adds d_f32 fast alignment  algorithm as 8 words, hexadecimal  best_us first_us
// kind is bf16, fp8-tensor, fp8-outer or fp8-block, flags are 0 or 1. Lines end with a newline.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "kernels/cuda/gemm_plan.h"

#define MAGIC "ft-gemm 1 "
enum { FILE_BYTES = 4 << 20, LINE_BYTES = 512 };

static const char *const kind_names[] = {[FT_GEMM_BF16] = "bf16", [FT_GEMM_FP8_TENSOR] = "fp8-tensor",
                                         [FT_GEMM_FP8_OUTER] = "fp8-outer", [FT_GEMM_FP8_BLOCK] = "fp8-block"};
enum { KINDS = sizeof kind_names / sizeof kind_names[0] };

void ft_cuda_gemm_describe(const ft_cuda_gemm_key *key, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s %" PRId64 "x%" PRId64 "x%" PRId64 " %c%c%s%s%s", kind_names[key->kind], key->m, key->n, key->k,
             key->a_transposed ? 't' : 'n', key->b_transposed ? 't' : 'n', key->adds ? " +c" : "", key->d_f32 ? " f32" : "",
             key->fast ? " fast" : "");
}

void ft_gemm_table_init(ft_gemm_table *table, const ft_device_info *device, int version)
{
    *table = (ft_gemm_table){0};
    snprintf(table->device, sizeof table->device, "cuBLASLt %d, %d SMs, %s", version, device->sm_count, device->name);
}

void ft_gemm_table_free(ft_gemm_table *table)
{
    ft_free(table->entry);
    *table = (ft_gemm_table){0};
}

const ft_gemm_entry *ft_gemm_table_find(const ft_gemm_table *table, const ft_cuda_gemm_key *key)
{
    for (int i = 0; i < table->n; i++) {
        if (ft_gemm_key_matches(&table->entry[i].key, key)) return &table->entry[i];
    }
    return NULL;
}

ft_status ft_gemm_table_put(ft_gemm_table *table, const ft_gemm_entry *entry)
{
    ft_gemm_entry *known = (ft_gemm_entry *)ft_gemm_table_find(table, &entry->key);
    if (known != NULL) {
        *known = *entry;
        return FT_OK;
    }
    if (table->n == table->capacity) {
        int capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        ft_gemm_entry *larger = ft_realloc(table->entry, (size_t)capacity * sizeof *larger);
        FT_ALLOC_CHECK(larger);
        table->entry = larger;
        table->capacity = capacity;
    }
    table->entry[table->n++] = *entry;
    return FT_OK;
}

static bool parse_kind(const char *name, ft_cuda_gemm_kind *kind)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(name, kind_names[i]) != 0) continue;
        *kind = (ft_cuda_gemm_kind)i;
        return true;
    }
    return false;
}

static bool parse_entry(const char *line, ft_gemm_entry *entry)
{
    char name[16];
    int flag[5], end = 0;
    ft_cuda_gemm_key *key = &entry->key;
    uint64_t *w = entry->algorithm.data;
    double best_us, first_us;
    *entry = (ft_gemm_entry){0};
    int n = sscanf(line, "%15s %" SCNd64 " %" SCNd64 " %" SCNd64 " %d %d %d %d %d %" SCNd32 " %" SCNx64 " %" SCNx64 " %" SCNx64
                   " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %lf %lf%n",
                   name, &key->m, &key->n, &key->k, &flag[0], &flag[1], &flag[2], &flag[3], &flag[4], &key->alignment, &w[0], &w[1],
                   &w[2], &w[3], &w[4], &w[5], &w[6], &w[7], &best_us, &first_us, &end);
    if (n != 20 || line[end] != '\0' || !parse_kind(name, &key->kind)) return false;
    key->a_transposed = flag[0] != 0;
    key->b_transposed = flag[1] != 0;
    key->adds = flag[2] != 0;
    key->d_f32 = flag[3] != 0;
    key->fast = flag[4] != 0;
    entry->best_s = best_us * 1e-6;
    entry->first_s = first_us * 1e-6;
    return key->m > 0 && key->n > 0 && key->k > 0;
}

static ft_status parse(ft_gemm_table *table, const char *path, char *text)
{
    char *rest = text, *line = strsep(&rest, "\n");
    if (strncmp(line, MAGIC, strlen(MAGIC)) != 0) return ft_error(FT_E_INPUT, "%s: not a table of GEMM algorithms", path);
    if (strcmp(line + strlen(MAGIC), table->device) != 0) {
        ft_info("%s was measured with %s, not %s: not used; run ft-bench calibrate", path, line + strlen(MAGIC), table->device);
        return FT_OK;
    }
    for (int number = 2; (line = strsep(&rest, "\n")) != NULL; number++) {
        ft_gemm_entry entry;
        if (line[0] == '\0') continue;
        if (!parse_entry(line, &entry)) return ft_error(FT_E_INPUT, "%s: line %d is not a GEMM algorithm", path, number);
        FT_TRY(ft_gemm_table_put(table, &entry));
    }
    return FT_OK;
}

ft_status ft_gemm_table_load(ft_gemm_table *table, const char *path)
{
    char *text;
    size_t bytes;
    ft_status status = ft_file_read(path, FILE_BYTES, &text, &bytes);
    if (status == FT_E_NOT_FOUND) {
        ft_info("%s does not exist: GEMM algorithms are cuBLASLt's first choices; run ft-bench calibrate", path);
        return FT_OK;
    }
    FT_TRY(status);
    status = parse(table, path, text);
    ft_free(text);
    return status;
}

static int print_entry(char *line, const ft_gemm_entry *entry)
{
    const ft_cuda_gemm_key *key = &entry->key;
    const uint64_t *w = entry->algorithm.data;
    return snprintf(line, LINE_BYTES, "%s %" PRId64 " %" PRId64 " %" PRId64 " %d %d %d %d %d %" PRId32 "  %" PRIx64 " %" PRIx64
                    " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "  %.3f %.3f\n",
                    kind_names[key->kind], key->m, key->n, key->k, key->a_transposed, key->b_transposed, key->adds, key->d_f32,
                    key->fast, key->alignment, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], 1e6 * entry->best_s,
                    1e6 * entry->first_s);
}

// Readers see the old file or the new one.
static ft_status replace(const char *path, const char *text, size_t bytes)
{
    char *temporary = ft_format("%s.tmp", path);
    FT_ALLOC_CHECK(temporary);
    ft_status status = ft_file_write(temporary, text, bytes);
    if (status == FT_OK && rename(temporary, path) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: rename", path);
    ft_free(temporary);
    return status;
}

ft_status ft_gemm_table_save(const ft_gemm_table *table, const char *path)
{
    char *text = ft_malloc((size_t)(table->n + 1) * LINE_BYTES);
    FT_ALLOC_CHECK(text);
    size_t used = (size_t)snprintf(text, LINE_BYTES, MAGIC "%s\n", table->device);
    for (int i = 0; i < table->n; i++) used += (size_t)print_entry(text + used, &table->entry[i]);
    ft_status status = replace(path, text, used);
    ft_free(text);
    return status;
}
