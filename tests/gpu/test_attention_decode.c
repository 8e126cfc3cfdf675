// Decoding against float64: caches of one key, of part of a chunk, of many chunks; grouped heads; every head dimension's path.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "gpu/gpu.h"

typedef struct {
    int64_t q_heads, kv_heads, head_dim, length, max_length;
    float magnitude;
} decode_case;

static const decode_case cases[] = {
    {1, 1, 64, 1, 1, 1},        {1, 1, 64, 2, 300, 1},       {9, 3, 64, 63, 64, 1},      {4, 2, 64, 65, 65, 1},
    {8, 1, 128, 64, 64, 1},     {32, 8, 128, 129, 4096, 1},  {32, 8, 128, 4096, 4096, 1}, {4, 2, 128, 4097, 4097, 1},
    {4, 2, 80, 300, 300, 1},    {2, 1, 8, 77, 77, 1},        {4, 1, 256, 1000, 1000, 1}, {2, 2, 136, 130, 130, 1},
    {4, 2, 128, 20000, 20000, 1}, {4, 2, 128, 500, 500, 60},
};

// Softmax of one head over the whole cache.
static void reference_head(const decode_case *c, double *o, const float *q, const float *k, const float *v, double scale, double *p)
{
    double maximum = -INFINITY, sum = 0;
    int64_t ld = c->kv_heads * c->head_dim;
    for (int64_t i = 0; i < c->length; i++) {
        p[i] = 0;
        for (int64_t j = 0; j < c->head_dim; j++) p[i] += (double)q[j] * (double)k[i * ld + j];
        p[i] *= scale;
        maximum = fmax(maximum, p[i]);
    }
    for (int64_t i = 0; i < c->length; i++) sum += p[i] = exp(p[i] - maximum);
    for (int64_t i = 0; i < c->length; i++) {
        for (int64_t j = 0; j < c->head_dim; j++) o[j] += p[i] / sum * (double)v[i * ld + j];
    }
}

static double *reference(const decode_case *c, const float *q, const float *k, const float *v, float scale)
{
    double *o = ft_calloc((size_t)(c->q_heads * c->head_dim), sizeof *o), *p = ft_calloc((size_t)c->length, sizeof *p);
    for (int64_t head = 0; head < c->q_heads; head++) {
        int64_t kv = head / (c->q_heads / c->kv_heads) * c->head_dim;
        reference_head(c, o + head * c->head_dim, q + head * c->head_dim, k + kv, v + kv, (double)scale, p);
    }
    ft_free(p);
    return o;
}

static void check_case(const decode_case *c)
{
    int64_t q_cols = c->q_heads * c->head_dim, ld = c->kv_heads * c->head_dim;
    float *q = t_random(q_cols, c->magnitude, 1), *k = t_random(c->length * ld, c->magnitude, 2);
    float *v = t_random(c->length * ld, 1, 3);
    ft_attention shape = {c->q_heads, c->kv_heads, c->head_dim, 1 / sqrtf((float)c->head_dim)};
    ft_op_shape op_shape = {.q_heads = c->q_heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim, .max_length = c->max_length};
    int64_t bytes = ft_op_workspace(FT_OP_ATTENTION_DECODE, &op_shape, FT_DEVICE_CUDA);
    void *workspace = t_device(bytes), *k_cache = t_upload_bf16(k, c->length * ld), *v_cache = t_upload_bf16(v, c->length * ld);
    void *o = t_device(q_cols * 2), *again = t_device(q_cols * 2);
    ft_view q_view = {.data = t_upload_bf16(q, q_cols), .repr = FT_REPR_BF16, .rows = 1, .cols = q_cols, .ld = q_cols};
    ft_view o_view = {.data = o, .repr = FT_REPR_BF16, .rows = 1, .cols = q_cols, .ld = q_cols};
    char text[128];
    snprintf(text, sizeof text, "decode %lld/%lld d%lld length %lld", (long long)c->q_heads, (long long)c->kv_heads,
             (long long)c->head_dim, (long long)c->length);
    for (int run = 0; run < 2; run++) {
        if (t_ops()->attention_decode(t_queue(), o_view, q_view, k_cache, v_cache, c->length, &shape, workspace, bytes) != FT_OK)
            fail_msg("%s: %s", text, ft_error_message());
        o_view.data = again;
    }
    double *want = reference(c, q, k, v, shape.scale);
    float *got = t_download_bf16(o, q_cols), *second = t_download_bf16(again, q_cols);
    t_check(text, got, want, q_cols, ft_op_table[FT_OP_ATTENTION_DECODE].tolerance_bf16);
    if (memcmp(got, second, (size_t)q_cols * sizeof *got) != 0) fail_msg("%s: two runs differ", text);
    ft_free(want);
}

static void decoding_matches_float64_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(&cases[i]);
        t_free();
    }
}

typedef struct {
    ft_view o, q;
    void *k, *v, *workspace;
    ft_attention shape;
    int64_t length, bytes;
} timed;

static void decode_once(void *context)
{
    timed *t = context;
    if (t_ops()->attention_decode(t_queue(), t->o, t->q, t->k, t->v, t->length, &t->shape, t->workspace, t->bytes) != FT_OK)
        fail_msg("%s", ft_error_message());
}

static void speed_is_printed(void **state)
{
    (void)state;
    enum { Q_HEADS = 32, KV_HEADS = 8, D = 128, LENGTH = 8192 };
    int64_t cache = (int64_t)LENGTH * KV_HEADS * D * 2, q_cols = Q_HEADS * D;
    timed t = {.shape = {Q_HEADS, KV_HEADS, D, 1 / sqrtf(D)}, .length = LENGTH};
    ft_op_shape op_shape = {.q_heads = Q_HEADS, .kv_heads = KV_HEADS, .head_dim = D, .max_length = LENGTH};
    t.bytes = ft_op_workspace(FT_OP_ATTENTION_DECODE, &op_shape, FT_DEVICE_CUDA);
    t.workspace = t_device(t.bytes);
    t.k = t_device(cache);
    t.v = t_device(cache);
    t.q = (ft_view){.data = t_upload_bf16(t_random(q_cols, 1, 1), q_cols), .repr = FT_REPR_BF16, .rows = 1, .cols = q_cols,
                    .ld = q_cols};
    t.o = t.q;
    t.o.data = t_device(q_cols * 2);
    double seconds = t_time(decode_once, &t, 9);
    printf("decode 32/8 d128 length 8192: %.1f us, %.0f GB/s of the cache\n", seconds * 1e6, 2 * (double)cache / seconds * 1e-9);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_matches_float64_twice),
        cmocka_unit_test(speed_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
