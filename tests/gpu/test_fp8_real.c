// FP8 compute against bf16 on a real model and real text, over the same FP8 store: the cosine of every LoRA gradient at steps 0 and
// 100, both from the state that the bf16 run has there, and how far the loss falls in 200 steps.
//
//   FT_REAL_MODEL    model directory whose sizes are multiples of 128 (tests/golden/pad_model.py makes one); unset: skipped
//   FT_REAL_DATA     its training data, any format that `train` reads; the epochs repeat the rows in one order
//   FT_REAL_STEPS    default 200; gradients are compared at 0 and at the middle
//   FT_REAL_DEVICE   cuda; on the CPU, where fp8 computes as bf16 does, the two runs must be one
#include "train/run_fixture.h"

#define SEQUENCE "512"
#define ROWS "4"
#define RATE 5e-4
#define COSINE 0.99
#define FALL 0.05

enum { SKIPPED = 77, AVERAGED = 10 };

typedef struct {
    float *first, *middle;   // gradients at step 0 and at the middle
    double *losses;
} record;

static int64_t n_steps;
static int64_t n_floats;     // of the adapter
static float *parameters;    // the bf16 run's at the middle
static record reference, tested;

static const char *device_name(void)
{
    const char *name = getenv("FT_REAL_DEVICE");
    return name ? name : "cuda";
}

static float *adapter_array(void)
{
    float *array = calloc((size_t)n_floats, sizeof *array);
    assert_non_null(array);
    return array;
}

// Settings, data and model as `train` opens them, one micro-batch a step.
static void open_run(run_fixture *f, const char *compute)
{
    const char *const pairs[] = {"device", device_name(), "compute", compute, "base_format", "fp8", "sequence_len", SEQUENCE, "micro_batch_size", ROWS,
                                 "excess_length_strategy", "split", "lora_r", "16", "base_model", getenv("FT_REAL_MODEL"),
                                 "datasets", getenv("FT_REAL_DATA"), "deterministic", "true", NULL};
    ft_tokenizer *tokenizer;
    run_configure(f, pairs);
    ft_config *config = &f->settings.values;
    run_ok(ft_config_tokenizer(config, &tokenizer));
    run_ok(ft_dataset_load(&f->data, config, tokenizer));
    ft_tokenizer_free(tokenizer);
    run_ok(ft_pack(&f->packs, &f->data.train, config->sequence_len, true, true, 42, 0));
    run_ok(ft_batch_alloc(&f->batch[0], config->micro_batch_size * config->sequence_len));
    f->n_batches = 1;
    f->options = (ft_session_options){.train = true, .micro_batches = 1};
    run_ok(ft_pack_most_documents(&f->data.train, config->sequence_len, true, &f->options.max_docs));
    f->options.max_docs *= config->micro_batch_size;
    run_ok(ft_session_open(&f->session, &f->settings, &f->options));
    run_ok(ft_session_model(&f->session, &f->settings, &f->options, &f->model));
    n_floats = f->session.adapter.n_floats;
}

// The whole rows' batches in turn; a last one with empty rows is left out.
static void take_batch(run_fixture *f, int64_t step)
{
    int64_t rows = f->settings.values.micro_batch_size, n = f->packs.n_rows / rows;
    ft_batch *b = &f->batch[0];
    assert_in_range(n, 1, INT32_MAX);
    ft_batch_fill(b, &f->data.train, &f->packs, step % n * rows, rows, f->settings.values.sequence_len, 0, 0);
    f->model_batch[0] = (ft_model_batch){b->ids, b->labels, b->positions, b->doc_begin, b->n_docs, b->tokens, b->token_base};
    f->trainable = b->trainable;
}

static float *take_gradients(run_fixture *f)
{
    float *copy = adapter_array();
    run_read(f, copy, ft_model_adapter(f->model).gradients, n_floats);
    return copy;
}

static double one_step(run_fixture *f, int64_t step)
{
    ft_optimizer_result result;
    take_batch(f, step);
    double loss = run_gradients(f, step);
    run_ok(ft_optimizer_step(f->model, &f->session.adapter, &f->settings.values, RATE, step + 1, &result));
    assert_false(result.skipped);
    return loss;
}

// All steps. The optimizer leaves the gradients as they are but for clipping, which is a factor and no matter to a cosine.
static void train(run_fixture *f, record *r, bool is_reference)
{
    r->losses = calloc((size_t)n_steps, sizeof *r->losses);
    for (int64_t step = 0; step < n_steps; step++) {
        if (is_reference && step == n_steps / 2) {
            parameters = adapter_array();
            run_read(f, parameters, ft_model_adapter(f->model).parameters, n_floats);
        }
        r->losses[step] = one_step(f, step);
        if (step == 0) r->first = take_gradients(f);
        if (is_reference && step == n_steps / 2) r->middle = take_gradients(f);
    }
}

static void print_losses(const char *name, const record *r)
{
    printf("%s losses:", name);
    for (int64_t step = 0; step < n_steps; step += n_steps > 20 ? n_steps / 20 : 1) printf(" %.4f", r->losses[step]);
    printf(" %.4f\n", r->losses[n_steps - 1]);
}

