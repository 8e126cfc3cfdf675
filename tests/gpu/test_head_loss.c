// The head on the GPU: loss, gradient and logits against float64 and the CPU device, over vocabularies, chunks, masked rows and
// the aliasing the contract allows. What a view does not cover stays as it was.
#include "gpu/cpu_reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"

typedef struct {
    int64_t rows, hidden, vocab, chunk;
    int every;  // every n-th row is masked, 0 = none, 1 = all
} head_case;

static const head_case cases[] = {
    {1, 64, 257, 16, 0},   {37, 128, 1000, 8, 3}, {19, 4096, 257, 7, 0},  {130, 256, 1000, 50, 2}, {6, 64, 32001, 4, 0},
    {5, 64, 128256, 2, 5}, {33, 64, 1000, 999, 0}, {40, 192, 32001, 16, 4}, {17, 72, 1003, 17, 0},   {21, 128, 1000, 10, 1},
};

static const float loss_scale = 1e-3f;
enum { X_PAD = 8, DX_PAD = 24 };

typedef struct {
    head_case c;
    float *x, *weight;               // host [rows, hidden], [vocab, hidden]
    int32_t *labels;
    double *logits_ref, *dx_ref, nll, largest;
    ft_matrix head;                  // on the device
    const int32_t *device_labels;
    ft_view x_view, dx_view;
    char text[128];
} job;

// A row's part of the sum of losses and its gradient, from its float64 logits.
static void reference_row(job *j, int64_t r)
{
    const head_case *c = &j->c;
    double *z = j->logits_ref + r * c->vocab, largest = -INFINITY, sum = 0, others = 0;
    for (int64_t v = 0; v < c->vocab; v++) {
        for (int64_t i = 0; i < c->hidden; i++) z[v] += (double)j->x[r * c->hidden + i] * (double)j->weight[v * c->hidden + i];
        largest = fmax(largest, z[v]);
        j->largest = fmax(j->largest, fabs(z[v]));
    }
    if (j->labels[r] < 0) return;
    for (int64_t v = 0; v < c->vocab; v++) {
        sum += exp(z[v] - largest);
        if (v != j->labels[r]) others += exp(z[v] - largest);
    }
    j->nll += z[j->labels[r]] == largest ? log1p(others) : log(sum) + largest - z[j->labels[r]];
    for (int64_t v = 0; v < c->vocab; v++) {
        double g = (double)loss_scale * (v == j->labels[r] ? -others : exp(z[v] - largest)) / sum;
        for (int64_t i = 0; i < c->hidden; i++) j->dx_ref[r * c->hidden + i] += g * (double)j->weight[v * c->hidden + i];
    }
}

