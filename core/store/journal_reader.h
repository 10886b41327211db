/* journal_reader.h - recorded history, read back: a segment, a folder of segments, or an exported stream.
 *
 *   folder -> segments by number -> frames (length, crc32) -> inflate -> unpack -> rows in the order of recording
 *
 * A segment that is torn, corrupt or foreign ends there; the reader says so (journal_reader_problem), counts it,
 * and goes on with the next.  One thread. */
#ifndef GOPROFD_STORE_JOURNAL_READER_H
#define GOPROFD_STORE_JOURNAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/unpack.h"

struct journal_reader;

/* NULL with the reason: no such file or folder, it cannot be read, or there is nothing of goprofd in it. */
struct journal_reader *journal_reader_open(const char *path, struct error *err);
/* The newest segments of a folder that together have at most [max_bytes], but at least one. */
struct journal_reader *journal_reader_open_newest(const char *dir, uint64_t max_bytes,
                                                  struct error *err);
void journal_reader_close(struct journal_reader *reader); /* NULL is allowed */

/* The next snapshot; what [row] points to is good until the next call (take holds to keep it).  Rows are in time
 * order, within one target strictly so by sequence; false at the end. */
bool journal_reader_next(struct journal_reader *reader, struct history_row *row);

/* What could not be read: one text a problem, "segment-000012.gph: torn at byte 4711 ...", newest of them; NULL if there
 * was none.  Problems are counted in all. */
const char *journal_reader_problem(const struct journal_reader *reader);
/* The one of that number, from 0; one step of reading may meet several.  The last JOURNAL_PROBLEMS_KEPT are kept, for
 * older ones this is "". */
enum { JOURNAL_PROBLEMS_KEPT = 64 };
const char *journal_reader_problem_at(const struct journal_reader *reader, size_t number);
size_t journal_reader_problems(const struct journal_reader *reader);

/* The boot that the last row was recorded in ("" if unknown): monotonic times of two boots do not compare. */
const char *journal_reader_boot_id(const struct journal_reader *reader);

#endif
