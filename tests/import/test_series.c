// A model split over several GGUF files imports as the whole one does; an incomplete or mixed series is refused.
#include "import_support.h"

// The bytes of all metadata entries of a parsed file: they end where the first tensor's entry begins.
static void put_values(ft_text *part, const ft_gguf *file)
{
    const char *begin = (const char *)file->data + 24, *end = NULL;
    for (int i = 0; i < file->n_tensors; i++) {
        const char *entry = file->tensors[i].name.data - 8;
        if (end == NULL || entry < end) end = entry;
    }
    put(part, begin, (size_t)(end - begin));
}

static void put_tensors(ft_text *part, const ft_gguf *file, int begin, int end)
{
    uint64_t offset = 0;
    for (int i = begin; i < end; i++) {
        const ft_gguf_tensor *t = &file->tensors[i];
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)t->name.bytes, t->name.data);
        put_tensor(part, name, (uint64_t)t->shape[0], t->rank == 2 ? (uint64_t)t->shape[1] : 0, t->encoding->type, offset);
        offset += (uint64_t)(t->bytes + 31) / 32 * 32;
    }
    for (int i = begin; i < end; i++) {
        put_padding(part, 32);
        put(part, file->data + file->tensors[i].offset, (size_t)file->tensors[i].bytes);
    }
}

static char *path_of(int part, int n)
{
    return ft_format("%s/m-%05d-of-%05d.gguf", here.directory, part + 1, n);
}

// Tensors [begin, end) of the golden file as part `part` of `n`, claiming to be `claimed`.
static void write_part(const ft_gguf *file, int part, int n, int claimed, int begin, int end)
{
    ft_text bytes = {0};
    put_header(&bytes, 3, (uint64_t)(end - begin), (part == 0 ? (uint64_t)file->n_values : 0) + 3);
    if (part == 0) put_values(&bytes, file);
    put_value_u32(&bytes, "split.no", (uint32_t)claimed);
    put_value_u32(&bytes, "split.count", (uint32_t)n);
    put_value_u32(&bytes, "split.tensors.count", (uint32_t)file->n_tensors);
    put_tensors(&bytes, file, begin, end);
    char *path = path_of(part, n);
    assert_ok(ft_file_write(path, bytes.data, bytes.length));
    ft_free(path);
    ft_text_free(&bytes);
}

static void open_golden(ft_gguf *file)
{
    assert_ok(ft_gguf_open(file, GOLDEN "llama.gguf"));
}

static ft_status import_part(int part, int n)
{
    char *path = path_of(part, n);
    ft_status status = import_file(path, FT_DTYPE_F32);
    ft_free(path);
    return status;
}

static void read_weights(char **data, size_t *bytes)
{
    char *path = ft_path_join(here.model, "model.safetensors");
    assert_ok(ft_file_read(path, 16 << 20, data, bytes));
    ft_free(path);
    assert_ok(ft_remove_tree(here.model));
}

static void a_series_imports_as_the_whole_file_does(void **state)
{
    ft_gguf file;
    char *whole, *split;
    size_t whole_bytes, split_bytes;
    open_golden(&file);
    import_golden("llama", FT_DTYPE_F32);
    read_weights(&whole, &whole_bytes);
    write_part(&file, 0, 3, 0, 0, 4);
    write_part(&file, 1, 3, 1, 4, 15);
    write_part(&file, 2, 3, 2, 15, file.n_tensors);
    assert_ok(import_part(0, 3));
    read_weights(&split, &split_bytes);
    assert_int_equal(split_bytes, whole_bytes);
    assert_memory_equal(split, whole, whole_bytes);
    ft_free(whole);
    ft_free(split);
    ft_gguf_close(&file);
}

static void refused(int part, int n, ft_status expected, const char *message)
{
    assert_int_equal(import_part(part, n), expected);
    assert_message_has(ft_error_message(), message);
    assert_false(ft_path_exists(here.model));
}

static void incomplete_and_mixed_series_are_refused(void **state)
{
    ft_gguf file;
    open_golden(&file);
    write_part(&file, 0, 2, 0, 0, 9);
    refused(0, 2, FT_E_NOT_FOUND, "m-00002-of-00002.gguf: cannot be opened");
    write_part(&file, 1, 2, 1, 9, file.n_tensors - 1);
    refused(1, 2, FT_E_INPUT, "is not the first of its 2 parts; give ...-00001-of-00002.gguf");
    refused(0, 2, FT_E_INPUT, "the parts have 20 tensors, not the 21");
    write_part(&file, 1, 2, 1, 8, file.n_tensors);
    refused(0, 2, FT_E_INPUT, "is in ");
    write_part(&file, 1, 2, 2, 9, file.n_tensors);
    refused(0, 2, FT_E_INPUT, "does not say that it is part 2 of 2");
    char *first = path_of(0, 2);
    assert_int_equal(rename(first, here.gguf), 0);
    assert_int_equal(import_file(here.gguf, FT_DTYPE_F32), FT_E_INPUT);
    assert_message_has(ft_error_message(), "its name does not end in -00001-of-00002.gguf");
    ft_free(first);
    ft_gguf_close(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_series_imports_as_the_whole_file_does),
        TEST(incomplete_and_mixed_series_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
