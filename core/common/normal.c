#include "common/normal.h"

#include <math.h>

// Newton's method on the distribution function, which is convex below 0: a start to the left overshoots, so steps are bounded.
double ft_normal_quantile_after(double from, double p)
{
    double x = from;
    for (int i = 0; i < 60; i++) {
        double step = (p - 0.5 * erfc(-x / sqrt(2))) * sqrt(2 * M_PI) * exp(x * x / 2);
        x += step > 0.5 ? 0.5 : step;
        if (fabs(step) < 1e-9) break;
    }
    return x;
}
