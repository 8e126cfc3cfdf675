// The layout of a layer's activations: what lives at the same time does not overlap, with the MLP in one or in tiles; micro-batches
// of one tile are laid out as ever; shorter ones fit into the blocks of longer ones; and 131,072 tokens fit one H100.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "offload/plan.h"

static ft_shape small_shape(void)
{
    return (ft_shape){.hidden = 256, .ffn = 688, .layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 64, .vocab = 320, .qk_norm = true, .qkv_bias = true};
}

static ft_activation_options options_of(int64_t tokens, int64_t mlp_chunk, ft_device_kind device, bool fp8)
{
    return (ft_activation_options){.tokens = tokens, .max_document = tokens, .max_docs = 1, .head_chunk = 64, .mlp_chunk = mlp_chunk, .lora_r = 8,
                                   .lora_targets = FT_LINEAR_ALL, .fp8 = fp8, .device = device,
                                   .repr = device == FT_DEVICE_CUDA ? FT_REPR_BF16 : FT_REPR_F32};
}

static ft_activation_layout layout_of(const ft_activation_options *options)
{
    ft_shape shape = small_shape();
    ft_activation_layout layout;
    ft_activation_layout_make(&layout, &shape, options);
    return layout;
}

typedef struct {
    int64_t begin, end;
} extent;

static int extents_of(const ft_activation_layout *layout, int act, extent e[2])
{
    int64_t twin = layout->twin[act], room = (layout->rows[act] + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    e[0] = (extent){layout->offset[act], layout->offset[act] + layout->bytes[act]};
    if (twin < 0) return 1;
    e[1] = (extent){twin, twin + room * (layout->cols[act] + (layout->cols[act] + 127) / 128 * 4)};
    return 2;
}

static bool of_mlp(int act)
{
    return act == FT_ACT_GATE_UP || act == FT_ACT_S_GATE_UP || act == FT_ACT_S_DOWN || act == FT_ACT_SWIGLU || act == FT_ACT_D_SWIGLU ||
           act == FT_ACT_D_GATE_UP || act == FT_ACT_TILE_NORMED || act == FT_ACT_TILE_D_NORMED;
}

static bool of_attention(int act)
{
    return act == FT_ACT_NORMED || act == FT_ACT_D_NORMED || act == FT_ACT_D_ATTN || act == FT_ACT_D_QKV;
}

// Pairs of which one is done with before the other is written.
static bool take_turns(const ft_activation_layout *layout, int a, int b)
{
    if (!layout->tiled) return false;
    if ((of_mlp(a) && of_attention(b)) || (of_attention(a) && of_mlp(b))) return true;
    return (a == FT_ACT_D_NORMED && b == FT_ACT_D_ATTN) || (a == FT_ACT_D_ATTN && b == FT_ACT_D_NORMED);
}

static bool in_scratch(const ft_activation_layout *layout, int act)
{
    char saved, scratch;
    return ft_activation_block(layout, (ft_act)act, &saved, &scratch) == &scratch;
}

static void check_pair(const ft_activation_layout *layout, int a, int b)
{
    extent x[2], y[2];
    int n = extents_of(layout, a, x), m = extents_of(layout, b, y);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < m; j++) {
            bool apart = x[i].begin == x[i].end || y[j].begin == y[j].end || x[i].end <= y[j].begin || y[j].end <= x[i].begin;
            if (!apart) fail_msg("tensors %d and %d overlap, %lld tokens in %lld", a, b, (long long)layout->tokens, (long long)layout->mlp_rows);
        }
    }
}

static void check_layout(const ft_activation_layout *layout)
{
    for (int a = 0; a < FT_ACT_COUNT; a++) {
        extent e[2];
        int64_t end = in_scratch(layout, a) ? layout->scratch_bytes : layout->saved_bytes;
        for (int i = extents_of(layout, a, e) - 1; i >= 0; i--) assert_true(e[i].begin >= 0 && e[i].end <= end);
        for (int b = 0; b < a; b++)
            if (in_scratch(layout, a) == in_scratch(layout, b) && !take_turns(layout, a, b)) check_pair(layout, a, b);
    }
}

static void nothing_that_lives_together_overlaps(void **state)
{
    static const int64_t tokens[] = {1, 100, 129, 1000, 4096}, chunks[] = {0, 1, 100, 128, 4095};
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            for (int kind = 0; kind < 6; kind++) {
                ft_activation_options options = options_of(tokens[t], chunks[c], kind == 0 ? FT_DEVICE_CPU : FT_DEVICE_CUDA, kind >= 3);
                options.keep_inputs = kind == 2 || kind == 4;
                options.lora_targets = kind == 5 ? 0x11 : FT_LINEAR_ALL;
                ft_activation_layout layout = layout_of(&options);
                check_layout(&layout);
            }
        }
    }
}

