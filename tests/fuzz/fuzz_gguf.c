// GGUF files: header, metadata, and the first blocks of every tensor dequantized.
#include "fuzz/fuzz.h"
#include "io/gguf.h"

static void read_value(const ft_gguf_value *value)
{
    uint64_t count = value->count < 64 ? value->count : 64;
    const unsigned char *at = value->data;
    for (uint64_t i = 0; i < count; i++) {
        if (value->type == FT_GGUF_TEXT) {
            ft_gguf_text text = ft_gguf_next_text(&at);
            volatile char last = text.bytes > 0 ? text.data[text.bytes - 1] : 0;
            (void)last;
        } else if (ft_gguf_is_real(value)) {
            ft_gguf_real(value, i);
        } else {
            ft_gguf_integer(value, i);
        }
    }
}

static void read_tensor(const ft_gguf *file, const ft_gguf_tensor *tensor)
{
    float values[4 * 256];
    const ft_gguf_encoding *encoding = tensor->encoding;
    FUZZ_CHECK(tensor->offset >= 0 && tensor->bytes >= 0 && (uint64_t)(tensor->offset + tensor->bytes) <= file->bytes);
    int64_t blocks = tensor->bytes / encoding->bytes;
    if (blocks > 4) blocks = 4;
    if (encoding->dequantize && encoding->block <= 256 && blocks > 0) encoding->dequantize(values, file->data + tensor->offset, blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_gguf file;
    if (ft_gguf_parse(&file, "fuzz", data, size) == FT_OK) {
        for (int i = 0; i < file.n_values; i++) read_value(&file.values[i]);
        for (int i = 0; i < file.n_tensors; i++) read_tensor(&file, &file.tensors[i]);
        ft_gguf_find(&file, "general.architecture");
    }
    ft_gguf_close(&file);
    return 0;
}
