// The building blocks of the vector loops: e^x, sums and maxima over any length.
#include "kernels/cpu/vector.h"
#include "kernel_test.h"

static void exp_is_within_one_ulp(void **state)
{
    double worst = 0;
    for (double x = -87.0; x <= 88.0; x += 0.0013) {
        double expected = exp((double)(float)x), ulp = expected * 0x1p-23;
        double error = fabs((double)ft_exp((float)x) - expected) / ulp;
        if (error > worst) worst = error;
    }
    assert_true(worst < 1.0);
}

static void exp_at_the_ends(void **state)
{
    assert_true(ft_exp(0) == 1.0f);
    assert_true(ft_exp(-87.5f) == 0);
    assert_true(ft_exp(-INFINITY) == 0);
    assert_true(isfinite(ft_exp(INFINITY)) && ft_exp(INFINITY) > 1e38f);
    assert_true(isnan(ft_exp(NAN)));
    assert_true(ft_sigmoid(-200) >= 0 && ft_sigmoid(-200) < 1e-37f);
    assert_true(ft_sigmoid(200) == 1.0f);
    assert_true(isnan(ft_sigmoid(NAN)));
}

static void reductions_take_every_value_once(void **state)
{
    float values[100], ones[100];
    for (int n = 0; n <= 100; n++) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            values[i] = (float)((i * 37) % 101);
            ones[i] = 1;
            sum += (double)values[i];
        }
        assert_true((double)ft_sum(values, n) == sum);
        assert_true((double)ft_dot(values, ones, n) == sum);
    }
    for (int at = 0; at < 100; at++) {
        values[at] = 1000 + (float)at;
        assert_true(ft_largest(values, 100) == 1000 + (float)at);
    }
    assert_true(ft_largest(values, 0) == -INFINITY);
    values[3] = NAN;
    assert_true(ft_largest(values, 100) == 1099);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_one_ulp),
        cmocka_unit_test(exp_at_the_ends),
        cmocka_unit_test(reductions_take_every_value_once),
    };
    return T_GROUP(tests);
}
