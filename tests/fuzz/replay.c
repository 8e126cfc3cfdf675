// Runs a fuzz target over the files of the given directories. Fails if there are none.
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL);
    FUZZ_CHECK(fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    FUZZ_CHECK(size >= 0);
    rewind(file);
    uint8_t *exact = malloc((size_t)size);  // not a byte more: an overrun is seen
    FUZZ_CHECK((exact != NULL || size == 0) && fread(exact, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    LLVMFuzzerTestOneInput(exact, (size_t)size);
    free(exact);
}

static int run_directory(const char *directory)
{
    char path[4096];
    int n = 0;
    struct stat info;
    DIR *entries = opendir(directory);
    FUZZ_CHECK(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        run_file(path);
        n++;
    }
    closedir(entries);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) n += run_directory(argv[i]);
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
