// Layout of records: bytes and offsets against tables made by hand.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "offload/record.h"

static ft_shape geometry(const char *name)
{
    ft_shape shape;
    assert_int_equal(ft_shape_geometry(&shape, name), FT_OK);
    return shape;
}

// A family with everything a record can hold.
static const ft_family full_family = {
    .architecture = "Full",
    .roles = {"n1.%lld", "q.%lld", "k.%lld", "v.%lld", "o.%lld", "n2.%lld", "g.%lld", "u.%lld", "d.%lld", "qb.%lld", "kb.%lld",
              "vb.%lld", "qn.%lld", "kn.%lld", "embed", "norm", "head"},
};

static ft_shape small_shape(int64_t q_heads, int64_t kv_heads, int64_t head_dim, int64_t ffn)
{
    return (ft_shape){.family = &full_family, .hidden = 192, .ffn = ffn, .layers = 2, .q_heads = q_heads, .kv_heads = kv_heads,
                      .head_dim = head_dim, .vocab = 320, .qkv_bias = true, .qk_norm = true, .dtype = FT_DTYPE_F16};
}

// hidden 16384, ffn 53248, 128 query and 8 key heads of 128. Codes: qkv 18432 x 16384, o 16384^2, gate+up 106496 x 16384,
// down 16384 x 53248. Scale arrays: 144 x 128, 128 x 144, 128 x 128, 832 x 128, 128 x 832, 128 x 416, 416 x 128 floats.
static void layer_of_405b_is_the_hand_table(void **state)
{
    static const struct { ft_role role; int64_t rows, cols, codes, scales, scales_t; } table[] = {
        {FT_ROLE_Q, 18432, 16384, 0, 301989888, 302063616},
        {FT_ROLE_O, 16384, 16384, 302252032, 570687488, 570753024},
        {FT_ROLE_GATE, 106496, 16384, 570949632, 2315780096, 2316206080},
        {FT_ROLE_DOWN, 16384, 53248, 2316828672, 3189243904, 3189456896},
    };
    static const ft_extent extents[] = {{0, 302252032}, {302252032, 268697600}, {570949632, 1745879040}, {2316828672, 872939520}};
    ft_shape shape = geometry("llama3-405b");
    ft_layout layout;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    assert_int_equal(layout.n_records, 128);
    const ft_record *layer = &layout.record[17];
    for (int g = 0; g < 4; g++) {
        assert_int_equal(layer->extent[g].offset, extents[g].offset);
        assert_int_equal(layer->extent[g].bytes, extents[g].bytes);
        const ft_record_tensor *tensor = ft_record_find(layer, table[g].role);
        assert_int_equal(tensor->rows, table[g].rows);
        assert_int_equal(tensor->cols, table[g].cols);
        assert_int_equal(tensor->codes, table[g].codes);
        assert_int_equal(tensor->scales, table[g].scales);
        assert_int_equal(tensor->scales_t, table[g].scales_t);
    }
    assert_int_equal(ft_record_codes_bytes(layer), 3187671040);
    // Small tensors: two bf16 norms of 16384.
    assert_int_equal(layer->extent[FT_GROUP_SMALL].offset, 3189768192);
    assert_int_equal(layer->extent[FT_GROUP_SMALL].bytes, 262144);
    assert_int_equal(layer->bytes, 3190030336);
    assert_int_equal(layout.layer_bytes_max, 3190030336);
    // Embedding 128256 x 16384 bf16; head the same behind the final norm.
    assert_int_equal(layout.record[ft_layout_embed(&layout)].bytes, 4202692608);
    assert_int_equal(layout.record[ft_layout_head(&layout)].bytes, 4202954752);
    assert_int_equal(layout.bytes, 126 * 3190030336 + 4202692608 + 4202954752);
    ft_layout_free(&layout);
}

