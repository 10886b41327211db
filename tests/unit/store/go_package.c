/* go_package.c - whose code a function is. */
#include <criterion/criterion.h>

#include "core/store/site.h"

static const struct {
    const char *function;
    const char *package;
    bool standard;
} cases[] = {
    {"main.main", "main", false},
    {"main.leak.func1", "main", false},
    {"main.(*server).handle", "main", false},
    {"main.(*server).handle-fm", "main", false},
    {"main.Map[go.shape.string,go.shape.[]github.com/a/b.T]", "main", false},
    {"net/http.(*Server).Serve", "net/http", true},
    {"net/http.HandlerFunc.ServeHTTP", "net/http", true},
    {"net/http.(*http2Framer).WriteData", "net/http", true},
    {"strings.(*Builder).grow", "strings", true},
    {"slices.Grow[go.shape.[]main.T]", "slices", true},
    {"slices.Grow[...]", "slices", true},
    {"slices.SortFunc[go.shape.[]*example.com/x/y.z,go.shape.*example.com/x/y.z]", "slices", true},
    {"sync.OnceValue[...].func1", "sync", true},
    {"fmt.glob..func1", "fmt", true},
    {"encoding/json.(*decodeState).object", "encoding/json", true},
    {"crypto/internal/fips140/sha256.(*Digest).Write", "crypto/internal/fips140/sha256", true},
    {"internal/bytealg.MakeNoZero", "internal/bytealg", true},
    {"internal/runtime/maps.(*table).grow", "internal/runtime/maps", true},
    {"runtime.mallocgc", "runtime", true},
    {"runtime/pprof.writeHeapProto", "runtime/pprof", true},
    {"iter.Pull[go.shape.int].func2", "iter", true},
    {"vendor/golang.org/x/net/http2/hpack.(*Decoder).Write", "vendor/golang.org/x/net/http2/hpack",
     true},
    {"golang.org/x/net/http2.(*Framer).ReadFrame", "golang.org/x/net/http2", false},
    {"github.com/a/b.F", "github.com/a/b", false},
    {"github.com/a/b/vendor/github.com/c/d.F", "github.com/a/b/vendor/github.com/c/d", false},
    {"gopkg.in/yaml%2ev3.(*Decoder).Decode", "gopkg.in/yaml%2ev3", false},
    {"github.com/a/b%2ev2.F", "github.com/a/b%2ev2", false},
    {"demo/server.handle", "demo/server", false},
    {"stringsx.F", "stringsx", false},
    {"str.F", "str", false},
    {"a.F", "a", false},
    {"zz.F", "zz", false},
    {"cmd/tool.F", "cmd/tool", false},
    {"plugin.Open", "plugin", true},
    {"plugin/unnamed-0a1b2c.F", "plugin/unnamed-0a1b2c", false},
    {"memeqbody", "", true},
    {"_rt0_amd64_linux", "", true},
    {"", "", false},
    {".", "", true},
    {"/", "", true},
    {"[", "", true},
    {"main.f[a/b.c", "main", false},
};

Test(go_package, ends_before_methods_closures_and_type_arguments)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const size_t length = go_package_length(cases[i].function);
        cr_assert_eq(length, strlen(cases[i].package), "'%s': %zu", cases[i].function, length);
        cr_assert_eq(strncmp(cases[i].function, cases[i].package, length), 0);
    }
}

Test(go_package, of_the_standard_library_is_told_from_the_users)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(go_function_is_standard(cases[i].function), cases[i].standard, "'%s'",
                     cases[i].function);
}

Test(go_package, every_root_of_the_standard_library_is_known)
{
    /* `go list std`, first elements, Go 1.19 to 1.27. */
    static const char *const roots[] = {
        "archive", "arena",    "bufio",  "bytes",   "cmp",      "compress", "container", "context",
        "crypto",  "database", "debug",  "embed",   "encoding", "errors",   "expvar",    "flag",
        "fmt",     "go",       "hash",   "html",    "image",    "index",    "internal",  "io",
        "iter",    "log",      "maps",   "math",    "mime",     "net",      "os",        "path",
        "plugin",  "reflect",  "regexp", "runtime", "simd",     "slices",   "sort",      "strconv",
        "strings", "structs",  "sync",   "syscall", "testing",  "text",     "time",      "unicode",
        "unique",  "unsafe",   "uuid",   "vendor",  "weak",
    };
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.F", roots[i]);
        cr_assert(go_function_is_standard(name), "%s", name);
        snprintf(name, sizeof(name), "%sx.F", roots[i]);
        cr_assert_not(go_function_is_standard(name), "%s", name);
    }
}
