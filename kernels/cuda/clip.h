// What clip.cu and its workspace share.
#ifndef FT_KERNELS_CUDA_CLIP_H
#define FT_KERNELS_CUDA_CLIP_H

// Most blocks of the sum, one partial sum each: eight on each of an H100's 132 multiprocessors. Fixed, for the tree is.
#define FT_CUDA_CLIP_BLOCKS 1056

#endif
