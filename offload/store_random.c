// Values come from tables of normal quantiles indexed by counter-based random bits: 256 E4M3 codes or 65,536 bf16 values. A
// block of 16 bytes depends on (seed, record, its position) alone.
#include "offload/store_random.h"

#include <string.h>

#include "common/memory.h"
#include "common/normal.h"
#include "common/rng.h"
#include "common/threads.h"

#define DEVIATION 0.02
#define CODE_DEVIATION 100.0  // of E4M3 codes' values: 448 is 4.5 deviations

typedef struct {
    ft_store store;               // first: ft_store_close frees the whole
    uint64_t seed;
    ft_e4m3 code[256];
    ft_bf16 value[65536];
} random_store;

// Quantiles (i + 1/2) / n of the normal distribution.
static void make_tables(random_store *random, uint64_t seed)
{
    double x = -6;
    random->seed = seed;
    for (int i = 0; i < 256; i++) {
        x = ft_normal_quantile_after(x, (i + 0.5) / 256);
        random->code[i] = ft_f32_to_e4m3((float)(CODE_DEVIATION * x));
    }
    x = -6;
    for (int i = 0; i < 65536; i++) {
        x = ft_normal_quantile_after(x, (i + 0.5) / 65536);
        random->value[i] = ft_f32_to_bf16((float)(DEVIATION * x));
    }
}

ft_status ft_store_open_random(ft_store **opened, const ft_shape *shape, ft_base_format format, uint64_t seed)
{
    *opened = NULL;
    if (shape->dtype != FT_DTYPE_BF16) return ft_error(FT_E_UNSUPPORTED, "random weights are bf16 or fp8, not %s", ft_dtype_name(shape->dtype));
    random_store *random = FT_NEW(random_store);
    FT_ALLOC_CHECK(random);
    make_tables(random, seed);
    ft_store *store = &random->store;
    ft_status status = ft_layout_make(&store->layout, shape, format, NULL, NULL);
    if (status == FT_OK) store->first_stripe = FT_NEW_ARRAY(int64_t, store->layout.n_records + 1);
    if (status == FT_OK && store->first_stripe == NULL) status = FT_E_NOMEM;
    if (status == FT_OK) *opened = store;
    else ft_store_close(store);
    return status;
}

bool ft_store_is_random(const ft_store *store)
{
    return store->n_drives == 0;
}

// --- filling ------------------------------------------------------------------------------------------------------------------
typedef struct {
    const random_store *random;
    int record;
    int64_t begin, end;           // of the record, what dst is
    char *dst;
} fill_job;

typedef struct {
    const fill_job *job;
    int64_t at;                   // of the record, where block 0 is
    bool codes;
} block_job;

// Codes start at multiples of 256 bytes and what follows them is padding, so a block of 16 bytes has one kind of value.
static void fill_blocks(void *context, int64_t begin, int64_t end)
{
    const block_job *b = context;
    const random_store *random = b->job->random;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = b->at + i * 16;
        uint64_t block = (uint64_t)at / 16;
        ft_rng_block bits = ft_rng(random->seed, FT_RNG_DATA, (uint32_t)b->job->record, (uint32_t)(block >> 32), (uint32_t)block, 0);
        uint8_t bytes[16];
        uint16_t words[8];
        memcpy(bytes, bits.word, 16);
        memcpy(words, bits.word, 16);
        for (int k = 0; k < 16 && b->codes; k++) bytes[k] = random->code[bytes[k]];
        for (int k = 0; k < 8 && !b->codes; k++) words[k] = random->value[words[k]];
        memcpy(b->job->dst + (at - b->job->begin), b->codes ? (const void *)bytes : (const void *)words, 16);
    }
}

// [*begin, *end) cut to the bytes asked for; false if nothing is left.
static bool cut(const fill_job *job, int64_t *begin, int64_t *end)
{
    if (*begin < job->begin) *begin = job->begin;
    if (*end > job->end) *end = job->end;
    return *begin < *end;
}

static void fill_floats(char *dst, int64_t bytes, float value)
{
    for (int64_t i = 0; i + 4 <= bytes; i += 4) memcpy(dst + i, &value, 4);
}

static void fill_vector(char *dst, int64_t bytes, ft_dtype dtype, float value)
{
    int64_t width = (int64_t)ft_dtype_bytes(dtype);
    for (int64_t i = 0; i + width <= bytes; i += width) ft_convert_from_f32(dst + i, &value, dtype, 1);
}

static bool is_bias(ft_role role)
{
    return role == FT_ROLE_Q_BIAS || role == FT_ROLE_K_BIAS || role == FT_ROLE_V_BIAS;
}

static void fill_codes(const fill_job *job, const ft_record_tensor *tensor)
{
    int64_t begin = tensor->codes, end = (begin + tensor->codes_bytes + 15) / 16 * 16;
    if (!cut(job, &begin, &end)) return;
    char *dst = job->dst + (begin - job->begin);
    if (!ft_role_is_matrix(tensor->role)) fill_vector(dst, end - begin, tensor->dtype, is_bias(tensor->role) ? 0 : 1);
    else ft_parallel_for((end - begin) / 16, 4096, fill_blocks, &(block_job){job, begin, tensor->dtype == FT_DTYPE_F8_E4M3});
}

static void fill_scales(const fill_job *job, const ft_record_tensor *tensor, int64_t at, int64_t rows, int64_t cols)
{
    if (at < 0) return;
    int64_t end = at + (int64_t)ft_scale_count(tensor->kind, rows, cols) * 4;
    if (cut(job, &at, &end)) fill_floats(job->dst + (at - job->begin), end - at, (float)(DEVIATION / CODE_DEVIATION));
}

void ft_store_random_fill(const ft_store *store, int record, int64_t begin, int64_t bytes, void *dst)
{
    FT_ASSERT(ft_store_is_random(store) && begin % FT_IO_ALIGN == 0 && bytes % FT_IO_ALIGN == 0);
    fill_job job = {(const random_store *)store, record, begin, begin + bytes, dst};
    memset(dst, 0, (size_t)bytes);
    const ft_record *r = &store->layout.record[record];
    for (int i = 0; i < r->n_tensors; i++) {
        const ft_record_tensor *tensor = &r->tensor[i];
        fill_codes(&job, tensor);
        fill_scales(&job, tensor, tensor->scales, tensor->rows, tensor->cols);
        fill_scales(&job, tensor, tensor->scales_t, tensor->cols, tensor->rows);
    }
}