static void tiles_are_whole_products(void **state)
{
    ft_activation_options options = options_of(1000, 100, FT_DEVICE_CUDA, true);
    ft_activation_layout layout = layout_of(&options);
    assert_true(layout.tiled && layout.mlp_rows == 128);
    options.device = FT_DEVICE_CPU;
    layout = layout_of(&options);
    assert_true(layout.tiled && layout.mlp_rows == 100);
    assert_int_equal(layout.rows[FT_ACT_GATE_UP], 100);
    assert_int_equal(layout.rows[FT_ACT_MID], 1000);
    options.mlp_chunk = 0;
    layout = layout_of(&options);
    assert_true(!layout.tiled && layout.mlp_rows == 1000);
}

static void one_tile_is_laid_out_as_ever(void **state)
{
    for (int fp8 = 0; fp8 < 2; fp8++) {
        ft_activation_options never = options_of(1024, 0, FT_DEVICE_CUDA, fp8), fits = options_of(1024, 1000, FT_DEVICE_CUDA, fp8);
        never.keep_inputs = fits.keep_inputs = true;
        ft_activation_layout a = layout_of(&never), b = layout_of(&fits);
        assert_true(!b.tiled && b.keeps_inputs);
        assert_memory_equal(a.offset, b.offset, sizeof a.offset);
        assert_memory_equal(a.twin, b.twin, sizeof a.twin);
        assert_memory_equal(a.ld, b.ld, sizeof a.ld);
        assert_int_equal(a.saved_bytes, b.saved_bytes);
        assert_int_equal(a.scratch_bytes, b.scratch_bytes);
        assert_int_equal(a.workspace_bytes, b.workspace_bytes);
    }
}

// Generation lays out prompts of any length in the plan's blocks.
static void shorter_ones_fit_the_blocks_of_longer_ones(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        ft_activation_options options = options_of(600, 130, kind == 0 ? FT_DEVICE_CPU : FT_DEVICE_CUDA, kind == 2);
        ft_activation_layout whole = layout_of(&options);
        options.tiled = true;
        for (options.tokens = 1; options.tokens <= 600; options.tokens++) {
            ft_activation_layout part = layout_of(&options);
            assert_true(part.tiled && part.saved_bytes <= whole.saved_bytes && part.scratch_bytes <= whole.scratch_bytes);
        }
    }
}

static int64_t hbm_bytes(const char *geometry, int64_t layers, ft_compute compute, ft_tier boundary)
{
    ft_shape shape;
    ft_layout layout;
    ft_machine machine;
    ft_plan plan;
    assert_int_equal(ft_shape_geometry(&shape, geometry), FT_OK);
    shape.layers = layers;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    assert_int_equal(ft_machine_read(&machine, "configs/machines/1xh100.yaml"), FT_OK);
    const ft_plan_request request = {.layout = &layout, .machine = &machine, .compute = compute, .gpus = 1, .sequence_len = 131072, .micro_batch_size = 1,
                                     .accumulation = 1, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024,
                                     .mlp_chunk = 16384, .prefetch_depth = 1, .base_placement = FT_TIER_HBM, .pinned_hbm = FT_PLAN_AUTO,
                                     .pinned_host = FT_PLAN_AUTO, .policy = FT_POLICY_RECOMPUTE, .boundary = boundary, .sweep_micro_batches = 1};
    if (ft_plan_make(&plan, &request) != FT_OK) fail_msg("%s", ft_error_message());
    int64_t bytes = plan.tier_bytes[FT_TIER_HBM];
    ft_plan_free(&plan);
    ft_layout_free(&layout);
    return bytes;
}

static void a_context_of_131072_fits_one_h100(void **state)
{
    const int64_t most = (int64_t)79 * 1000 * 1000 * 1000;
    assert_true(hbm_bytes("llama3-405b", 1, FT_COMPUTE_BF16, FT_TIER_HBM) < most);
    assert_true(hbm_bytes("llama3-405b", 1, FT_COMPUTE_FP8, FT_TIER_HBM) < most);
    assert_true(hbm_bytes("llama3-8b", 32, FT_COMPUTE_BF16, FT_TIER_HOST) < most);
    assert_true(hbm_bytes("llama3-8b", 32, FT_COMPUTE_FP8, FT_TIER_HOST) < most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_lives_together_overlaps), cmocka_unit_test(tiles_are_whole_products),
        cmocka_unit_test(one_tile_is_laid_out_as_ever), cmocka_unit_test(shorter_ones_fit_the_blocks_of_longer_ones),
        cmocka_unit_test(a_context_of_131072_fits_one_h100),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
