// The kernel between the head's two products: losses and gradients of given logits against float64, value by value, over
// vocabularies that fill one block, clusters of blocks, and more than what they keep in registers.
#include "gpu/gpu.h"
#include "gpu/speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"
#include "kernels/cuda/head_loss.h"

enum { ROWS = 6, WRONG_ROW = 4 };  // the row whose label does not exist

typedef struct {
    int64_t vocab, hidden, x_pad;
    int keep;
    bool f32, gradient;
} loss_case;

static const loss_case cases[] = {
    {1, 64, 0, 0, false, true},        {2, 64, 0, 0, false, true},      {7, 64, 8, 0, false, true},      {8, 64, 0, 0, false, true},
    {9, 65, 0, 0, false, true},        {257, 64, 3, 0, false, true},    {1000, 4096, 8, 0, false, true}, {4096, 64, 0, 0, false, true},
    {4097, 128, 0, 0, false, true},    {32001, 64, 0, 0, false, true},  {32001, 64, 0, 0, false, false}, {32001, 64, 0, 0, true, true},
    {32000, 64, 0, 0, true, false},    {49152, 64, 0, 0, false, true},  {49152, 64, 0, 4, false, true},  {49152, 64, 0, 1, false, true},
    {128256, 512, 0, 0, false, true},  {128256, 64, 0, 4, false, true}, {128256, 64, 0, 5, false, true}, {128256, 64, 0, 3, false, true},
    {128256, 64, 0, 0, true, true},    {151936, 64, 0, 0, false, true}, {151936, 64, 0, 6, false, true}, {151936, 64, 0, 2, false, false},
    {152064, 64, 0, 7, false, true},   {262208, 64, 0, 0, false, true}, {300007, 64, 0, 0, false, true},
};

static const float loss_scale = 3e-5f;

typedef struct {
    const loss_case *c;
    int64_t x_ld, ld, gradient_ld;
    float *logits, *x, *head;            // host; head holds a row for each row's label alone
    int32_t labels[ROWS];
    ft_bf16 *head_codes;                 // [vocab, hidden]
    void *device_logits, *device_gradient;
    ft_cuda_loss_chunk chunk;
    ft_cuda_row_loss loss[ROWS];
    char text[128];
} job;

static void set_labels(job *j)
{
    int32_t vocab = (int32_t)j->c->vocab;
    const int32_t labels[ROWS] = {0, vocab - 1, -100, vocab / 2, vocab, vocab / 3};
    memcpy(j->labels, labels, sizeof labels);
}

static bool has_label(const job *j, int row)
{
    return j->labels[row] >= 0 && row != WRONG_ROW;
}

// Only the label's rows of the head are read, so the others stay NaN.
static void make_head(job *j)
{
    size_t bytes = (size_t)(j->c->vocab * j->c->hidden) * 2;
    j->head_codes = malloc(bytes);
    memset(j->head_codes, 0xFF, bytes);
    float *row = t_random(ROWS * j->c->hidden, 1, 3);
    for (int r = 0; r < ROWS; r++) {
        if (!has_label(j, r)) continue;
        ft_bf16 *codes = j->head_codes + j->labels[r] * j->c->hidden;
        for (int64_t i = 0; i < j->c->hidden; i++) codes[i] = ft_f32_to_bf16(row[r * j->c->hidden + i]);
    }
}

// Rows with columns [cols, ld) of NaN.
static void *upload_rows(const float *values, int64_t cols, int64_t ld, bool f32)
{
    int64_t bytes = f32 ? 4 : 2;
    char *host = malloc((size_t)(ROWS * ld * bytes));
    memset(host, 0xFF, (size_t)(ROWS * ld * bytes));
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t i = 0; i < cols; i++) {
            if (f32) memcpy(host + (r * ld + i) * 4, &values[r * cols + i], 4);
            else memcpy(host + (r * ld + i) * 2, &(ft_bf16){ft_f32_to_bf16(values[r * cols + i])}, 2);
        }
    }
    void *device = t_upload(host, ROWS * ld * bytes);
    free(host);
    return device;
}

static void upload(job *j)
{
    const loss_case *c = j->c;
    j->device_logits = upload_rows(j->logits, c->vocab, j->ld, c->f32);
    j->device_gradient = !c->gradient ? NULL : c->f32 ? t_device(ROWS * j->gradient_ld * 2) : j->device_logits;
    j->chunk = (ft_cuda_loss_chunk){
        .rows = ROWS, .hidden = c->hidden, .vocab = c->vocab, .logits = j->device_logits, .logits_ld = j->ld, .logits_f32 = c->f32,
        .gradient = j->device_gradient, .gradient_ld = j->gradient_ld, .loss = t_device(sizeof j->loss),
        .labels = t_upload(j->labels, sizeof j->labels), .x = upload_rows(j->x, c->hidden, j->x_ld, false), .x_ld = j->x_ld,
        .head = t_upload(j->head_codes, c->vocab * c->hidden * 2), .loss_scale = loss_scale, .keep = c->keep};
}

