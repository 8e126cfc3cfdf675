// Importing a GGUF file: metadata to config.json and tokenizer.json, tensors to safetensors. What is written must be readable.
#include "arch/shape.h"
#include "common/file.h"
#include "fuzz/fuzz.h"
#include "import/import.h"

static char directory[64], output[80];

static void clean_up(void)
{
    ft_remove_tree(directory);
}

static void start(void)
{
    snprintf(directory, sizeof directory, "/dev/shm/ft-fuzz-%d", (int)getpid());
    snprintf(output, sizeof output, "%s/model", directory);
    FUZZ_CHECK(ft_make_directories(directory) == FT_OK);
    atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_import_options options = {.input = fuzz_file(data, size), .output = output, .dtype = FT_DTYPE_BF16};
    ft_import_result result;
    ft_shape shape;
    if (directory[0] == 0) start();
    if (ft_import(&options, &result) == FT_OK) {
        FUZZ_CHECK(result.tensors > 0 && result.vocab > 0);
        FUZZ_CHECK(ft_shape_read(&shape, output) == FT_OK);
    }
    FUZZ_CHECK(ft_remove_tree(output) == FT_OK);
    return 0;
}