// Rows [rows, cols] of bf16, each followed by `pad` NaN.
static ft_view upload_view(const float *values, int64_t rows, int64_t cols, int64_t pad)
{
    int64_t ld = cols + pad, room = (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    ft_bf16 *host = malloc((size_t)(room * ld * 2));
    memset(host, 0xFF, (size_t)(room * ld * 2));
    for (int64_t r = 0; values != NULL && r < rows; r++) {
        for (int64_t i = 0; i < cols; i++) host[r * ld + i] = ft_f32_to_bf16(values[r * cols + i]);
    }
    ft_view view = {.data = t_upload(host, room * ld * 2), .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
    free(host);
    return view;
}

// x and weight are given; everything else follows from them.
static void finish(job *j)
{
    const head_case *c = &j->c;
    snprintf(j->text, sizeof j->text, "rows %lld, hidden %lld, vocab %lld, chunk %lld, masked every %d", (long long)c->rows,
             (long long)c->hidden, (long long)c->vocab, (long long)c->chunk, c->every);
    j->logits_ref = calloc((size_t)(c->rows * c->vocab), sizeof(double));
    j->dx_ref = calloc((size_t)(c->rows * c->hidden), sizeof(double));
    for (int64_t r = 0; r < c->rows; r++) reference_row(j, r);
    j->head = (ft_matrix){.codes = t_upload_bf16(j->weight, c->vocab * c->hidden), .dtype = FT_DTYPE_BF16, .kind = FT_SCALE_NONE,
                          .rows = c->vocab, .cols = c->hidden};
    j->device_labels = t_upload(j->labels, c->rows * (int64_t)sizeof(int32_t));
    j->x_view = upload_view(j->x, c->rows, c->hidden, X_PAD);
    j->dx_view = upload_view(NULL, c->rows, c->hidden, DX_PAD);
}

static job allocate(const head_case *c)
{
    job j = {.c = *c};
    j.labels = malloc((size_t)c->rows * sizeof(int32_t));
    for (int64_t r = 0; r < c->rows; r++) j.labels[r] = c->every && r % c->every == 0 ? -100 : (int32_t)(r * 7919 % c->vocab);
    return j;
}

static job make(const head_case *c)
{
    job j = allocate(c);
    j.x = t_random(c->rows * c->hidden, 2.0f / sqrtf((float)c->hidden), 1);
    j.weight = t_random(c->vocab * c->hidden, 1, 2);
    finish(&j);
    return j;
}

static void release(job *j)
{
    free(j->labels);
    free(j->logits_ref);
    free(j->dx_ref);
    t_free();
}

static ft_head_options training(const job *j)
{
    return (ft_head_options){.loss_scale = loss_scale, .chunk = j->c.chunk, .want_gradient = true};
}

static double run(const job *j, ft_view dx, ft_head_options options)
{
    ft_op_shape shape = {.rows = j->c.rows, .in = j->c.hidden, .vocab = j->c.vocab, .chunk = j->c.chunk};
    int64_t bytes = ft_op_workspace(FT_OP_HEAD_LOSS, &shape, FT_DEVICE_CUDA);
    double nll = 10;  // added to
    double *device = t_upload(&nll, sizeof nll);
    ft_status status = t_ops()->head_loss(t_queue(), device, dx, j->x_view, &j->head, j->device_labels, &options, t_device(bytes),
                                          bytes);
    if (status != FT_OK) fail_msg("%s: %s", j->text, ft_error_message());
    t_download(&nll, device, sizeof nll);
    return nll - 10;
}

// The view's values; what lies between its rows must still be NaN.
static float *download_view(const job *j, ft_view view)
{
    float *rows = t_download_bf16(view.data, view.rows * view.ld), *values = t_random(view.rows * view.cols, 1, 0);
    for (int64_t r = 0; r < view.rows; r++) {
        for (int64_t i = view.cols; i < view.ld; i++) {
            if (isnan(rows[r * view.ld + i])) continue;
            fail_msg("%s: column %lld of row %lld was written", j->text, (long long)i, (long long)r);
        }
        memcpy(values + r * view.cols, rows + r * view.ld, (size_t)view.cols * 4);
    }
    return values;
}

// A row's loss is the difference of a logit in float32 and a sum over logits rounded to bf16, which moves by no more than the
// largest of them does: 2^-8 of it. Logits in float32 move by float32 sums.
static void check_nll(const job *j, const char *what, double nll, double step)
{
    double limit = (double)j->c.rows * (step * j->largest + 1e-5);
    printf("  %s %s: nll %.9g want %.9g, limit %.2g\n", j->text, what, nll, j->nll, limit);
    if (!(fabs(nll - j->nll) <= limit)) fail_msg("%s %s: nll %.9g want %.9g", j->text, what, nll, j->nll);
}

static const double bf16_step = 1.0 / 256, f32_step = 1e-5;

static double tolerance(void)
{
    return ft_op_table[FT_OP_HEAD_LOSS].tolerance_bf16;
}

static void check_gradient(const job *j, const char *what)
{
    t_check(what, download_view(j, j->dx_view), j->dx_ref, j->c.rows * j->c.hidden, tolerance());
}

static void loss_and_gradient_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job j = make(&cases[i]);
        double nll = run(&j, j.dx_view, training(&j));
        float *dx = download_view(&j, j.dx_view);
        check_nll(&j, "training", nll, bf16_step);
        t_check(j.text, dx, j.dx_ref, j.c.rows * j.c.hidden, tolerance());
        for (int64_t r = 0; r < j.c.rows; r++) {
            for (int64_t k = 0; k < j.c.hidden && j.labels[r] < 0; k++) {
                double value = (double)dx[r * j.c.hidden + k];
                if (value != 0) fail_msg("%s: masked row %lld has dx %g", j.text, (long long)r, value);
            }
        }
        release(&j);
    }
}

static void all_rows_masked_add_nothing(void **state)
{
    job j = make(&(head_case){21, 128, 1000, 10, 1});
    assert_true(run(&j, j.dx_view, training(&j)) == 0);
    assert_true(run(&j, (ft_view){0}, (ft_head_options){.chunk = j.c.chunk}) == 0);
    release(&j);
}

