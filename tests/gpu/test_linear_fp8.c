// linear_forward and linear_backward with E4M3 weights of every scale kind against float64 sums over what the codes mean: the
// reference quantizes x and dy as the kernels do, so that bf16's tolerance holds and a scale out of place shows.
#include "gpu/linear_check.h"

static const linear_case cases[] = {
    {.rows = 1, .in = 128, .n_parts = 1, .out = {128}, .r = {8}},
    {.rows = 130, .in = 640, .n_parts = 1, .out = {384}},
    {.rows = 33, .in = 128, .n_parts = 1, .out = {256}, .bias = {true}, .residual = RESIDUAL},
    {.rows = 300, .in = 384, .n_parts = 3, .out = {256, 128, 128}, .r = {16, 16, 16}, .bias = {true, true, true}},
    {.rows = 128, .in = 512, .n_parts = 1, .out = {640}, .r = {64}, .residual = RESIDUAL_IS_Y},
    {.rows = 47, .in = 256, .n_parts = 1, .out = {256}, .residual = RESIDUAL_IS_Y},
    {.rows = 100, .in = 256, .n_parts = 2, .out = {384, 384}, .r = {16, 8}, .dropout = 0.25f},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void check_kind(ft_scale_kind kind, bool twins)
{
    t_open(&(ft_ops_options){.rows = 512, .train = true});
    for (int i = 0; i < CASES; i++) {
        linear_case c = cases[i];
        c.kind = kind;
        c.twins = twins;
        linear_check_forward(&c);
        linear_check_backward(&c);
    }
}

static void tile_scales_with_operands_quantized_here(void **state)
{
    check_kind(FT_SCALE_TILE, false);
}

static void tile_scales_with_twins(void **state)
{
    check_kind(FT_SCALE_TILE, true);
}

static void row_scales(void **state)
{
    check_kind(FT_SCALE_ROW, false);
    // The kind has no use for twins, and ignores them.
    check_kind(FT_SCALE_ROW, true);
}

static void tensor_scales(void **state)
{
    check_kind(FT_SCALE_TENSOR, false);
}

// y's own twin holds y again.
static void y_is_written_with_its_twin(void **state)
{
    linear_test t;
    linear_case c = cases[3];
    c.kind = FT_SCALE_TILE;
    t_open(&(ft_ops_options){.rows = 512});
    linear_test_init(&t, &c);
    int64_t bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_FORWARD), n = c.rows * t.out, blocks = t.out / FT_TILE;
    ft_view x = linear_view(&t, t.x, c.in, c.in + t.fold), none = {0};
    ft_view y = linear_bf16_view(t_device(t.room * t.out * 2), c.rows, t.out, t.out);
    y.codes = t_device(t.room * t.out);
    y.scales = t_device(blocks * t.room * 4);
    linear_must(t_ops()->linear_forward(t_queue(), &t.group, y, x, none, none, t_device(bytes), bytes), t.text);
    const float *stored = t_download_bf16(y.data, n), *scales = linear_download(&t, y.scales, blocks * t.room);
    uint8_t *codes = linear_host(&t, n);
    float *meant = linear_host(&t, n * 4), *twin = linear_host(&t, n * 4);
    t_download(codes, y.codes, n);
    linear_quantize(meant, NULL, NULL, 0, stored, linear_ones(&t, t.out), c.rows, t.out, FT_TILE);
    for (int64_t i = 0; i < n; i++) twin[i] = ft_e4m3_to_f32(codes[i]) * scales[i % t.out / FT_TILE * t.room + i / t.out];
    linear_check(&t, "y's twin", twin, linear_doubles(&t, meant, n), n, 1e-3);
    linear_test_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tile_scales_with_operands_quantized_here), cmocka_unit_test(tile_scales_with_twins),
        cmocka_unit_test(row_scales),                               cmocka_unit_test(tensor_scales),
        cmocka_unit_test(y_is_written_with_its_twin),
    };
    return cmocka_run_group_tests_name("linear_fp8", tests, NULL, NULL);
}
