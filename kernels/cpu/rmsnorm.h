// RMSNorm of one row: what the norms over the hidden size and over a head share.
#ifndef FT_KERNELS_CPU_RMSNORM_H
#define FT_KERNELS_CPU_RMSNORM_H

#include <stdint.h>

float ft_norm_inverse_rms(const float *x, int64_t n, float eps);
// y = x * rstd * weight; y may be x.
void ft_norm_apply(float *y, const float *x, const float *weight, int64_t n, float rstd);
// dx = dres + d(norm)/dx of dy; dres NULL counts as zero. dx may be dres or dy.
void ft_norm_gradient(float *dx, const float *dres, const float *dy, const float *weight, const float *x, int64_t n, float rstd);

#endif