static void evaluation_gives_the_loss_without_a_gradient(void **state)
{
    for (size_t i = 1; i < 7; i++) {
        job j = make(&cases[i]);
        double training_nll = run(&j, j.dx_view, training(&j));
        double nll = run(&j, (ft_view){0}, (ft_head_options){.chunk = j.c.chunk});
        if (!(fabs(nll - training_nll) <= 1e-6 * training_nll)) {
            fail_msg("%s: nll %.17g without and %.17g with a gradient", j.text, nll, training_nll);
        }
        release(&j);
    }
}

// Vocabularies whose float32 rows are 16, 8 and 4 bytes aligned.
static void logits_are_given_in_float32(void **state)
{
    static const head_case wanted[] = {{37, 128, 1000, 8, 3}, {20, 64, 1002, 7, 0}, {6, 64, 32001, 4, 2}, {3, 64, 128256, 2, 0}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        for (int gradient = 0; gradient < 2; gradient++) {
            job j = make(&wanted[i]);
            int64_t n = j.c.rows * j.c.vocab;
            ft_head_options options = training(&j);
            options.want_gradient = gradient;
            options.logits = t_device((n + 64) * 4);
            double nll = run(&j, gradient ? j.dx_view : (ft_view){0}, options);
            float *logits = t_random(n + 64, 1, 0);
            t_download(logits, options.logits, (n + 64) * 4);
            check_nll(&j, "with float32 logits", nll, f32_step);
            t_check("logits", logits, j.logits_ref, n, 1e-5);
            for (int64_t k = n; k < n + 64; k++) assert_true(isnan(logits[k]));
            if (gradient) check_gradient(&j, "gradient beside logits");
            release(&j);
        }
    }
}

static void dx_may_be_x_and_two_runs_have_the_same_bits(void **state)
{
    for (size_t i = 1; i < 8; i++) {
        job j = make(&cases[i]);
        int64_t bytes = j.c.rows * j.x_view.ld * 2;
        ft_view apart = upload_view(NULL, j.c.rows, j.c.hidden, X_PAD), again = upload_view(NULL, j.c.rows, j.c.hidden, X_PAD);
        char *a = malloc((size_t)bytes), *b = malloc((size_t)bytes), *c = malloc((size_t)bytes);
        double nll[3] = {run(&j, apart, training(&j)), run(&j, again, training(&j)), run(&j, j.x_view, training(&j))};
        t_download(a, apart.data, bytes);
        t_download(b, again.data, bytes);
        t_download(c, j.x_view.data, bytes);
        if (nll[0] != nll[1] || nll[0] != nll[2]) fail_msg("%s: nll %.17g, %.17g, in place %.17g", j.text, nll[0], nll[1], nll[2]);
        if (memcmp(a, b, (size_t)bytes) != 0) fail_msg("%s: two runs differ", j.text);
        if (memcmp(a, c, (size_t)bytes) != 0) fail_msg("%s: dx in place of x differs", j.text);
        free(a);
        free(b);
        free(c);
        release(&j);
    }
}

// Logits from -80 to 80 in steps of 5, all exact in bf16: x is 80 in its first column, the head k/16 there.
static void large_logits_do_not_overflow(void **state)
{
    job j = allocate(&(head_case){33, 128, 1000, 16, 0});
    j.x = t_random(j.c.rows * j.c.hidden, 0, 1);
    j.weight = t_random(j.c.vocab * j.c.hidden, 1, 2);
    for (int64_t r = 0; r < j.c.rows; r++) j.x[r * j.c.hidden] = 80;
    for (int64_t v = 0; v < j.c.vocab; v++) j.weight[v * j.c.hidden] = (float)(v % 33 - 16) / 16;
    finish(&j);
    double nll = run(&j, j.dx_view, training(&j));
    check_nll(&j, "logits of +-80", nll, 1e-7);
    check_gradient(&j, "logits of +-80");
    release(&j);
}

