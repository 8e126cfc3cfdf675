// The rows of the engine table, one per engine file.
#ifndef FT_IO_ENGINE_ROWS_H
#define FT_IO_ENGINE_ROWS_H

#include "io/engine.h"

extern const ft_io_engine_row ft_io_uring_row;
extern const ft_io_engine_row ft_io_posix_row;
extern const ft_io_engine_row ft_io_null_row;
extern const ft_io_engine_row ft_io_fault_row;

#endif
