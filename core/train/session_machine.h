// The machine a session runs on: sizes as they are, rates from where there are some.
#ifndef FT_TRAIN_SESSION_MACHINE_H
#define FT_TRAIN_SESSION_MACHINE_H

#include "train/trainer.h"

// The device, with its arithmetic and, on CUDA, session->gemm_table; FT_E_UNSUPPORTED where its kernels do not take the shape, which
// the session has.
ft_status ft_session_open_device(ft_session *session, const ft_config *config, const ft_session_options *options);
// How a store's drives are used: as the config says, else as tuning found best on them (ft_machine.io_*). The device is open.
ft_status ft_session_drive_options(const ft_session *session, const ft_config *config, const ft_session_options *options,
                                   ft_drive_options *drives);
// Fills session->machine from the config's machine file (a plan alone), or opens the device, if that is to be done, and looks: rates are
// those this user's calibration left (offload/calibrate.h), else measured once where the options ask for it and the device is CUDA, else a quick
// probe's; the drives are read for a moment where nothing says what they do. On CUDA session->gemm_table, too. The session has its
// shape, and its store where there is one.
ft_status ft_session_find_machine(ft_session *session, const ft_config *config, const ft_session_options *options);

#endif
