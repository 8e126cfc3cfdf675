// Stands for NVIDIA's management library in test_gpus.c: two GPUs whose values the environment changes. With FAKE_OLD it has no
// more than the calls to find them.
//   FT_FAKE_GPUS     how many there are (2)
//   FT_FAKE_BROKEN   this one cannot be asked
//   FT_FAKE_STATE    "sick": GPU 1 has errors, a narrow link, is too hot and in use
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

typedef struct fake_gpu { unsigned index; } *gpu;

enum { OK, INVALID = 2, NOT_SUPPORTED = 3, LOST = 15 };

static struct fake_gpu gpus[64];

static unsigned setting(const char *name, unsigned fallback)
{
    const char *text = getenv(name);
    return text && *text ? (unsigned)atoi(text) : fallback;
}

int nvmlInit_v2(void)
{
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
    *n = setting("FT_FAKE_GPUS", 2);
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu *out)
{
    if (index >= setting("FT_FAKE_GPUS", 2)) return INVALID;
    if (index == setting("FT_FAKE_BROKEN", 99)) return LOST;
    gpus[index].index = index;
    *out = &gpus[index];
    return OK;
}

const char *nvmlErrorString(int code)
{
    return code == LOST ? "GPU is lost" : "some error";
}

#ifndef FAKE_OLD
static int is_sick(gpu g)
{
    const char *state = getenv("FT_FAKE_STATE");
    return g->index == 1 && state && strcmp(state, "sick") == 0;
}

int nvmlSystemGetDriverVersion(char *text, unsigned bytes)
{
    snprintf(text, bytes, "570.86.15");
    return OK;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = 12080;
    return OK;
}

int nvmlSystemGetProcessName(unsigned pid, char *text, unsigned bytes)
{
    snprintf(text, bytes, "python%u", pid);
    return OK;
}

int nvmlDeviceGetName(gpu g, char *text, unsigned bytes)
{
    snprintf(text, bytes, "NVIDIA H100 80GB HBM3");
    return OK;
}

int nvmlDeviceGetPciInfo_v3(gpu g, void *info)
{
    memset(info, 0, 68);
    snprintf((char *)info + 36, 32, "00000000:%02X:00.0", 0x3A + g->index);
    return OK;
}

int nvmlDeviceGetMemoryInfo(gpu g, unsigned long long memory[3])
{
    memory[0] = 80ull << 30;
    memory[1] = is_sick(g) ? 20ull << 30 : 79ull << 30;
    memory[2] = memory[0] - memory[1];
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(gpu g, int *major, int *minor)
{
    *major = (int)setting("FT_FAKE_MAJOR", 9);
    *minor = 0;
    return OK;
}

int nvmlDeviceGetEccMode(gpu g, unsigned *now, unsigned *later)
{
    *now = *later = 1;
    return OK;
}

int nvmlDeviceGetTotalEccErrors(gpu g, unsigned type, unsigned since, unsigned long long *n)
{
    *n = is_sick(g) ? 3 + since : 0;
    return OK;
}

int nvmlDeviceGetRemappedRows(gpu g, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
    *corrected = *uncorrected = *failed = 0;
    *pending = (unsigned)is_sick(g);
    return OK;
}

int nvmlDeviceGetMigMode(gpu g, unsigned *now, unsigned *later)
{
    return NOT_SUPPORTED;
}

// Calls with one result.
#define TELLS(name, told)            \
    int name(gpu g, unsigned *value) \
    {                                \
        *value = (told);             \
        return OK;                   \
    }
TELLS(nvmlDeviceGetPersistenceMode, 1)
TELLS(nvmlDeviceGetEnforcedPowerLimit, 700000)
TELLS(nvmlDeviceGetPowerManagementDefaultLimit, 700000)
TELLS(nvmlDeviceGetCurrPcieLinkGeneration, 5)
TELLS(nvmlDeviceGetMaxPcieLinkGeneration, 5)
TELLS(nvmlDeviceGetCurrPcieLinkWidth, is_sick(g) ? 8 : 16)
TELLS(nvmlDeviceGetMaxPcieLinkWidth, 16)

// And of one among several: a sensor, a clock.
#define TELLS_OF(name, told)                         \
    int name(gpu g, unsigned which, unsigned *value) \
    {                                                \
        *value = (told);                             \
        return OK;                                   \
    }
TELLS_OF(nvmlDeviceGetTemperature, is_sick(g) ? 91 : 33)
TELLS_OF(nvmlDeviceGetClockInfo, 345)
TELLS_OF(nvmlDeviceGetMaxClockInfo, 1980)

int nvmlDeviceGetCurrentClocksThrottleReasons(gpu g, unsigned long long *bits)
{
    *bits = is_sick(g) ? 0x40 : 0x01;
    return OK;
}

int nvmlDeviceGetNvLinkState(gpu g, unsigned link, unsigned *active)
{
    if (link >= 18) return INVALID;
    *active = !(is_sick(g) && link > 15);
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(gpu g, unsigned *n, void *users)
{
    struct { unsigned pid; unsigned long long bytes; unsigned instance[2]; } *user = users;
    *n = (unsigned)is_sick(g);
    if (*n) user->pid = 4711, user->bytes = 59ull << 30;
    return OK;
}

int nvmlDeviceGetP2PStatus(gpu one, gpu other, unsigned what, unsigned *status)
{
    *status = 0;
    return OK;
}

int nvmlDeviceGetTopologyCommonAncestor(gpu one, gpu other, unsigned *level)
{
    *level = 50;
    return OK;
}
#endif
