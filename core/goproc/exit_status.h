/* exit_status.h - how a process that is not our child came to its end.
 *
 * Asked by target.c right after its pidfd became readable.  The kernel tells by two ways, each of
 * which may be closed: the zombie's stat, until its parent has taken the status; and since Linux 6.15
 * the pidfd, from then on.  Where neither answers, nothing is known. */
#ifndef GOPROFD_GOPROC_EXIT_STATUS_H
#define GOPROFD_GOPROC_EXIT_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/goproc/procfs.h"

struct exit_status {
    bool known;
    int code;          /* what it passed to exit(), if signal_number is 0 */
    int signal_number; /* that ended it; 0: none */
};

/* [pidfd] may be -1.  [start_ticks] tells the process from a later one of the same pid. */
struct exit_status exit_status_read(const struct procfs *fs, pid_t pid, uint64_t start_ticks,
                                    int pidfd);

/* From the stat line of a zombie; unknown for a process that still lives. */
struct exit_status exit_status_parse_stat(const char *stat_line, uint64_t start_ticks);

enum { EXIT_STATUS_TEXT_BYTES = 64 };
/* "exited with status 2", "was ended by signal 9 (KILL)", "has exited". */
void exit_status_describe(const struct exit_status *status, char text[EXIT_STATUS_TEXT_BYTES]);

#endif