static job make(const loss_case *c)
{
    job j = {.c = c, .x_ld = c->hidden + c->x_pad, .gradient_ld = FT_CUDA_LOGITS_LD(c->vocab)};
    j.ld = c->f32 ? c->vocab : j.gradient_ld;
    snprintf(j.text, sizeof j.text, "vocab %lld, hidden %lld, keep %d, %s logits%s", (long long)c->vocab, (long long)c->hidden, c->keep,
             c->f32 ? "f32" : "bf16", c->gradient ? ", gradient" : "");
    set_labels(&j);
    j.logits = t_random(ROWS * c->vocab, 4, 1);
    for (int64_t i = 0; c->f32 && i < ROWS * c->vocab; i++) j.logits[i] *= 1.0f + (float)(i % 97) * 1e-4f;
    j.x = t_random(ROWS * c->hidden, 3.0f / sqrtf((float)c->hidden), 2);
    make_head(&j);
    upload(&j);
    return j;
}

static void run(job *j)
{
    assert_int_equal(ft_cuda_cross_entropy(t_queue(), &j->chunk), FT_OK);
    t_download(j->loss, j->chunk.loss, sizeof j->loss);
}

// The row's logits as the kernel is to see them; returns the sum of exp(z - largest).
static double reference_row(const job *j, int row, double *z, double *largest)
{
    const loss_case *c = j->c;
    double dot = 0, sum = 0;
    for (int64_t i = 0; i < c->hidden; i++) {
        dot += (double)j->x[row * c->hidden + i] * (double)ft_bf16_to_f32(j->head_codes[j->labels[row] * c->hidden + i]);
    }
    *largest = -INFINITY;
    for (int64_t v = 0; v < c->vocab; v++) {
        z[v] = v == j->labels[row] ? dot : (double)j->logits[row * c->vocab + v];
        *largest = fmax(*largest, z[v]);
    }
    for (int64_t v = 0; v < c->vocab; v++) sum += exp(z[v] - *largest);
    return sum;
}

// Each value is rounded to bf16 once: 2^-8 of it, and what float32 exponentials miss. Columns from the last octet's end on are
// nobody's.
static void check_gradient(const job *j, int row, const ft_bf16 *got, const double *z, double largest, double sum)
{
    int64_t vocab = j->c->vocab, wrong = 0;
    for (int64_t v = 0; v < j->gradient_ld; v++) {
        double others = sum - exp(z[v < vocab ? v : 0] - largest), want = 0;
        if (v < vocab && has_label(j, row)) want = (double)loss_scale * (v == j->labels[row] ? -others : exp(z[v] - largest)) / sum;
        double value = (double)ft_bf16_to_f32(got[v]), limit = 0.003915 * fabs(want) + 1e-37;
        bool right = v < (vocab + 7) / 8 * 8 ? fabs(value - want) <= limit : got[v] == 0xFFFF;
        if (!right && wrong++ < 8) printf("    %s: row %d column %lld got %.9g want %.9g\n", j->text, row, (long long)v, value, want);
    }
    if (wrong > 0) fail_msg("%s: row %d, label %d: %lld wrong values of the gradient", j->text, row, j->labels[row], (long long)wrong);
}

static double loss_of(const ft_cuda_row_loss *loss)
{
    return log((double)loss->others + (double)loss->own) + (double)loss->offset;
}

static void check_loss(const job *j, int row, double want)
{
    double got = loss_of(&j->loss[row]);
    bool right = row == WRONG_ROW ? isnan(got) : fabs(got - want) <= 1e-5 * (1 + fabs(want));
    if (!right) {
        fail_msg("%s: row %d, label %d: loss %.9g want %.9g (others %g, own %g, offset %g)", j->text, row, j->labels[row], got, want,
                 (double)j->loss[row].others, (double)j->loss[row].own, (double)j->loss[row].offset);
    }
}

