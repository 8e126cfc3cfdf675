// The loss as a drawing that stands in the page by itself: smoothed, one line a run, over the steps. The scripts replace it.
#include <math.h>

#include "common/memory.h"
#include "report/page_internal.h"

#define WIDTH 800
#define HEIGHT 260
#define LEFT 60
#define RIGHT 10
#define TOP 10
#define BOTTOM 30
#define POINTS 400  // a line at most

typedef struct {
    double steps, least, most;
} extent;

static double x_of(const extent *e, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (e->steps > 0 ? step / e->steps : 0);
}

static double y_of(const extent *e, double loss)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (e->most > e->least ? (e->most - loss) / (e->most - e->least) : 0.5);
}

static void widen(extent *e, const ft_report_run *run, const double *smoothed)
{
    for (int64_t i = 0; i < run->n_steps; i++) {
        e->steps = fmax(e->steps, run->step[i].value[FT_COLUMN_STEP]);
        e->least = fmin(e->least, smoothed[i]);
        e->most = fmax(e->most, smoothed[i]);
    }
}

static ft_status add_line(const extent *e, const ft_report_run *run, const double *smoothed, int color, ft_text *out)
{
    int64_t stride = run->n_steps / POINTS + 1;
    FT_TRY(ft_text_printf(out, "<polyline class=\"line run%d\" points=\"", color));
    for (int64_t i = 0; i < run->n_steps; i += stride)
        if (isfinite(smoothed[i]))
            FT_TRY(ft_text_printf(out, "%.1f,%.1f ", x_of(e, run->step[i].value[FT_COLUMN_STEP]), y_of(e, smoothed[i])));
    return ft_text_puts(out, "\"/>\n");
}

static ft_status add_axes(const extent *e, ft_text *out)
{
    for (int i = 0; i <= 4; i++) {
        double loss = e->least + (e->most - e->least) * i / 4, y = y_of(e, loss), step = e->steps * i / 4;
        FT_TRY(ft_text_printf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>"
                              "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.0f</text>\n",
                              LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, loss, x_of(e, step), HEIGHT - 8, i == 4 ? "end" : "middle", step));
    }
    return FT_OK;
}

static ft_status add_drawing(const ft_report *report, double *const *smoothed, ft_text *out)
{
    extent e = {.least = INFINITY, .most = -INFINITY};
    int64_t steps = 0;
    for (int i = 0; i < report->n; i++) {
        widen(&e, &report->entry[i].run, smoothed[i]);
        steps += report->entry[i].run.n_steps;
    }
    if (!isfinite(e.least)) return ft_text_puts(out, steps ? "<p class=\"empty\">No finite loss.</p>" : "<p class=\"empty\">No steps yet.</p>");
    FT_TRY(ft_text_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Loss over steps\">\n", WIDTH, HEIGHT));
    FT_TRY(add_axes(&e, out));
    for (int i = 0; i < report->n; i++) FT_TRY(add_line(&e, &report->entry[i].run, smoothed[i], i % 8, out));
    return ft_text_puts(out, "</svg>");
}

ft_status ft_page_loss(const ft_report *report, ft_text *out)
{
    double **smoothed = FT_NEW_ARRAY(double *, report->n);
    FT_ALLOC_CHECK(smoothed);
    ft_status status = FT_OK;
    for (int i = 0; i < report->n && status == FT_OK; i++) {
        const ft_report_entry *entry = &report->entry[i];
        smoothed[i] = FT_NEW_ARRAY(double, entry->run.n_steps + 1);
        status = smoothed[i] ? FT_OK : FT_E_NOMEM;
        if (smoothed[i]) ft_report_smooth(&entry->run, isfinite(entry->summary.window) ? (int64_t)entry->summary.window : 1, smoothed[i]);
    }
    if (status == FT_OK) status = add_drawing(report, smoothed, out);
    for (int i = 0; i < report->n; i++) ft_free(smoothed[i]);
    ft_free(smoothed);
    return status;
}
