// Packing: every sample in exactly one row, no row too long, little waste, the same rows for the same seed and epoch.
#include "common/log.h"
#include "data/samples.h"
#include "data/t_data.h"

// n samples of random lengths in [shortest, longest]; sample i holds i.
static void make_samples(ft_samples *samples, int64_t n, int shortest, int longest, uint64_t seed)
{
    int32_t ids[4096];
    *samples = (ft_samples){0};
    for (int64_t i = 0; i < n; i++) {
        int64_t length = shortest + t_random(&seed) % (uint32_t)(longest - shortest + 1);
        for (int64_t k = 0; k < length; k++) ids[k] = (int32_t)i;
        t_ok(ft_samples_add(samples, ids, NULL, length, 0));
    }
}

static void assert_valid(const ft_packs *packs, const ft_samples *samples, int64_t sequence_len)
{
    char *seen = ft_calloc((size_t)samples->n, 1);
    assert_int_equal(packs->row_begin[0], 0);
    assert_int_equal(packs->row_begin[packs->n_rows], samples->n);
    for (int64_t row = 0; row < packs->n_rows; row++) {
        int64_t tokens = 0;
        assert_true(packs->row_begin[row] < packs->row_begin[row + 1]);
        for (int64_t i = packs->row_begin[row]; i < packs->row_begin[row + 1]; i++) {
            int64_t sample = packs->sample[i];
            assert_true(sample >= 0 && sample < samples->n && !seen[sample]);
            seen[sample] = 1;
            tokens += ft_sample_length(samples, sample);
        }
        assert_true(tokens <= sequence_len);
    }
    ft_free(seen);
}

// A row's documents are its samples and the rest; no row has more than the bound, which the shortest samples would reach.
static void assert_bounded(const ft_packs *packs, const ft_samples *samples, int64_t sequence_len, bool packing)
{
    int64_t most;
    t_ok(ft_pack_most_documents(samples, sequence_len, packing, &most));
    for (int64_t row = 0; row < packs->n_rows; row++) assert_true(packs->row_begin[row + 1] - packs->row_begin[row] + 1 <= most);
    assert_true(most <= (packing ? sequence_len / 2 + 1 : 2) && most >= 2);
}

static bool same(const ft_packs *a, const ft_packs *b)
{
    return a->n_rows == b->n_rows && memcmp(a->row_begin, b->row_begin, (size_t)(a->n_rows + 1) * sizeof *a->row_begin) == 0 &&
           memcmp(a->sample, b->sample, (size_t)a->row_begin[a->n_rows] * sizeof *a->sample) == 0;
}

static void every_sample_is_in_one_row_that_holds_it(void **state)
{
    static const struct { int64_t n; int shortest, longest; int64_t sequence_len; } rows[] = {
        {1, 2, 2, 2}, {1000, 2, 64, 64}, {10000, 2, 700, 1024}, {5000, 2, 20, 4096}, {9000, 513, 1024, 1024}, {100, 64, 64, 64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ft_samples samples;
        ft_packs packs;
        make_samples(&samples, rows[i].n, rows[i].shortest, rows[i].longest, i);
        for (int mode = 0; mode < 4; mode++) {
            t_ok(ft_pack(&packs, &samples, rows[i].sequence_len, mode & 1, mode & 2, 9, (uint32_t)i));
            assert_valid(&packs, &samples, rows[i].sequence_len);
            if (!(mode & 1)) assert_int_equal(packs.n_rows, rows[i].n);
            assert_bounded(&packs, &samples, rows[i].sequence_len, mode & 1);
            ft_packs_free(&packs);
        }
        ft_samples_free(&samples);
    }
}

static void a_pack_depends_on_seed_and_epoch_alone(void **state)
{
    ft_samples samples;
    ft_packs a, b, other_seed, other_epoch, file_order;
    make_samples(&samples, 3000, 2, 500, 1);
    t_ok(ft_pack(&a, &samples, 1024, true, true, 5, 0));
    t_ok(ft_pack(&b, &samples, 1024, true, true, 5, 0));
    t_ok(ft_pack(&other_seed, &samples, 1024, true, true, 6, 0));
    t_ok(ft_pack(&other_epoch, &samples, 1024, true, true, 5, 1));
    t_ok(ft_pack(&file_order, &samples, 1024, true, false, 5, 0));
    assert_true(same(&a, &b));
    assert_false(same(&a, &other_seed));
    assert_false(same(&a, &other_epoch));
    assert_false(same(&a, &file_order));
    ft_packs_free(&b);
    t_ok(ft_pack(&b, &samples, 1024, true, false, 77, 3));
    assert_true(same(&file_order, &b));  // without shuffling seed and epoch say nothing
    ft_packs *all[] = {&a, &b, &other_seed, &other_epoch, &file_order};
    for (int i = 0; i < 5; i++) ft_packs_free(all[i]);
    ft_samples_free(&samples);
}

static void unpacked_rows_follow_the_order(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 50, 2, 9, 1);
    t_ok(ft_pack(&packs, &samples, 16, false, false, 0, 0));
    for (int64_t i = 0; i < 50; i++) assert_int_equal(packs.sample[packs.row_begin[i]], i);
    ft_packs_free(&packs);
    ft_samples_free(&samples);
}

static double waste(const ft_packs *packs, const ft_samples *samples, int64_t sequence_len)
{
    return 1 - (double)samples->tokens / ((double)packs->n_rows * (double)sequence_len);
}