static void check_case(const loss_case *c)
{
    job j = make(c);
    run(&j);
    int64_t bytes = ROWS * j.gradient_ld * 2;
    ft_bf16 *first = calloc(1, (size_t)bytes), *second = calloc(1, (size_t)bytes);
    double *z = calloc((size_t)c->vocab, sizeof *z), largest = 0, sum = 1;
    if (c->gradient) t_download(first, j.device_gradient, bytes);
    for (int row = 0; row < ROWS; row++) {
        double want = 0;
        if (has_label(&j, row)) {
            sum = reference_row(&j, row, z, &largest);
            want = log(sum) + largest - z[j.labels[row]];
        }
        check_loss(&j, row, want);
        if (c->gradient) check_gradient(&j, row, first + row * j.gradient_ld, z, largest, sum);
    }
    ft_cuda_row_loss before[ROWS];
    memcpy(before, j.loss, sizeof before);
    upload(&j);
    run(&j);
    if (c->gradient) t_download(second, j.device_gradient, bytes);
    assert_memory_equal(before, j.loss, sizeof before);
    assert_memory_equal(first, second, (size_t)bytes);
    printf("  %s: right, twice the same bits\n", j.text);
    free(first);
    free(second);
    free(z);
    free(j.head_codes);
    t_free();
}

static void losses_and_gradients_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
}

static void losses_are_added_to_the_sum(void **state)
{
    enum { N = 3001 };
    ft_cuda_row_loss *loss = calloc(N, sizeof *loss);
    float *values = t_random(3 * N, 1, 8);
    double want = 10, sum = 10, again = 10;
    for (int i = 0; i < N; i++) {
        loss[i] = (ft_cuda_row_loss){fabsf(values[3 * i]) + 1e-3f, i % 5 == 0 ? 0 : fabsf(values[3 * i + 1]), values[3 * i + 2], 0};
        if (i % 7 == 0) loss[i] = (ft_cuda_row_loss){0, 1, 0, 0};  // no label
        want += loss_of(&loss[i]);
    }
    double *device = t_upload(&sum, sizeof sum), *device_again = t_upload(&again, sizeof again);
    void *device_loss = t_upload(loss, N * (int64_t)sizeof *loss);
    assert_int_equal(ft_cuda_loss_sum(t_queue(), device, device_loss, N), FT_OK);
    assert_int_equal(ft_cuda_loss_sum(t_queue(), device_again, device_loss, N), FT_OK);
    t_download(&sum, device, sizeof sum);
    t_download(&again, device_again, sizeof again);
    printf("  sum %.17g want %.17g\n", sum, want);
    assert_true(fabs(sum - want) <= 1e-12 * N);
    assert_memory_equal(&sum, &again, sizeof sum);
    free(loss);
    t_free();
}

static void run_timed(void *context)
{
    assert_int_equal(ft_cuda_cross_entropy(t_queue(), context), FT_OK);
}

// Bytes of one read and one write of each logit.
static void time_vocabulary(int64_t vocab, double copy_rate)
{
    enum { TIMED_ROWS = 1024, HIDDEN = 4096 };
    int64_t ld = FT_CUDA_LOGITS_LD(vocab), bytes = TIMED_ROWS * ld * 2;
    int32_t labels[TIMED_ROWS];
    for (int i = 0; i < TIMED_ROWS; i++) labels[i] = (int32_t)(i * 7919LL % vocab);
    ft_cuda_loss_chunk chunk = {
        .rows = TIMED_ROWS, .hidden = HIDDEN, .vocab = vocab, .logits = t_device(bytes), .logits_ld = ld, .gradient_ld = ld,
        .loss = t_device(TIMED_ROWS * (int64_t)sizeof(ft_cuda_row_loss)), .labels = t_upload(labels, sizeof labels),
        .x = t_device(TIMED_ROWS * HIDDEN * 2), .x_ld = HIDDEN, .head = t_device(vocab * HIDDEN * 2), .loss_scale = 1e-4f};
    chunk.gradient = (void *)chunk.logits;
    assert_int_equal(ft_fill(t_queue(), chunk.gradient, 0, bytes), FT_OK);
    for (int keep = 8; keep > 0; keep /= 2) {
        char text[64];
        chunk.keep = keep;
        snprintf(text, sizeof text, "cross entropy, vocab %lld, keep %d", (long long)vocab, keep);
        t_check_rate(text, 4.0 * TIMED_ROWS * (double)vocab, t_time(run_timed, &chunk, 20), copy_rate, keep == 8 ? 0.6 : 0);
    }
    t_free();
}

static void memory_bounds_it(void **state)
{
    double rate = t_copy_rate();
    time_vocabulary(128256, rate);
    time_vocabulary(151936, rate);
    time_vocabulary(49152, rate);
    time_vocabulary(32001, rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_match_float64),
        cmocka_unit_test(losses_are_added_to_the_sum),
        cmocka_unit_test(memory_bounds_it),
    };
    t_open(&(ft_ops_options){.rows = 16, .max_length = 16, .max_docs = 1, .train = true});
    return cmocka_run_group_tests_name("cross_entropy", tests, NULL, NULL);
}
