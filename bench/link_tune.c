#include "bench/link_tune.h"

#include <stdio.h>

#include "bench/link_series.h"
#include "common/text.h"
#include "offload/record.h"

enum { CHUNKS = 6, DEPTHS = 5, PIECES = 5 };
#define PART_BYTES ((int64_t)512 << 20)  // read from each drive for a cell

static const int64_t chunks[CHUNKS] = {256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, FT_TUNE_MOST_CHUNK};
static const int depths[DEPTHS] = {4, 8, 16, 32, FT_TUNE_MOST_DEPTH};
static const int64_t pieces[PIECES] = {1 << 20, 4 << 20, 16 << 20, 32 << 20, 64 << 20};

static int64_t in_flight(const ft_tune_cell *cell)
{
    return cell->bytes * cell->depth;
}

const ft_tune_cell *ft_tune_best(const ft_tune_cell *cells, int n)
{
    double fastest = 0;
    const ft_tune_cell *best = NULL;
    for (int i = 0; i < n; i++)
        if (cells[i].usable && cells[i].rate > fastest) fastest = cells[i].rate;
    for (int i = 0; i < n; i++) {
        const ft_tune_cell *cell = &cells[i];
        if (!cell->usable || cell->rate <= 0 || cell->rate < 0.99 * fastest) continue;
        if (best == NULL || in_flight(cell) < in_flight(best) || (in_flight(cell) == in_flight(best) && cell->rate > best->rate)) best = cell;
    }
    return best;
}

// ---- the drives

typedef struct {
    ft_link_drives *drives;
    const ft_tune_cell *cell;
} drive_sample;

static ft_status read_cell(void *context, double *rate)
{
    drive_sample *sample = context;
    FT_TRY(ft_link_drives_use(sample->drives, sample->cell->bytes, sample->cell->depth));
    return ft_link_drives_read_part(sample->drives, PART_BYTES, rate);
}

static void add_cell(ft_bench_report *report, const ft_tune_cell *cell)
{
    char name[96], bytes[FT_HUMAN_BYTES];
    snprintf(name, sizeof name, "nvme to host, %s x %d", ft_human_bytes(bytes, (double)cell->bytes), cell->depth);
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = cell->rate / 1e9});
}

static void print_table(const ft_tune_cell *cells)
{
    char bytes[FT_HUMAN_BYTES];
    printf("nvme to host, GB/s\n  %-10s", "depth");
    for (int depth = 0; depth < DEPTHS; depth++) printf("%8d", depths[depth]);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        printf("\n  %-10s", ft_human_bytes(bytes, (double)chunks[chunk]));
        for (int depth = 0; depth < DEPTHS; depth++) printf("%8.3f", cells[chunk * DEPTHS + depth].rate / 1e9);
    }
    printf("\n");
    fflush(stdout);
}

// A store is read in stripes: a drive cuts them, and never joins two.
ft_status ft_tune_drives(ft_link_drives *drives, int repeat, ft_bench_report *report, ft_link_choice *choice)
{
    enum { CELLS = CHUNKS * DEPTHS };
    ft_tune_cell cells[CELLS];
    drive_sample sample[CELLS];
    ft_link_series series[CELLS] = {{0}};
    for (int i = 0; i < CELLS; i++) {
        cells[i] = (ft_tune_cell){.bytes = chunks[i / DEPTHS], .depth = depths[i % DEPTHS], .usable = chunks[i / DEPTHS] <= FT_STRIPE_BYTES};
        sample[i] = (drive_sample){.drives = drives, .cell = &cells[i]};
        series[i] = (ft_link_series){.call = read_cell, .context = &sample[i]};
    }
    FT_TRY(ft_link_measure(series, CELLS, repeat));
    for (int i = 0; i < CELLS; i++) {
        cells[i].rate = series[i].median;
        if (report->json) add_cell(report, &cells[i]);
    }
    if (!report->json) print_table(cells);
    const ft_tune_cell *best = ft_tune_best(cells, CELLS);
    if (best == NULL) return ft_error(FT_E_IO, "the drives delivered nothing");
    choice->io_chunk = best->bytes;
    choice->io_depth = best->depth;
    return FT_OK;
}

// ---- the link

ft_status ft_tune_copies(ft_link_copies *copies, int repeat, ft_bench_report *report, ft_link_choice *choice)
{
    ft_tune_cell cells[PIECES];
    ft_link_copy copy[PIECES];
    ft_link_series series[PIECES] = {{0}};
    for (int i = 0; i < PIECES; i++) {
        copy[i] = (ft_link_copy){.copies = copies, .directions = FT_LINK_IN, .piece = pieces[i]};
        series[i] = (ft_link_series){.call = ft_link_copy_run, .context = &copy[i]};
    }
    FT_TRY(ft_link_measure(series, PIECES, repeat));
    for (int i = 0; i < PIECES; i++) {
        char name[96], bytes[FT_HUMAN_BYTES];
        cells[i] = (ft_tune_cell){.bytes = pieces[i], .depth = 1, .usable = true, .rate = series[i].median};
        snprintf(name, sizeof name, "host to device, pieces of %s", ft_human_bytes(bytes, (double)pieces[i]));
        ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = cells[i].rate / 1e9});
    }
    const ft_tune_cell *best = ft_tune_best(cells, PIECES);
    if (best == NULL) return ft_error(FT_E_DEVICE, "the link carried nothing");
    choice->copy_piece = best->bytes;
    return FT_OK;
}