// Pieces of one record in the order they lie: aligned, disjoint, inside the extent of their group.
static void check_pieces(const ft_record *record)
{
    int64_t end = 0, offset = 0;
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *t = &record->tensor[i];
        const ft_extent *extent = &record->extent[t->group];
        int64_t scales = 4 * (int64_t)ft_scale_count(t->kind, t->rows, t->cols);
        int64_t scales_t = 4 * (int64_t)ft_scale_count(t->kind, t->cols, t->rows);
        assert_true(t->codes >= end && t->codes % 256 == 0 && t->codes >= extent->offset);
        assert_int_equal(t->codes_bytes, t->rows * t->cols * (int64_t)ft_dtype_bytes(t->dtype));
        end = t->codes + t->codes_bytes;
        assert_true((t->kind == FT_SCALE_TILE) == (t->scales >= 0) && (t->kind == FT_SCALE_TILE) == (t->scales_t >= 0));
        if (t->kind == FT_SCALE_TILE) {
            assert_true(t->scales >= end && t->scales % 256 == 0 && t->scales_t >= t->scales + scales && t->scales_t % 256 == 0);
            end = t->scales_t + scales_t;
        }
        assert_true(end <= extent->offset + extent->bytes);
    }
    for (int g = 0; g < FT_GROUP_COUNT; g++) {
        if (record->extent[g].bytes == 0) continue;
        assert_int_equal(record->extent[g].offset, offset);
        assert_int_equal(record->extent[g].bytes % FT_EXTENT_ALIGN, 0);
        offset += record->extent[g].bytes;
    }
    assert_int_equal(record->bytes, offset);
}

static void pieces_are_aligned_and_disjoint_for_any_shape(void **state)
{
    static const int64_t head_dims[] = {16, 64, 128}, ffns[] = {64, 128, 320};
    for (int f = 0; f < 2; f++)
        for (int h = 0; h < 3; h++)
            for (int n = 0; n < 3; n++) {
                ft_shape shape = small_shape(3, 1, head_dims[h], ffns[n]);
                ft_layout layout;
                assert_int_equal(ft_layout_make(&layout, &shape, f ? FT_BASE_BF16 : FT_BASE_FP8, NULL, NULL), FT_OK);
                int64_t bytes = 0;
                for (int r = 0; r < layout.n_records; r++) {
                    check_pieces(&layout.record[r]);
                    bytes += layout.record[r].bytes;
                }
                assert_int_equal(layout.bytes, bytes);
                ft_layout_free(&layout);
            }
}

static void parts_stack_only_where_tiles_do_not_span_them(void **state)
{
    ft_layout layout;
    ft_shape shape = small_shape(2, 1, 128, 320);  // q|k|v 256, 128, 128 rows; gate|up 320 each
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    const ft_record *layer = &layout.record[0];
    assert_int_equal(ft_record_find(layer, FT_ROLE_Q)->n_parts, 3);
    assert_ptr_equal(ft_record_find(layer, FT_ROLE_V), ft_record_find(layer, FT_ROLE_Q));
    assert_int_equal(ft_record_find(layer, FT_ROLE_Q)->rows, 512);
    assert_int_equal(ft_record_find(layer, FT_ROLE_GATE)->n_parts, 1);
    assert_ptr_not_equal(ft_record_find(layer, FT_ROLE_UP), ft_record_find(layer, FT_ROLE_GATE));
    assert_int_equal(ft_record_find(layer, FT_ROLE_UP)->rows, 320);
    ft_layout_free(&layout);
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_BF16, NULL, NULL), FT_OK);
    assert_int_equal(ft_record_find(&layout.record[0], FT_ROLE_GATE)->n_parts, 2);
    assert_int_equal(ft_record_find(&layout.record[0], FT_ROLE_UP)->rows, 640);
    assert_int_equal(ft_record_find(&layout.record[0], FT_ROLE_UP)->dtype, FT_DTYPE_BF16);
    ft_layout_free(&layout);
}

static ft_form vectors_in_f32(void *context, ft_role role, int64_t layer)
{
    assert_ptr_equal(context, &full_family);
    assert_true(role >= FT_ROLE_LAYER_COUNT ? layer == -1 : layer >= 0);
    if (ft_role_is_linear(role)) return ft_base_form(FT_BASE_FP8);
    return (ft_form){ft_role_is_matrix(role) ? FT_DTYPE_BF16 : FT_DTYPE_F32, FT_SCALE_NONE};
}

