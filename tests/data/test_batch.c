// Micro-batches: documents apart from each other, the tail masked, rows past the end masked whole.
#include "data/samples.h"
#include "data/t_data.h"

#define LEN 8
#define PAD 99

static ft_samples samples;
static ft_packs packs;

// Rows: [a a a b b] + 3 free, [c x 8], [d d] + 6 free.
static int setup(void **state)
{
    static const int32_t ids[] = {10, 11, 12, 20, 21, 30, 31, 32, 33, 34, 35, 36, 37, 40, 41};
    static const int32_t labels[] = {10, -100, 12, 20, 21, -100, -100, 32, 33, 34, 35, 36, 37, 40, 41};
    static const int64_t begin[] = {0, 3, 5, 13, 15};
    for (int i = 0; i < 4; i++) t_ok(ft_samples_add(&samples, ids + begin[i], labels + begin[i], begin[i + 1] - begin[i], 0));
    packs.n_rows = 3;
    packs.sample = FT_NEW_ARRAY(int64_t, 4);
    packs.row_begin = FT_NEW_ARRAY(int64_t, 4);
    memcpy(packs.sample, (int64_t[]){0, 1, 2, 3}, 4 * sizeof(int64_t));
    memcpy(packs.row_begin, (int64_t[]){0, 2, 3, 4}, 4 * sizeof(int64_t));
    return 0;
}

static int teardown(void **state)
{
    ft_samples_free(&samples);
    ft_packs_free(&packs);
    return 0;
}

static void fill(ft_batch *batch, int64_t first, int64_t rows)
{
    t_ok(ft_batch_alloc(batch, rows * LEN));
    memset(batch->ids, 0x55, (size_t)batch->tokens * sizeof *batch->ids);
    memset(batch->labels, 0x55, (size_t)batch->tokens * sizeof *batch->labels);
    memset(batch->positions, 0x55, (size_t)batch->tokens * sizeof *batch->positions);
    ft_batch_fill(batch, &samples, &packs, first, rows, LEN, PAD, first * LEN);
}

static void assert_slots(const int32_t *got, const int32_t *expected, int n)
{
    for (int i = 0; i < n; i++) assert_int_equal(got[i], expected[i]);
}

static void documents_restart_and_the_tail_is_masked(void **state)
{
    ft_batch batch;
    fill(&batch, 0, 2);
    assert_slots(batch.ids, (int32_t[]){10, 11, 12, 20, 21, PAD, PAD, PAD, 30, 31, 32, 33, 34, 35, 36, 37}, 16);
    assert_slots(batch.labels, (int32_t[]){-100, -100, 12, -100, 21, -100, -100, -100, -100, -100, 32, 33, 34, 35, 36, 37}, 16);
    assert_slots(batch.positions, (int32_t[]){0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7}, 16);
    assert_int_equal(batch.n_docs, 4);
    assert_slots(batch.doc_begin, (int32_t[]){0, 3, 5, 8, 16}, 5);
    assert_int_equal(batch.trainable, 2 + 6);
    assert_int_equal(batch.real, 5 + 8);
    assert_int_equal(batch.token_base, 0);
    ft_batch_free(&batch);
}

static void rows_past_the_end_are_one_masked_document_each(void **state)
{
    ft_batch batch;
    fill(&batch, 2, 3);
    assert_slots(batch.ids, (int32_t[]){40, 41, PAD, PAD}, 4);
    for (int i = 8; i < 24; i++) {
        assert_int_equal(batch.ids[i], PAD);
        assert_int_equal(batch.labels[i], FT_LABEL_IGNORE);
        assert_int_equal(batch.positions[i], i % LEN);
    }
    assert_int_equal(batch.n_docs, 4);
    assert_slots(batch.doc_begin, (int32_t[]){0, 2, 8, 16, 24}, 5);
    assert_int_equal(batch.trainable, 1);
    assert_int_equal(batch.real, 2);
    assert_int_equal(batch.token_base, 16);
    ft_batch_free(&batch);
}

static void a_batch_is_filled_again_without_a_trace(void **state)
{
    ft_batch batch, fresh;
    fill(&batch, 0, 2);
    ft_batch_fill(&batch, &samples, &packs, 2, 2, LEN, PAD, 16);
    fill(&fresh, 2, 2);
    assert_int_equal(batch.n_docs, fresh.n_docs);
    assert_int_equal(batch.trainable, fresh.trainable);
    assert_memory_equal(batch.ids, fresh.ids, 16 * sizeof *batch.ids);
    assert_memory_equal(batch.labels, fresh.labels, 16 * sizeof *batch.labels);
    assert_memory_equal(batch.doc_begin, fresh.doc_begin, (size_t)(fresh.n_docs + 1) * sizeof *batch.doc_begin);
    ft_batch_free(&batch);
    ft_batch_free(&fresh);
}

static void batches_of_an_epoch_train_every_label_once(void **state)
{
    ft_samples many = {0};
    ft_packs packed;
    ft_batch batch;
    uint64_t seed = 8;
    int64_t trainable = 0, real = 0, expected = 0;
    int32_t ids[64];
    for (int i = 0; i < 500; i++) {
        int n = 2 + (int)(t_random(&seed) % 60);
        for (int k = 0; k < n; k++) ids[k] = k;
        t_ok(ft_samples_add(&many, ids, NULL, n, 0));
        expected += n - 1;
    }
    t_ok(ft_pack(&packed, &many, 64, true, true, 3, 0));
    t_ok(ft_batch_alloc(&batch, 3 * 64));
    for (int64_t row = 0; row < packed.n_rows; row += 3) {
        ft_batch_fill(&batch, &many, &packed, row, 3, 64, PAD, 0);
        trainable += batch.trainable;
        real += batch.real;
        // Sample tokens are their own positions: documents never run into each other.
        for (int64_t i = 0; i < batch.tokens; i++) {
            if (batch.ids[i] != PAD) assert_int_equal(batch.ids[i], batch.positions[i]);
        }
    }
    assert_int_equal(trainable, expected);
    assert_int_equal(real, many.tokens);
    ft_batch_free(&batch);
    ft_packs_free(&packed);
    ft_samples_free(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_restart_and_the_tail_is_masked),
        cmocka_unit_test(rows_past_the_end_are_one_masked_document_each),
        cmocka_unit_test(a_batch_is_filled_again_without_a_trace),
        cmocka_unit_test(batches_of_an_epoch_train_every_label_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
