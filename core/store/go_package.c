/* go_package.c - whose code a Go function is, judged by its full name.
 *
 * Pure functions over names as the binary's function table has them; any thread. */
#include "core/store/site.h"

/* First path elements of the standard library's packages, Go 1.19 to 1.27, sorted.  Left out are
 * the folders of src/ that no program links: cmd, builtin, testdata. */
static const char *const standard_roots[] = {
    "archive", "arena",    "bufio",  "bytes",   "cmp",      "compress", "container", "context",
    "crypto",  "database", "debug",  "embed",   "encoding", "errors",   "expvar",    "flag",
    "fmt",     "go",       "hash",   "html",    "image",    "index",    "internal",  "io",
    "iter",    "log",      "maps",   "math",    "mime",     "net",      "os",        "path",
    "plugin",  "reflect",  "regexp", "runtime", "simd",     "slices",   "sort",      "strconv",
    "strings", "structs",  "sync",   "syscall", "testing",  "text",     "time",      "unicode",
    "unique",  "unsafe",   "uuid",   "vendor",  "weak",
};

enum { STANDARD_ROOT_COUNT = sizeof(standard_roots) / sizeof(standard_roots[0]) };

size_t go_package_length(const char *function)
{
    /* Receivers, type arguments and anonymous structs carry paths of their own
     * ("slices.Grow[go.shape.[]a.b/c.T]"); the package's path ends before them. */
    const size_t plain = strcspn(function, "[({ \"");
    size_t start = 0;
    for (size_t i = 0; i < plain; i++) {
        if (function[i] == '/')
            start = i + 1;
    }
    /* Dots in the last element are written %2e, so that the first one ends the path. */
    const char *dot = memchr(function + start, '.', plain - start);
    return dot == NULL ? 0 : (size_t)(dot - function);
}

static bool is_standard_root(const char *name, size_t length)
{
    size_t low = 0;
    size_t high = STANDARD_ROOT_COUNT;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        int order = strncmp(name, standard_roots[middle], length);
        if (order == 0 && standard_roots[middle][length] != '\0')
            order = -1;
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool go_function_is_standard(const char *function)
{
    const size_t package = go_package_length(function);
    if (package == 0)
        return function[0] != '\0'; /* memeqbody, _rt0_amd64_linux: assembly of the runtime */
    const char *slash = memchr(function, '/', package);
    const size_t root = slash == NULL ? package : (size_t)(slash - function);
    if (slash != NULL && root == strlen("plugin") && memcmp(function, "plugin", root) == 0)
        return false; /* plugin/unnamed-HASH: the linker's name for a plugin's own main package */
    return is_standard_root(function, root);
}