static void what_is_not_a_linear_keeps_its_source_dtype(void **state)
{
    ft_layout layout;
    ft_shape shape = small_shape(3, 1, 64, 320);
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, vectors_in_f32, (void *)&full_family), FT_OK);
    const ft_record *layer = &layout.record[1];
    assert_int_equal(ft_record_find(layer, FT_ROLE_K_NORM)->dtype, FT_DTYPE_F32);
    assert_int_equal(ft_record_find(layer, FT_ROLE_K_NORM)->cols, 64);
    assert_int_equal(ft_record_find(layer, FT_ROLE_Q_BIAS)->cols, 192);
    assert_int_equal(ft_record_find(layer, FT_ROLE_Q_BIAS)->rows, 1);
    assert_int_equal(ft_record_find(layer, FT_ROLE_Q)->dtype, FT_DTYPE_F8_E4M3);
    assert_int_equal(ft_record_find(&layout.record[ft_layout_embed(&layout)], FT_ROLE_EMBED)->dtype, FT_DTYPE_BF16);
    assert_int_equal(ft_record_find(&layout.record[ft_layout_head(&layout)], FT_ROLE_FINAL_NORM)->dtype, FT_DTYPE_F32);
    ft_layout_free(&layout);
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    assert_int_equal(ft_record_find(&layout.record[0], FT_ROLE_K_NORM)->dtype, FT_DTYPE_F16);
    ft_layout_free(&layout);
}

// Layer 0: all rows scaled; layer 1: one scale per tensor, v and up unquantized, o and down in f16 and f32.
static ft_form mixed_forms(void *context, ft_role role, int64_t layer)
{
    if (!ft_role_is_linear(role)) return (ft_form){FT_DTYPE_BF16, FT_SCALE_NONE};
    if (layer == 0) return (ft_form){FT_DTYPE_F8_E4M3, FT_SCALE_ROW};
    if (role == FT_ROLE_O) return (ft_form){FT_DTYPE_F16, FT_SCALE_NONE};
    if (role == FT_ROLE_DOWN) return (ft_form){FT_DTYPE_F32, FT_SCALE_NONE};
    if (role == FT_ROLE_V || role == FT_ROLE_UP) return (ft_form){FT_DTYPE_BF16, FT_SCALE_NONE};
    return (ft_form){FT_DTYPE_F8_E4M3, FT_SCALE_TENSOR};
}

static void expect_tensor(const ft_record *record, ft_role role, ft_record_tensor expected)
{
    const ft_record_tensor *tensor = ft_record_find(record, role);
    assert_int_equal(tensor->role, expected.role);
    assert_int_equal(tensor->n_parts, expected.n_parts);
    assert_int_equal(tensor->dtype, expected.dtype);
    assert_int_equal(tensor->kind, expected.kind);
    assert_int_equal(tensor->rows, expected.rows);
    assert_int_equal(tensor->codes, expected.codes);
    assert_int_equal(tensor->scales, expected.scales);
    assert_int_equal(tensor->scales_t, -1);
}

