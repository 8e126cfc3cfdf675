// Units with contents that depend on unit and generation, on a streamer whose model plays no part.
#ifndef TESTS_OFFLOAD_STAMPED_UNITS_H
#define TESTS_OFFLOAD_STAMPED_UNITS_H

#include "stamped_run.h"

enum { STAMPED_UNITS_MAX = 64 };

typedef struct {
    stamped_run run;
    int n;
    int64_t id[STAMPED_UNITS_MAX], bytes[STAMPED_UNITS_MAX];
    char *source[STAMPED_UNITS_MAX], *target[STAMPED_UNITS_MAX];
    ft_queue *async;         // stands for an asynchronous compute queue
} stamped_units;

typedef struct {
    ft_tier home;
    ft_unit_class unit_class;
    int64_t bytes;
} stamped_unit;

STAMPED int64_t stamped_units_pool(const stamped_unit *units, int n)
{
    int64_t bytes = 0, largest = 0;
    for (int i = 0; i < n; i++) {
        if (units[i].home == FT_TIER_HOST) bytes += stamped_round(units[i].bytes);
        else if (units[i].bytes > largest) largest = units[i].bytes;
    }
    return bytes + ft_spill_pool_bytes(largest);
}

STAMPED void stamped_units_open(stamped_units *u, const stamped_unit *units, int n, int drives, const char *engine)
{
    stamped_run_options options = {.model = {.layers = 4, .drives = drives, .group_bytes = 8 << 10, .engine = engine}, .homes = "n",
                                   .slots = 2, .host_slots = 1, .piece_bytes = 64 << 10,
                                   .unit_pool_bytes = stamped_units_pool(units, n)};
    *u = (stamped_units){.n = n};
    stamped_open(&u->run, &options);
    ok(ft_queue_create(u->run.device, FT_QUEUE_COPY, "async", &u->async));
    for (int i = 0; i < n; i++) {
        u->bytes[i] = units[i].bytes;
        u->id[i] = ft_streamer_unit_add(u->run.streamer, units[i].unit_class, units[i].home, units[i].bytes);
        assert_int_equal(u->id[i], i);
        ok(ft_device_alloc(u->run.device, units[i].bytes + 8, (void **)&u->source[i]));
        ok(ft_device_alloc(u->run.device, units[i].bytes + 8, (void **)&u->target[i]));
    }
    int64_t before = ft_pool_used(u->run.pool);
    ok(ft_streamer_units_ready(u->run.streamer));
    assert_int_equal(ft_pool_used(u->run.pool) - before, stamped_units_pool(units, n));
}

STAMPED void stamped_units_close(stamped_units *u)
{
    ft_streamer_close(u->run.streamer);
    u->run.streamer = NULL;
    ft_queue_destroy(u->async);
    for (int i = 0; i < u->n; i++) {
        ft_device_free(u->run.device, u->source[i]);
        ft_device_free(u->run.device, u->target[i]);
    }
    stamped_close(&u->run);
}

// Bytes at .. at + 7 of a unit's content.
STAMPED uint64_t stamped_unit_word(int unit, int generation, int64_t at)
{
    uint64_t x = (uint64_t)(unit * 1000 + generation + 1) * 0x9E3779B97F4A7C15u + (uint64_t)at * 0xD1B54A32D192ED03u;
    return x ^ x >> 29;
}

STAMPED void stamped_unit_write(char *dst, int unit, int generation, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += 8) {
        uint64_t word = stamped_unit_word(unit, generation, at);
        memcpy(dst + at, &word, (size_t)(bytes - at < 8 ? bytes - at : 8));
    }
}

STAMPED void stamped_unit_fill(stamped_units *u, int unit, int generation)
{
    stamped_unit_write(u->source[unit], unit, generation, u->bytes[unit]);
}

STAMPED void stamped_unit_check(const stamped_units *u, int unit, int generation)
{
    for (int64_t at = 0; at < u->bytes[unit]; at += 8) {
        uint64_t word = stamped_unit_word(unit, generation, at);
        if (memcmp(u->target[unit] + at, &word, (size_t)(u->bytes[unit] - at < 8 ? u->bytes[unit] - at : 8)) != 0)
            fail_msg("unit %d generation %d differs at byte %lld of %lld", unit, generation, (long long)at, (long long)u->bytes[unit]);
    }
    for (int i = 0; i < 8; i++) assert_int_equal(u->target[unit][u->bytes[unit] + i], 0);  // nothing beyond its end
}

STAMPED ft_status stamped_unit_store(stamped_units *u, int unit, ft_queue *queue)
{
    return ft_streamer_unit_store(u->run.streamer, u->id[unit], u->source[unit], queue);
}

STAMPED ft_status stamped_unit_load(stamped_units *u, int unit, ft_queue *queue)
{
    return ft_streamer_unit_load(u->run.streamer, u->id[unit], u->target[unit], queue);
}

#endif
