// The machine a session runs on: sizes as they are, rates from where there are some.
#ifndef FT_TRAIN_SESSION_MACHINE_H
#define FT_TRAIN_SESSION_MACHINE_H

#include "train/trainer.h"

// Fills session->machine from the config's machine file (a plan alone), or opens the device and looks: rates are those this user's
// calibration left (offload/calibrate.h), else measured once where the options ask for it and the device is CUDA, else a quick
// probe's; the drives are read for a moment where nothing says what they do. On CUDA session->gemm_table, too. The session has its
// shape, and its store where there is one.
ft_status ft_session_find_machine(ft_session *session, const ft_config *config, const ft_session_options *options);

// Sizes that the CUDA kernels take.
ft_status ft_session_check_cuda_shape(const ft_shape *shape);

#endif