// hidden 192, q 192 rows, k and v 64, ffn 322. Codes 320 x 192 = 61440, 1280 bytes of row scales; gate|up 644 x 192.
static void parts_are_stacked_where_they_share_a_form_and_no_scale(void **state)
{
    static const int64_t extent = FT_EXTENT_ALIGN;
    ft_layout layout;
    ft_shape shape = small_shape(3, 1, 64, 322);
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, mixed_forms, NULL), FT_OK);
    const ft_dtype e4m3 = FT_DTYPE_F8_E4M3, bf16 = FT_DTYPE_BF16;
    const ft_record *rows = &layout.record[0], *mixed = &layout.record[1];
    expect_tensor(rows, FT_ROLE_V, (ft_record_tensor){FT_ROLE_Q, 3, 0, e4m3, FT_SCALE_ROW, 320, 192, 0, 0, 61440, -1});
    expect_tensor(rows, FT_ROLE_UP, (ft_record_tensor){FT_ROLE_GATE, 2, 0, e4m3, FT_SCALE_ROW, 644, 192, 2 * extent, 0, 2 * extent + 123648, -1});
    expect_tensor(rows, FT_ROLE_DOWN, (ft_record_tensor){FT_ROLE_DOWN, 1, 0, e4m3, FT_SCALE_ROW, 192, 322, 3 * extent, 0, 3 * extent + 61952, -1});
    expect_tensor(mixed, FT_ROLE_Q, (ft_record_tensor){FT_ROLE_Q, 1, 0, e4m3, FT_SCALE_TENSOR, 192, 192, 0, 0, 36864, -1});
    expect_tensor(mixed, FT_ROLE_K, (ft_record_tensor){FT_ROLE_K, 1, 0, e4m3, FT_SCALE_TENSOR, 64, 192, 37120, 0, 49408, -1});
    expect_tensor(mixed, FT_ROLE_V, (ft_record_tensor){FT_ROLE_V, 1, 0, bf16, FT_SCALE_NONE, 64, 192, 49664, 0, -1, -1});
    expect_tensor(mixed, FT_ROLE_O, (ft_record_tensor){FT_ROLE_O, 1, 0, FT_DTYPE_F16, FT_SCALE_NONE, 192, 192, extent, 0, -1, -1});
    expect_tensor(mixed, FT_ROLE_UP, (ft_record_tensor){FT_ROLE_UP, 1, 0, bf16, FT_SCALE_NONE, 322, 192, 2 * extent + 62208, 0, -1, -1});
    assert_int_equal(ft_record_find(mixed, FT_ROLE_DOWN)->codes_bytes, 192 * 322 * 4);
    assert_int_equal(layout.layer_bytes_max, mixed->bytes > rows->bytes ? mixed->bytes : rows->bytes);
    ft_layout_free(&layout);
}

static void tied_head_record_has_no_matrix(void **state)
{
    ft_layout layout;
    ft_shape shape = small_shape(3, 1, 64, 320);
    shape.tied = true;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    const ft_record *head = &layout.record[ft_layout_head(&layout)];
    assert_int_equal(head->kind, FT_RECORD_HEAD);
    assert_null(ft_record_find(head, FT_ROLE_HEAD));
    assert_non_null(ft_record_find(head, FT_ROLE_FINAL_NORM));
    assert_int_equal(ft_record_codes_bytes(head), 0);
    assert_int_equal(ft_record_codes_bytes(&layout.record[ft_layout_embed(&layout)]), 320 * 192 * 2);
    ft_layout_free(&layout);
}

static void views_point_into_the_record(void **state)
{
    ft_layout layout;
    ft_shape shape = small_shape(2, 1, 128, 320);
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_OK);
    const ft_record_tensor *tensor = ft_record_find(&layout.record[0], FT_ROLE_DOWN);
    const char *base = (const char *)0x100000;
    ft_matrix matrix = ft_record_matrix(tensor, base);
    assert_ptr_equal(matrix.codes, base + tensor->codes);
    assert_ptr_equal(matrix.scales, base + tensor->scales);
    assert_ptr_equal(matrix.scales_t, base + tensor->scales_t);
    assert_int_equal(matrix.rows, 192);
    assert_int_equal(matrix.cols, 320);
    assert_int_equal(matrix.kind, FT_SCALE_TILE);
    matrix = ft_record_matrix(ft_record_find(&layout.record[0], FT_ROLE_ATTN_NORM), base);
    assert_null(matrix.scales);
    assert_null(matrix.scales_t);
    assert_int_equal(matrix.dtype, FT_DTYPE_F16);
    ft_layout_free(&layout);
}

static void absurd_sizes_are_refused(void **state)
{
    ft_layout layout;
    ft_shape shape = small_shape(3, 1, 64, 320);
    shape.vocab = (int64_t)1 << 40;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_E_INPUT);
    shape = small_shape(3, 1, 64, 320);
    shape.layers = (int64_t)1 << 40;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_E_INPUT);
    shape.layers = 0;
    assert_int_equal(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL), FT_E_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_of_405b_is_the_hand_table),
        cmocka_unit_test(pieces_are_aligned_and_disjoint_for_any_shape),
        cmocka_unit_test(parts_stack_only_where_tiles_do_not_span_them),
        cmocka_unit_test(what_is_not_a_linear_keeps_its_source_dtype),
        cmocka_unit_test(parts_are_stacked_where_they_share_a_form_and_no_scale),
        cmocka_unit_test(tied_head_record_has_no_matrix),
        cmocka_unit_test(views_point_into_the_record),
        cmocka_unit_test(absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
