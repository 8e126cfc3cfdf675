// Wrong arguments are refused before anything is launched, by an error or an assertion whose text says where. Each call runs in
// a child that ends with it; it uses no GPU, so nothing here is device memory.
#include "gpu/gpu.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/codec.h"
#include "kernels/cuda/workspace.h"

static void *const place = (void *)4096;  // an address nobody follows
enum { ROWS = 4, COLS = 256, REFUSED = 3 };

static ft_view view(ft_repr repr, int64_t cols)
{
    return (ft_view){.data = place, .repr = repr, .rows = ROWS, .cols = cols, .ld = cols};
}

static ft_view bf16(int64_t cols)
{
    return view(FT_REPR_BF16, cols);
}

// --- head_loss ---------------------------------------------------------------------------------------------------------------
static ft_status head_loss(ft_view dx, ft_view x, ft_dtype dtype, ft_scale_kind kind, int64_t chunk, int64_t workspace_bytes)
{
    ft_matrix head = {.codes = place, .dtype = dtype, .kind = kind, .rows = 1000, .cols = COLS};
    ft_head_options options = {.loss_scale = 1, .chunk = chunk, .want_gradient = true};
    return t_ops()->head_loss(t_queue(), place, dx, x, &head, place, &options, place, workspace_bytes);
}

static ft_status head_of_f16(void) { return head_loss(bf16(COLS), bf16(COLS), FT_DTYPE_F16, FT_SCALE_NONE, 4, 1 << 30); }
static ft_status head_of_tiles(void) { return head_loss(bf16(COLS), bf16(COLS), FT_DTYPE_F8_E4M3, FT_SCALE_TILE, 4, 1 << 30); }
static ft_status head_no_chunk(void) { return head_loss(bf16(COLS), bf16(COLS), FT_DTYPE_BF16, FT_SCALE_NONE, 0, 1 << 30); }
static ft_status head_narrow_x(void) { return head_loss(bf16(COLS), bf16(COLS - 8), FT_DTYPE_BF16, FT_SCALE_NONE, 4, 1 << 30); }
static ft_status head_no_dx(void) { return head_loss((ft_view){0}, bf16(COLS), FT_DTYPE_BF16, FT_SCALE_NONE, 4, 1 << 30); }
static ft_status head_no_space(void) { return head_loss(bf16(COLS), bf16(COLS), FT_DTYPE_BF16, FT_SCALE_NONE, 4, FT_CUBLASLT_WORKSPACE); }
static ft_status head_f32_x(void)
{
    return head_loss(bf16(COLS), view(FT_REPR_F32, COLS), FT_DTYPE_BF16, FT_SCALE_NONE, 4, 1 << 30);
}

// --- optimizer ---------------------------------------------------------------------------------------------------------------
static ft_status clip_unaligned(void) { return t_ops()->clip(t_queue(), place, (float *)place + 1, 100, 1, place, 1 << 20); }
static ft_status clip_no_space(void) { return t_ops()->clip(t_queue(), place, place, 100, 1, place, 256); }
static ft_status clip_negative(void) { return t_ops()->clip(t_queue(), place, place, -1, 1, place, 1 << 20); }
static ft_status adamw_negative(void)
{
    return t_ops()->adamw(t_queue(), place, place, place, place, -1, &(ft_adamw){.bias1 = 1, .bias2 = 1}, place);
}

// --- layer -------------------------------------------------------------------------------------------------------------------
static ft_status embed_to_f32(void) { return t_ops()->embed(t_queue(), view(FT_REPR_F32, COLS), place, FT_DTYPE_BF16, place); }
static ft_status embed_integers(void) { return t_ops()->embed(t_queue(), bf16(COLS), place, FT_DTYPE_I32, place); }
static ft_status vector_of_codes(void) { return t_ops()->vector_prepare(t_queue(), place, place, FT_DTYPE_F8_E4M3, 100); }
static ft_status swiglu_widths(void) { return t_ops()->swiglu_forward(t_queue(), bf16(COLS), bf16(COLS)); }

static ft_status weight_to_f32(void)
{
    ft_matrix source = {.codes = place, .dtype = FT_DTYPE_BF16, .rows = COLS, .cols = COLS};
    ft_weight weight = {.data = place, .repr = FT_REPR_F32, .rows = COLS, .cols = COLS, .ld = COLS};
    return t_ops()->weight_prepare(t_queue(), &weight, &source);
}

