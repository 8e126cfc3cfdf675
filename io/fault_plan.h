// Which fault the next request meets: the script of ft_fault_set first, then the probabilities of an engine's spec text.
#ifndef FT_IO_FAULT_PLAN_H
#define FT_IO_FAULT_PLAN_H

#include "io/fault.h"

typedef struct {
    char inner[32];  // name of the wrapped engine
    uint64_t seed;
    char in[64];     // part of the directory of drives that meet faults, "" = all
    double probability[FT_FAULT_KINDS];
    uint64_t drawn;  // requests of this engine so far: the counter of its random numbers
} ft_fault_plan;

// Parses the spec text of io/fault.h. FT_E_USAGE names what is wrong.
ft_status ft_fault_plan_parse(ft_fault_plan *plan, const char *spec);
// Counts a request and returns what happens to it; *random is a number for the kinds that need one.
ft_fault_kind ft_fault_plan_next(ft_fault_plan *plan, const ft_io_request *request, uint32_t *random);

#endif
