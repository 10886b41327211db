/* view_pprof.h - the pages of /debug/pprof/ that are not profiles.  Pure; any thread. */
#ifndef GOPROFD_HTTP_VIEW_PPROF_H
#define GOPROFD_HTTP_VIEW_PPROF_H

struct board_page;
struct buffer;
struct target_info;

/* The HTML index: a row for each target, with links. */
void view_pprof_index(struct buffer *out, const struct board_page *page);

/* Arguments with a NUL between them and none at the end, as net/http/pprof writes os.Args. */
void view_pprof_cmdline(struct buffer *out, const struct target_info *info);

#endif