static ft_status norm_without_sum(void)
{
    return t_ops()->rmsnorm_forward(t_queue(), bf16(COLS), (ft_view){0}, place, bf16(COLS), bf16(COLS), place, 1e-5f);
}

static ft_status rope_sideways(void)
{
    ft_attention shape = {.q_heads = 2, .kv_heads = 1, .head_dim = 64, .scale = 0.125f};
    ft_rope table = {.cosine = place, .sine = place, .positions = 16, .half = 32};
    return t_ops()->rope(t_queue(), bf16(COLS), &shape, &table, place, 0);
}

static ft_status linear_without_tail(void)
{
    ft_linear_group group = {.n_parts = 1, .n_weights = 1, .out = {COLS}, .fold = 64, .fold_a = place, .fold_b = place};
    group.weight[0] = (ft_weight){.data = place, .repr = FT_REPR_BF16, .rows = COLS, .cols = COLS, .ld = COLS + 64};
    group.lora[0] = (ft_lora){.a = place, .b = place, .r = 16, .scale = 1};
    return t_ops()->linear_forward(t_queue(), &group, bf16(COLS), bf16(COLS), (ft_view){0}, bf16(64), place, 1 << 30);
}

static const struct {
    const char *name;
    ft_status (*call)(void);
    const char *says;
} cases[] = {
    {"head_loss with an F16 head", head_of_f16, "head_loss"},
    {"head_loss with an FP8 head", head_of_tiles, "head_loss"},
    {"head_loss with chunks of 0 rows", head_no_chunk, "head_loss"},
    {"head_loss with an x too narrow", head_narrow_x, "head_loss"},
    {"head_loss with a float32 x", head_f32_x, "head_loss"},
    {"head_loss without dx", head_no_dx, "head_loss"},
    {"head_loss with too little workspace", head_no_space, "head_loss"},
    {"clip of unaligned values", clip_unaligned, "clip"},
    {"clip with too little workspace", clip_no_space, "clip"},
    {"clip of -1 values", clip_negative, "clip"},
    {"adamw of -1 values", adamw_negative, "adamw"},
    {"embed into float32", embed_to_f32, "embed"},
    {"embed of integers", embed_integers, "I32"},
    {"vector_prepare of codes", vector_of_codes, "F8_E4M3"},
    {"weight_prepare to float32", weight_to_f32, "weight_prepare"},
    {"rmsnorm with a residual and no sum", norm_without_sum, "rmsnorm"},
    {"rope in no direction", rope_sideways, "rope"},
    {"swiglu of widths that do not fit", swiglu_widths, "swiglu"},
    {"linear_forward of an x without tail", linear_without_tail, "linear_forward"},
};

// The child's end. A device error is no refusal: the call got as far as the GPU.
static void call_and_exit(ft_status (*call)(void), int output)
{
    signal(SIGABRT, SIG_DFL);
    dup2(output, STDERR_FILENO);
    ft_status status = call();
    fprintf(stderr, "status %d: %s\n", status, ft_error_message());
    fflush(stderr);
    _exit(status == FT_OK || status == FT_E_DEVICE ? 0 : REFUSED);
}

static void check_refused(const char *name, ft_status (*call)(void), const char *says)
{
    char text[2048];
    size_t length = 0;
    ssize_t n;
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) call_and_exit(call, ends[1]);
    close(ends[1]);
    while (length < sizeof text - 1 && (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0) length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    bool refused = (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    printf("  %s: %s", name, length > 0 ? text : "(no text)\n");
    if (!refused) fail_msg("%s was not refused (wait status %#x): %s", name, (unsigned)status, text);
    if (strstr(text, says) == NULL) fail_msg("%s: '%s' is not in: %s", name, says, text);
}

static void wrong_arguments_are_refused_with_a_text_that_says_where(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_refused(cases[i].name, cases[i].call, cases[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments_are_refused_with_a_text_that_says_where),
    };
    t_open(&(ft_ops_options){.rows = ROWS, .max_length = ROWS, .max_docs = 1, .train = true});
    return cmocka_run_group_tests_name("op_errors", tests, NULL, NULL);
}
