/* plugins.h - the modules of a process besides its program's: files made with -buildmode=plugin.
 *
 * They share the runtime of their host, so its profile holds their stacks; what their functions are called stands
 * in tables of their own.  The runtime keeps its modules in a list that only grows, at its end:
 *
 *   firstmoduledata --next--> plugin's moduledata --next--> ... --> 0
 *                               | text: lies in the mapping of the plugin's file
 *
 * Entered by go_process.c at open and before each read, which costs 8 bytes while there is none. */
#ifndef GOPROFD_GOPROC_PLUGINS_H
#define GOPROFD_GOPROC_PLUGINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct go_layout;
struct memory;
struct pclntab;
struct plugins;
struct procfs;

enum { PLUGINS_MAX = 64 };

/* [first] is the address of the program's own module; its tables [functions], and all else, are borrowed.
 * NULL without memory. */
struct plugins *plugins_new(const struct procfs *fs, pid_t pid, struct memory *memory,
                            const struct go_layout *layout, uint64_t first,
                            struct pclntab *functions);
void plugins_free(struct plugins *plugins); /* after [functions]; NULL is allowed */

/* Appends the tables of plugins that came since the last call, and returns whether there were any.  One whose
 * tables cannot be read is passed over: its functions stay without names, and plugins_tell() says so. */
bool plugins_take_new(struct plugins *plugins);

/* Whether there is any: for cores, whose plugins are not opened. */
bool plugins_are_there(struct memory *memory, const struct go_layout *layout, uint64_t first);

/* True if the functions of a plugin have no names: [*note] then says which, with ERROR_NONE. */
bool plugins_tell(const struct plugins *plugins, struct error *note);

#endif
