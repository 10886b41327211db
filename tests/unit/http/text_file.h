/* text_file.h - compares rendered text with a file of the tree.
 *
 * With GOPROFD_UPDATE=1 in the environment the file is rewritten instead; look at the difference
 * before committing it. */
#ifndef GOPROFD_TESTS_HTTP_TEXT_FILE_H
#define GOPROFD_TESTS_HTTP_TEXT_FILE_H

struct buffer;

/* The whole of [path] (below the source folder) must equal [rendered]. */
void text_file_equals(const char *path, struct buffer *rendered);

/* The part of [path] between "<!-- generated: NAME -->" and "<!-- end -->" must equal [rendered].
 */
void text_file_section_equals(const char *path, const char *name, struct buffer *rendered);

/* One member of JSON a line, so that a difference can be read. */
void text_file_break_lines(struct buffer *text);

#endif