static void rows_are_nearly_full(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 40000, 20, 1200, 2);
    t_ok(ft_pack(&packs, &samples, 4096, true, true, 1, 0));
    assert_true(waste(&packs, &samples, 4096) < 0.005);
    ft_packs_free(&packs);
    t_ok(ft_pack(&packs, &samples, 1 << 17, true, true, 1, 0));  // long rows of short samples
    assert_true(waste(&packs, &samples, 1 << 17) < 0.02);
    ft_packs_free(&packs);
    ft_samples_free(&samples);
}

// First-fit decreasing puts long samples into early rows; training must not see them first.
static void long_samples_do_not_come_first(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 4000, 2, 1000, 3);
    t_ok(ft_pack(&packs, &samples, 1024, true, true, 1, 0));
    int64_t half = packs.n_rows / 2, early = 0, late = 0;
    for (int64_t row = 0; row < 2 * half; row++)
        *(row < half ? &early : &late) += packs.row_begin[row + 1] - packs.row_begin[row];
    assert_true(early > late * 8 / 10 && late > early * 8 / 10);
    ft_packs_free(&packs);
    ft_samples_free(&samples);
}

static void a_million_samples_pack_in_seconds(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 1000000, 2, 60, 4);
    double start = ft_now_s();
    t_ok(ft_pack(&packs, &samples, 256, true, true, 1, 0));
    assert_true(ft_now_s() - start < 20);
    assert_valid(&packs, &samples, 256);
    ft_packs_free(&packs);
    ft_samples_free(&samples);
}

static void a_sample_that_fits_no_row_is_an_error(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 10, 17, 17, 0);
    t_fails(ft_pack(&packs, &samples, 16, true, true, 0, 0), FT_E_INPUT, "sample 0 has 17 tokens, more than sequence_len 16");
    ft_samples_free(&samples);
}

// Times each sample comes in an epoch.
static void count_copies(const ft_samples *samples, uint64_t seed, uint32_t epoch, bool shuffle, int *copies)
{
    ft_packs packs;
    memset(copies, 0, (size_t)samples->n * sizeof *copies);
    t_ok(ft_pack(&packs, samples, 128, true, shuffle, seed, epoch));
    int64_t last = packs.row_begin[packs.n_rows];
    for (int64_t row = 0; row < packs.n_rows; row++) {
        int64_t tokens = 0;
        assert_true(packs.row_begin[row] < packs.row_begin[row + 1]);
        for (int64_t i = packs.row_begin[row]; i < packs.row_begin[row + 1]; i++) tokens += ft_sample_length(samples, packs.sample[i]);
        assert_true(tokens <= 128);
    }
    for (int64_t i = 0; i < last; i++) copies[packs.sample[i]]++;
    ft_packs_free(&packs);
}

static void weights_repeat_and_leave_out_samples(void **state)
{
    static const double weights[] = {1, 0.5, 2.5, 0, 0.25};
    static const int extra_of_40[] = {0, 20, 20, 0, 10};
    ft_samples samples;
    int copies[200], sum[200] = {0}, again[200], other[200];
    make_samples(&samples, 200, 2, 60, 5);
    for (int i = 0; i < 200; i++) samples.source[i] = i % 5;
    samples.weights = FT_NEW_ARRAY(double, 5);
    memcpy(samples.weights, weights, sizeof weights);
    samples.n_weights = 5;
    for (int mode = 0; mode < 2; mode++) {
        memset(sum, 0, sizeof sum);
        for (uint32_t epoch = 0; epoch < 4; epoch++) {
            int extra[5] = {0};
            count_copies(&samples, 7, epoch, mode, copies);
            for (int i = 0; i < 200; i++) {
                int whole = (int)weights[i % 5];
                assert_true(copies[i] == whole || copies[i] == whole + 1);
                extra[i % 5] += copies[i] - whole;
                sum[i] += copies[i];
            }
            assert_memory_equal(extra, extra_of_40, sizeof extra);
        }
        for (int i = 0; i < 200; i++) assert_int_equal(sum[i], 4 * weights[i % 5]);  // four epochs even out quarters and halves
    }
    count_copies(&samples, 7, 3, true, copies);
    count_copies(&samples, 7, 3, true, again);
    count_copies(&samples, 8, 3, true, other);
    assert_memory_equal(copies, again, sizeof copies);
    assert_true(memcmp(copies, other, sizeof copies) != 0);
    ft_samples_free(&samples);
}

static void weights_that_leave_nothing_are_an_error(void **state)
{
    ft_samples samples;
    ft_packs packs;
    make_samples(&samples, 3, 2, 9, 5);
    samples.weights = FT_NEW_ARRAY(double, 1);
    samples.n_weights = 1;
    samples.weights[0] = 0.1;
    t_fails(ft_pack(&packs, &samples, 16, true, true, 0, 0), FT_E_INPUT, "leave no sample for an epoch");
    ft_samples_free(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_in_one_row_that_holds_it),
        cmocka_unit_test(a_pack_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(unpacked_rows_follow_the_order),
        cmocka_unit_test(rows_are_nearly_full),
        cmocka_unit_test(long_samples_do_not_come_first),
        cmocka_unit_test(a_million_samples_pack_in_seconds),
        cmocka_unit_test(a_sample_that_fits_no_row_is_an_error),
        cmocka_unit_test(weights_repeat_and_leave_out_samples),
        cmocka_unit_test(weights_that_leave_nothing_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
