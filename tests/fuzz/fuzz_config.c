// YAML configurations. What is accepted is written as config.resolved.yaml, and that must read back.
#include "common/config.h"
#include "fuzz/fuzz.h"

// libfyaml 0.7 loses a buffer when a scalar is broken off; what we lose is still seen.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:fy_atom_iter_grow_chunk";
}

static void check_written(const ft_settings *settings)
{
    ft_settings again;
    ft_text text = {0};
    FUZZ_CHECK(ft_settings_write(settings, &text) == FT_OK);
    FUZZ_CHECK(ft_settings_init(&again) == FT_OK);
    ft_status status = ft_settings_read(&again, fuzz_file((const uint8_t *)text.data, text.length));
    if (status != FT_OK) fprintf(stderr, "%s\n%s\n", ft_error_message(), text.data);
    FUZZ_CHECK(status == FT_OK);
    ft_settings_free(&again);
    ft_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_settings settings;
    ft_text text = {0};
    FUZZ_CHECK(ft_settings_init(&settings) == FT_OK);
    if (ft_settings_read(&settings, fuzz_file(data, size)) == FT_OK) {
        FUZZ_CHECK(ft_settings_table(&settings, &text) == FT_OK);
        check_written(&settings);
    }
    ft_text_free(&text);
    ft_settings_free(&settings);
    return 0;
}