static void run_reference(void **state)
{
    run_fixture f;
    open_run(&f, "bf16");
    printf("%lld tokens a step, %lld rows, %lld tensors\n", (long long)f.batch[0].tokens, (long long)f.packs.n_rows, (long long)f.session.adapter.n_tensors);
    train(&f, &reference, true);
    print_losses("bf16", &reference);
    run_close(&f);
}

typedef struct {
    double worst, mean, by_linear[FT_LINEAR_COUNT][2];  // the last: worst of A and of B
    int64_t compared, zero, below;  // tensors; zero: both gradients are (A at step 0, where B is 0); below COSINE
    int64_t worst_tensor;
} cosines;

// A NaN, of a gradient that is zero in one of the two or not finite, counts as the worst there is.
static double cosine(const float *a, const float *b, int64_t n, double *squares)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    *squares = aa + bb;
    double value = ab / sqrt(aa * bb);
    return isnan(value) ? -2 : value;
}

static void count(cosines *c, int64_t t, const ft_adapter_tensor *tensor, double value)
{
    double *own = &c->by_linear[tensor->linear][tensor->is_b];
    c->compared++;
    c->mean += value;
    c->below += value < COSINE;
    *own = fmin(*own, value);
    if (value >= c->worst) return;
    c->worst = value;
    c->worst_tensor = t;
}

static cosines compare(const ft_adapter_layout *layout, const float *want, const float *got)
{
    cosines c = {.worst = 2};
    for (int i = 0; i < FT_LINEAR_COUNT; i++) c.by_linear[i][0] = c.by_linear[i][1] = 1;
    for (int64_t t = 0; t < layout->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &layout->tensor[t];
        double squares, value = cosine(want + tensor->offset, got + tensor->offset, tensor->rows * tensor->cols, &squares);
        if (squares == 0) c.zero++;
        else count(&c, t, tensor, value);
    }
    c.mean /= (double)(c.compared > 0 ? c.compared : 1);
    return c;
}

static bool judge_gradients(const run_fixture *f, int64_t step, const float *want, const float *got)
{
    char name[FT_TENSOR_NAME + 64];
    cosines c = compare(&f->session.adapter, want, got);
    ft_adapter_tensor_name(&f->session.shape, &f->session.adapter.tensor[c.worst_tensor], name);
    printf("step %lld: %lld tensors compared, %lld zero, %lld below %.2f; cosine mean %.6f, worst %.6f (%s)\n", (long long)step, (long long)c.compared,
           (long long)c.zero, (long long)c.below, COSINE, c.mean, c.worst, name);
    printf("step %lld: worst cosine of A, B compared by linear:", (long long)step);
    for (int i = 0; i < FT_LINEAR_COUNT; i++) printf(" %s %.4f %.4f", ft_linear_name((ft_linear)i), c.by_linear[i][0], c.by_linear[i][1]);
    printf("\n");
    return c.compared > 0 && c.below == 0;
}

static void gradients_point_where_those_of_bf16_do(void **state)
{
    run_fixture f;
    open_run(&f, "fp8");
    take_batch(&f, 0);
    run_gradients(&f, 0);
    float *first = take_gradients(&f);
    run_write(&f, ft_model_adapter(f.model).parameters, parameters, n_floats);
    take_batch(&f, n_steps / 2);
    double loss = run_gradients(&f, n_steps / 2), want = reference.losses[n_steps / 2];
    float *middle = take_gradients(&f);
    printf("loss at step %lld from the same adapter: bf16 %.6f, fp8 %.6f\n", (long long)n_steps / 2, want, loss);
    bool good = judge_gradients(&f, 0, reference.first, first);
    good &= judge_gradients(&f, n_steps / 2, reference.middle, middle);
    free(first);
    free(middle);
    run_close(&f);
    assert_true(good);
}

static double fall(const record *r)
{
    double begin = 0, end = 0;
    int64_t n = n_steps >= 2 * AVERAGED ? AVERAGED : 1;
    for (int64_t i = 0; i < n; i++) {
        begin += r->losses[i] / (double)n;
        end += r->losses[n_steps - 1 - i] / (double)n;
    }
    return begin - end;
}

static void loss_falls_as_far_as_in_bf16(void **state)
{
    run_fixture f;
    open_run(&f, "fp8");
    train(&f, &tested, false);
    print_losses("fp8 ", &tested);
    run_close(&f);
    double want = fall(&reference), got = fall(&tested), difference = fabs(got / want - 1);
    printf("fall of the loss over %lld steps: bf16 %.5f, fp8 %.5f, difference %.2f %%\n", (long long)n_steps, want, got, 100 * difference);
    assert_true(want > 0 && difference <= FALL);
}

int main(void)
{
    ft_device *device;
    n_steps = getenv("FT_REAL_STEPS") ? atoll(getenv("FT_REAL_STEPS")) : 200;
    if (getenv("FT_REAL_MODEL") == NULL || getenv("FT_REAL_DATA") == NULL) {
        printf("skipped: FT_REAL_MODEL and FT_REAL_DATA name a model and its data\n");
        return SKIPPED;
    }
    if (ft_device_open(&device, device_name(), 0) != FT_OK) {
        printf("skipped: %s\n", ft_error_message());
        return SKIPPED;
    }
    ft_device_close(device);
    const struct CMUnitTest tests[] = {cmocka_unit_test(run_reference), cmocka_unit_test(gradients_point_where_those_of_bf16_do),
                                       cmocka_unit_test(loss_falls_as_far_as_in_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
