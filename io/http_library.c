#include "io/http_library.h"

#include <dlfcn.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static ft_curl functions;
static ft_status status;
static char message[FT_ERROR_MESSAGE_BYTES];

static void *open_library(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static bool find_functions(void *library)
{
    bool found = true;
#define FIND(type, name, parameters)                               \
    *(void **)&functions.name = dlsym(library, "curl_" #name); \
    found = found && functions.name != NULL;
    FT_CURL_FUNCTIONS(FIND)
#undef FIND
    return found;
}

// It stays loaded: TLS libraries do not like to be unloaded.
static void load(void)
{
    void *library = open_library();
    if (library == NULL) status = ft_error(FT_E_UNSUPPORTED, "downloads need libcurl, which is not installed; apt-get install libcurl4 (Fedora: dnf install libcurl)");
    else if (!find_functions(library)) status = ft_error(FT_E_UNSUPPORTED, "downloads need libcurl 7.66 or newer, and the one that is installed is older; install a newer one");
    else if (functions.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) status = ft_error(FT_E_IO, "libcurl cannot be initialised");
    if (status != FT_OK) __builtin_memcpy(message, ft_error_message(), sizeof message);
}

ft_status ft_curl_load(const ft_curl **curl)
{
    pthread_once(&once, load);
    *curl = &functions;
    return status == FT_OK ? FT_OK : ft_error_adopt(status, message);
}
