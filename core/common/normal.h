// Quantiles of the standard normal distribution, for tables that random bits index.
#ifndef FT_COMMON_NORMAL_H
#define FT_COMMON_NORMAL_H

// The x below which a part p of the distribution lies (0 < p < 1, to 1e-9), searched from another quantile not far below it: a
// table is made in ascending order, each entry from the one before, the first from -6.
double ft_normal_quantile_after(double from, double p);

#endif
