// Every check of the table has its row in docs/doctor.md.
#include "captured.h"

#include "doctor/check.h"

static void every_check_is_on_the_page(void **state)
{
    char *page, row[64];
    size_t bytes;
    assert_int_equal(ft_file_read("docs/doctor.md", 1 << 20, &page, &bytes), FT_OK);
    for (int i = 0; ft_checks[i].name; i++) {
        snprintf(row, sizeof row, "\n| `%s` | ", ft_checks[i].name);
        if (strstr(page, row) == NULL) fail_msg("docs/doctor.md has no row `%s`", ft_checks[i].name);
        snprintf(row, sizeof row, "\n## %s\n", ft_checks[i].group);
        if (strstr(page, row) == NULL) fail_msg("docs/doctor.md has no section %s", ft_checks[i].group);
    }
    ft_free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_check_is_on_the_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
