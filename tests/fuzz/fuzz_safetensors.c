// Safetensors: the JSON header. The first byte says how large the data part is taken to be.
#include "fuzz/fuzz.h"
#include "io/safetensors_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    int64_t data_bytes = (int64_t)1 << data[0] % 48;
    const char *json = (const char *)data + 1;
    ft_tensor_info *tensors;
    char *value;
    int n;
    if (ft_safetensors_parse("fuzz", json, size - 1, 8 + (int64_t)size - 1, data_bytes, &tensors, &n) == FT_OK) {
        for (int i = 0; i < n; i++) {
            FUZZ_CHECK(tensors[i].bytes >= 0 && tensors[i].offset >= 8 + (int64_t)size - 1);
            FUZZ_CHECK(tensors[i].offset + tensors[i].bytes <= 8 + (int64_t)size - 1 + data_bytes);
        }
        ft_safetensors_free_tensors(tensors, n);
    }
    if (ft_safetensors_parse_metadata("fuzz", json, size - 1, "format", &value) == FT_OK) free(value);
    return 0;
}
