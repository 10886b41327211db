/* config_file_fuzz.c - libFuzzer harness: any bytes as config.lua.
 *
 * Built with -DGOPROFD_FUZZ=ON.  Also judges manners: what is refused has a line for each problem. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/fuzz_case.h"
#include "lua/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages name the file: always the same one. */
enum { CONFIG_FD = 100, PROBLEMS_MAX_BYTES = 16 << 20 };

static void judge(size_t count, struct buffer *problems)
{
    size_t lines = 0;
    const char *text = buffer_text(problems);

    if (text == NULL)
        return; /* more of them than there is room for */
    for (size_t i = 0; i < problems->length; i++)
        lines += text[i] == '\n';
    if (lines != count)
        __builtin_trap();
    for (const char *line = text; count > 0 && *line != '\0';) {
        struct error err;
        const size_t length = strcspn(line, "\n");
        (void)error_set(&err, ERROR_USAGE, "%.*s", (int)length, line);
        fuzz_case_refused(&err);
        line += length + (line[length] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[48];
    const int made = memfd_create("fuzz", MFD_CLOEXEC);
    const int fd = made == -1 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, CONFIG_FD);
    struct config *config = config_new();

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fd != -1 && config != NULL && write(fd, data, size) == (ssize_t)size) {
        struct buffer problems;
        buffer_init(&problems, PROBLEMS_MAX_BYTES);
        judge(config_file_load(path, config, &problems), &problems);
        buffer_release(&problems);
    }
    config_free(config);
    if (fd != -1)
        close(fd);
    if (made != -1)
        close(made);
    return 0;
}
