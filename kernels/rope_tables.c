#include <math.h>

#include "common/threads.h"
#include "kernels/ops.h"

typedef struct {
    float *cosine, *sine;
    const double *inverse_frequency;
    int64_t half;
} table_job;

static void fill_rows(void *context, int64_t begin, int64_t end)
{
    const table_job *job = context;
    for (int64_t position = begin; position < end; position++) {
        for (int64_t i = 0; i < job->half; i++) {
            double angle = (double)position * job->inverse_frequency[i];
            job->cosine[position * job->half + i] = (float)cos(angle);
            job->sine[position * job->half + i] = (float)sin(angle);
        }
    }
}

void ft_rope_tables(float *cosine, float *sine, const double *inverse_frequency, int64_t positions, int64_t half)
{
    table_job job = {cosine, sine, inverse_frequency, half};
    ft_parallel_for(positions, 64, fill_rows, &job);
}

// Wavelengths shorter than original/high_freq stay, those longer than original/low_freq are stretched by `factor`, and between
// the two the inverse frequency goes over linearly in original/wavelength.
static double scale_llama3(double inverse, double factor, double low_freq, double high_freq, double original)
{
    double wavelength = 2 * M_PI / inverse;
    if (wavelength < original / high_freq) return inverse;
    if (wavelength > original / low_freq) return inverse / factor;
    double smooth = (original / wavelength - low_freq) / (high_freq - low_freq);
    return (1 - smooth) * inverse / factor + smooth * inverse;
}

void ft_rope_frequencies(double *inverse_frequency, int64_t head_dim, double theta, double factor, double low_freq,
                         double high_freq, int64_t original_positions)
{
    for (int64_t i = 0; i < head_dim / 2; i++) {
        double inverse = pow(theta, -2.0 * (double)i / (double)head_dim);
        if (factor > 0) inverse = scale_llama3(inverse, factor, low_freq, high_freq, (double)original_positions);
        inverse_frequency[i] = inverse;
    }
}