// Label logits of 30.0625, which bf16 cannot hold, among zeros: the loss is 256 exp(-30.0625), nine digits below what rounding
// the logit would leave of it, and the gradient softmax - 1 of it does not cancel to 0.
static void a_certain_prediction_keeps_its_loss_and_gradient(void **state)
{
    job j = allocate(&(head_case){4, 64, 257, 3, 0});
    j.x = t_random(j.c.rows * j.c.hidden, 0, 1);
    j.weight = t_random(j.c.vocab * j.c.hidden, 0, 2);
    for (int64_t r = 0; r < j.c.rows; r++) {
        j.labels[r] = 100;
        j.x[r * j.c.hidden] = 30;
        j.x[r * j.c.hidden + 1] = 0.0625f;
    }
    j.weight[100 * j.c.hidden] = j.weight[100 * j.c.hidden + 1] = 1;
    finish(&j);
    ft_op_shape shape = {.rows = j.c.rows, .in = j.c.hidden, .vocab = j.c.vocab, .chunk = j.c.chunk};
    int64_t bytes = ft_op_workspace(FT_OP_HEAD_LOSS, &shape, FT_DEVICE_CUDA);
    double nll = 0;
    double *device = t_upload(&nll, sizeof nll);
    ft_head_options options = training(&j);
    assert_int_equal(t_ops()->head_loss(t_queue(), device, j.dx_view, j.x_view, &j.head, j.device_labels, &options,
                                        t_device(bytes), bytes), FT_OK);
    t_download(&nll, device, sizeof nll);
    printf("  nll %.9g want %.9g\n", nll, j.nll);
    assert_true(fabs(nll / j.nll - 1) < 1e-4);
    check_gradient(&j, "gradient of a certain prediction");
    release(&j);
}

static void the_cpu_device_agrees(void **state)
{
    job j = make(&(head_case){70, 256, 3000, 32, 3});
    double nll = run(&j, j.dx_view, training(&j)), cpu_nll = 0;
    float *dx = download_view(&j, j.dx_view);
    int64_t n = j.c.rows * j.c.hidden;
    ft_op_shape shape = {.rows = j.c.rows, .in = j.c.hidden, .vocab = j.c.vocab, .chunk = j.c.chunk};
    int64_t bytes = ft_op_workspace(FT_OP_HEAD_LOSS, &shape, FT_DEVICE_CPU);
    void *space = aligned_alloc(256, (size_t)bytes);
    ft_view x = {.data = j.x, .repr = FT_REPR_F32, .rows = j.c.rows, .cols = j.c.hidden, .ld = j.c.hidden}, cpu_dx = x;
    cpu_dx.data = t_random(n, 1, 0);
    ft_matrix head = j.head;
    ft_head_options options = training(&j);
    head.codes = t_bf16(j.weight, j.c.vocab * j.c.hidden);
    assert_int_equal(t_cpu_ops()->head_loss(t_cpu_queue(), &cpu_nll, cpu_dx, x, &head, j.labels, &options, space, bytes), FT_OK);
    double *want = malloc((size_t)n * sizeof *want);
    for (int64_t i = 0; i < n; i++) want[i] = (double)((float *)cpu_dx.data)[i];
    printf("  nll %.9g, CPU %.9g\n", nll, cpu_nll);
    assert_true(fabs(nll - cpu_nll) <= 1e-3 * cpu_nll);
    t_check("against the CPU device", dx, want, n, tolerance());
    free(want);
    free(space);
    release(&j);
}

static void other_heads_are_refused_by_name(void **state)
{
    job j = make(&(head_case){2, 64, 257, 2, 0});
    ft_head_options options = training(&j);
    j.head.dtype = FT_DTYPE_F16;
    assert_int_equal(t_ops()->head_loss(t_queue(), t_device(8), j.dx_view, j.x_view, &j.head, j.device_labels, &options,
                                        t_device(256), 256), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "head_loss"));
    assert_non_null(strstr(ft_error_message(), "F16"));
    release(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradient_match_float64),
        cmocka_unit_test(all_rows_masked_add_nothing),
        cmocka_unit_test(evaluation_gives_the_loss_without_a_gradient),
        cmocka_unit_test(logits_are_given_in_float32),
        cmocka_unit_test(dx_may_be_x_and_two_runs_have_the_same_bits),
        cmocka_unit_test(large_logits_do_not_overflow),
        cmocka_unit_test(a_certain_prediction_keeps_its_loss_and_gradient),
        cmocka_unit_test(the_cpu_device_agrees),
        cmocka_unit_test(other_heads_are_refused_by_name),
    };
    t_open(&(ft_ops_options){.rows = 128, .max_length = 128, .max_docs = 1, .train = true});
    return cmocka_run_group_tests_name("head_loss", tests, NULL, NULL);
}
