/* curl_library.c - see curl_library.h. */
#include "core/transport/curl_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* The binary interface that the headers we were built with describe. */
#define LIBRARY "libcurl.so.4"

static const struct {
    const char *name;
    size_t at; /* of its pointer in struct curl_library */
} functions[] = {
#define CURL_LIBRARY_ROW(name) {"curl_" #name, offsetof(struct curl_library, name)},
    CURL_LIBRARY_FUNCTIONS(CURL_LIBRARY_ROW)
#undef CURL_LIBRARY_ROW
};

bool curl_library_load(struct curl_library *curl, struct error *err)
{
    /* It stays: threads and handlers of the libraries behind it may outlive us. */
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL)
        return error_set(err, ERROR_NOT_FOUND,
                         "HTTP to others needs libcurl, which cannot be loaded (%s): install the "
                         "package libcurl4",
                         dlerror());
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL)
            return error_set(err, ERROR_UNSUPPORTED, "%s of this machine has no %s: update libcurl4",
                             LIBRARY, functions[i].name);
        memcpy((char *)curl + functions[i].at, &function, sizeof(function));
    }
    return true;
}
