/* cli_flags.c - flags of the daemon, and its help.
 *
 * Called by main.c, before there is any other thread. */
#include "core/cli_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/cli.h"

static const char usage_text[] =
    "usage: goprofd [-c FILE] [-t] [--KEY=VALUE ...]   watch Go processes and serve what is found\n"
    "       goprofd -t -c FILE                         check config and rules, then exit\n"
    "       goprofd -version\n"
    "       goprofd ps                                 list Go processes\n"
    "       goprofd memory PID                         what the resident memory of a process consists of\n"
    "       goprofd decode FILE|FOLDER                 recorded history (history_dir, /v1/export) as JSON lines\n"
    "       goprofd heap PID [-o FILE]                 write the heap profile of a process (pprof)\n"
    "       goprofd allocs PID [-o FILE]               the same, showing all past allocations\n"
    "       goprofd heap --core FILE [EXE] [-o FILE]   the same from a core file; EXE is what wrote it\n"
    "       goprofd goroutine PID [-o FILE] [-debug N] its goroutines; also block, mutex, threadcreate\n"
    "       goprofd test PATH...                       run the tests of rules, in files and folders\n"
    "       goprofd replay FILE|FOLDER [-c FILE]       what the rules would have said of recorded history, and when\n"
    "\n"
    "signals: SIGHUP reloads config and rules, SIGUSR1 captures profiles now, SIGTERM stops\n"
    "options (also in config.lua, or as environment GOPROF_KEY):\n";

static void print_help(void)
{
    fputs(usage_text, stdout);
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++)
        printf("  --%-36s %s (default %s)\n", options[i].key, options[i].help,
               options[i].default_text[0] == '\0' ? "\"\"" : options[i].default_text);
}

/* --sampling-interval-ms=500 is stored as GOPROF_SAMPLING_INTERVAL_MS=500: flags and environment
 * speak through the same door of the config. */
static bool add_option(struct cli_flags *flags, const char *argument)
{
    const char *equals = strchr(argument, '=');
    if (equals == NULL || equals == argument || flags->option_count == CLI_FLAGS_OPTIONS_MAX)
        return false;
    struct buffer text;
    buffer_init(&text, 1 << 16);
    buffer_append_string(&text, "GOPROF_");
    for (const char *c = argument; c < equals; c++) {
        const bool lower = *c >= 'a' && *c <= 'z';
        buffer_append_byte(&text, lower ? (char)(*c - 'a' + 'A') : *c == '-' ? '_' : *c);
    }
    buffer_append_string(&text, equals);
    buffer_append_byte(&text, '\0');
    size_t length = 0;
    char *option = buffer_detach(&text, &length);
    buffer_release(&text);
    if (option == NULL)
        return false;
    flags->options[flags->option_count++] = option;
    return true;
}

static int usage_error(const char *argument)
{
    fprintf(stderr, "goprofd: unknown or incomplete argument '%s'\n%s(goprofd --help lists them)\n",
            argument, usage_text);
    return EXIT_USAGE;
}

int cli_flags_parse(int argc, char **argv, struct cli_flags *flags, bool *done)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "-c") == 0 && i + 1 < argc) {
            flags->config_path = argv[++i];
        } else if (strcmp(argument, "-t") == 0) {
            flags->check_only = true;
        } else if (strcmp(argument, "-version") == 0 || strcmp(argument, "--version") == 0) {
            printf("goprofd %s\n", GOPROFD_VERSION);
            *done = true;
        } else if (strcmp(argument, "-h") == 0 || strcmp(argument, "-help") == 0 ||
                   strcmp(argument, "--help") == 0) {
            print_help();
            *done = true;
        } else if (strncmp(argument, "--", 2) != 0 || !add_option(flags, argument + 2)) {
            *done = true;
            return usage_error(argument);
        }
    }
    return EXIT_FINE;
}

void cli_flags_release(struct cli_flags *flags)
{
    for (size_t i = 0; i < flags->option_count; i++)
        free(flags->options[i]);
    flags->option_count = 0;
}
