// rope_freqs.weight holds what every rotary frequency is divided by. Llama 3.1 (and 3.2, 3.3) make it from four numbers:
// wavelength w = 2 pi theta^(2i / head_dim); below original / high the factor is 1, above original / low it is `factor`, between
// them 1 / ((1 - s) / factor + s) with s = (original / w - low) / (high - low). (convert_hf_to_gguf.py, transformers'
// modeling_rope_utils.py.) All published models have low 1, high 4 and original 8192; the last entry tells `factor`.
#include <math.h>

#include "common/codec.h"
#include "common/memory.h"
#include "import/import_internal.h"

enum { ORIGINAL = 8192, MOST = 4096 };
static const double LOW = 1, HIGH = 4;
// The converter computes in float32, pow included: a few units in the last place. Other parameters differ in the second digit.
static const double TOLERANCE = 1e-5;

static double expected(double factor, double theta, int64_t i, int64_t head_dim)
{
    double length = 2 * M_PI * pow(theta, 2 * (double)i / (double)head_dim);
    if (length < ORIGINAL / HIGH) return 1;
    if (length > ORIGINAL / LOW) return factor;
    double smooth = (ORIGINAL / length - LOW) / (HIGH - LOW);
    return 1 / ((1 - smooth) / factor + smooth);
}

static bool is_llama3(const float *factors, int64_t n, double theta, double factor)
{
    if (!(factor >= 1) || factor != floor(factor)) return false;
    for (int64_t i = 0; i < n; i++) {
        double want = expected(factor, theta, i, 2 * n);
        if (!(fabs((double)factors[i] - want) <= TOLERANCE * want)) return false;
    }
    return true;
}

ft_status ft_import_rope(const ft_gguf_series *series, double theta, int64_t head_dim, import_rope *rope, bool *found)
{
    const ft_gguf_tensor *tensor = ft_gguf_series_find(series, "rope_freqs.weight");
    const char *path = series->files[0].path;
    float factors[MOST];
    *found = false;
    if (tensor == NULL) return FT_OK;
    if (tensor->encoding->type != 0 || tensor->rank != 1 || tensor->elements != head_dim / 2 || tensor->elements > MOST)
        return ft_error(FT_E_INPUT, "%s: tensor rope_freqs.weight is not %lld float32 factors", path, (long long)head_dim / 2);
    FT_TRY(ft_gguf_series_read(series, tensor, 0, tensor->bytes, factors));
    double factor = (double)factors[tensor->elements - 1];
    if (!is_llama3(factors, tensor->elements, theta, factor))
        return ft_error(FT_E_UNSUPPORTED, "%s: tensor rope_freqs.weight: these factors are not those of Llama 3's rope scaling "
                        "(low_freq_factor 1, high_freq_factor 4, 8192 original positions), the only one supported", path);
    *found = factor != 1;
    *rope = (import_rope){factor, LOW, HIGH, ORIGINAL};
    return FT_OK;
}
