// A checkpoint with any byte changed, cut, lost or from elsewhere does not verify, and the message names the file.
#include "adapter_support.h"

#include <fcntl.h>

#define SMALL_TARGETS (1u << FT_LINEAR_Q)  // few tensors: small files

static const char *const files[] = {"adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors",
                                    "state.json",                "config.resolved.yaml", "manifest.json"};
#define N_FILES (sizeof files / sizeof files[0])

static void save(int64_t step)
{
    ft_adapter_layout adapter = tiny_adapter(1, SMALL_TARGETS);
    assert_ok(save_step(scratch, step, &adapter));
    ft_adapter_layout_free(&adapter);
}

static char checkpoint[1024];

static int save_one(void **state)
{
    make_scratch(state);
    save(1);
    snprintf(checkpoint, sizeof checkpoint, "%s", in_scratch("checkpoint-1"));
    return 0;
}

static void flip(const char *path, int64_t offset, char mask)
{
    char byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte = (char)(byte ^ mask);
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static ft_status load(void)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(1, SMALL_TARGETS);
    ft_run_state state;
    float *arrays[3];
    for (int i = 0; i < 3; i++) arrays[i] = random_array(&adapter, 1);
    ft_status status = ft_checkpoint_load(checkpoint, &state, &adapter, &shape, "base-id", arrays[0], arrays[1], arrays[2]);
    for (int i = 0; i < 3; i++) free(arrays[i]);
    ft_adapter_layout_free(&adapter);
    return status;
}

static void a_changed_byte_is_seen_and_its_file_named(void **state)
{
    assert_ok(ft_checkpoint_verify(checkpoint));
    for (size_t f = 0; f < N_FILES; f++) {
        const char *path = in_scratch("checkpoint-1/%s", files[f]);
        int64_t bytes;
        assert_ok(ft_path_size(path, &bytes));
        for (int64_t at = 0; at < bytes; at += bytes > 1024 ? 5 : 1) {
            char mask = (char)(1 << at % 8);
            flip(path, at, mask);
            assert_refused(ft_checkpoint_verify(checkpoint), FT_E_CORRUPT, files[f]);
            flip(path, at, mask);
        }
    }
    assert_ok(ft_checkpoint_verify(checkpoint));
}

// Loading reads the manifest, the state and the tensors' data; a changed byte in any of these stops it.
static void loading_takes_no_changed_byte(void **state)
{
    ft_safetensors file;
    assert_ok(load());
    assert_ok(ft_safetensors_open(&file, in_scratch("checkpoint-1/optimizer.safetensors")));
    int64_t data = 8 + file.header_bytes, end = file.file_bytes;
    ft_safetensors_close(&file);
    const char *path = in_scratch("checkpoint-1/optimizer.safetensors"), *run_state = in_scratch("checkpoint-1/state.json");
    for (int64_t at = data; at < end; at += 3) {
        flip(path, at, 4);
        assert_refused(load(), FT_E_CORRUPT, "exp_avg");
        flip(path, at, 4);
    }
    flip(run_state, 20, 1);
    assert_refused(load(), FT_E_CORRUPT, "state.json");
    flip(run_state, 20, 1);
    assert_ok(load());
}

static void a_cut_or_longer_file_is_named(void **state)
{
    for (size_t f = 0; f < N_FILES; f++) {
        const char *path = in_scratch("checkpoint-1/%s", files[f]);
        size_t bytes;
        char *data = read_bytes(path, &bytes);
        const size_t lengths[] = {0, 1, bytes / 2, bytes - 1};
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            write_bytes(path, data, lengths[i]);
            assert_refused(ft_checkpoint_verify(checkpoint), FT_E_CORRUPT, files[f]);
        }
        write_bytes(path, data, bytes + 1);  // the reader's terminator
        assert_refused(ft_checkpoint_verify(checkpoint), FT_E_CORRUPT, files[f]);
        write_bytes(path, data, bytes);
        ft_free(data);
    }
    assert_ok(ft_checkpoint_verify(checkpoint));
}

static void a_lost_file_is_named(void **state)
{
    const char *away = in_scratch("away");
    for (size_t f = 0; f < N_FILES; f++) {
        const char *path = in_scratch("checkpoint-1/%s", files[f]);
        bool manifest = strcmp(files[f], "manifest.json") == 0;
        assert_int_equal(rename(path, away), 0);
        assert_refused(ft_checkpoint_verify(checkpoint), manifest ? FT_E_NOT_FOUND : FT_E_CORRUPT, files[f]);
        assert_ok(ft_make_directories(path));  // a directory of that name is no file
        assert_int_not_equal(ft_checkpoint_verify(checkpoint), FT_OK);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rename(away, path), 0);
    }
    assert_ok(ft_checkpoint_verify(checkpoint));
}

static void swap(const char *a, const char *b)
{
    const char *away = in_scratch("away");
    assert_int_equal(rename(a, away), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(away, b), 0);
}

static void files_that_changed_places_are_seen(void **state)
{
    for (size_t a = 0; a < N_FILES; a++) {
        for (size_t b = a + 1; b < N_FILES; b++) {
            char left[1024], right[1024];
            snprintf(left, sizeof left, "%s", in_scratch("checkpoint-1/%s", files[a]));
            snprintf(right, sizeof right, "%s", in_scratch("checkpoint-1/%s", files[b]));
            swap(left, right);
            assert_int_equal(ft_checkpoint_verify(checkpoint), FT_E_CORRUPT);
            swap(left, right);
        }
    }
    assert_ok(ft_checkpoint_verify(checkpoint));
}

// A file of the same size from another checkpoint of the same run. Config and adapter config are the same in both.
static void a_file_of_another_checkpoint_is_named(void **state)
{
    const char *const own[] = {"adapter_model.safetensors", "optimizer.safetensors", "state.json"};
    save(2);
    for (size_t f = 0; f < sizeof own / sizeof own[0]; f++) {
        char left[1024], right[1024];
        snprintf(left, sizeof left, "%s", in_scratch("checkpoint-1/%s", own[f]));
        snprintf(right, sizeof right, "%s", in_scratch("checkpoint-2/%s", own[f]));
        swap(left, right);
        assert_refused(ft_checkpoint_verify(checkpoint), FT_E_CORRUPT, own[f]);
        assert_refused(ft_checkpoint_verify(in_scratch("checkpoint-2")), FT_E_CORRUPT, own[f]);
        swap(left, right);
    }
}

static void files_beside_the_listed_ones_do_no_harm(void **state)
{
    write_string(in_scratch("checkpoint-1/README.md"), "mine");
    assert_ok(ft_checkpoint_verify(checkpoint));
    assert_ok(load());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, save_one, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_changed_byte_is_seen_and_its_file_named),
        TEST(loading_takes_no_changed_byte),
        TEST(a_cut_or_longer_file_is_named),
        TEST(a_lost_file_is_named),
        TEST(files_that_changed_places_are_seen),
        TEST(a_file_of_another_checkpoint_is_named),
        TEST(files_beside_the_listed_ones_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
