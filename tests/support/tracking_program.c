/* tracking_program.c URL - tracks a few allocations of its own with clients/c, then, told by a line on its input, frees some, and ends. */
#include <stdio.h>
#include <stdlib.h>

#include "clients/c/goprofd_track.h"

int main(int argc, char **argv)
{
    enum { TILES = 100, TILE_BYTES = 4096, FREED = 30 };
    char line[16];
    const struct goprofd_options options = {
        .url = argc > 1 ? argv[1] : NULL, .target = "c-program", .interval_ms = 50};
    struct goprofd_tracker *tracker = goprofd_tracker_new(&options);
    if (tracker == NULL)
        return 2;
    for (int i = 0; i < TILES; i++)
        goprofd_track_allocation(tracker, "tile", "render", TILE_BYTES);
    goprofd_track_allocation(tracker, "not \xff utf8", "render", 1);
    goprofd_track_allocation(tracker, "not \xff utf8", "render", 1);
    puts("tracked");
    (void)fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        (void)puts("no line came"); /* then too */
    for (int i = 0; i < FREED; i++)
        goprofd_track_free(tracker, "tile", "render", TILE_BYTES);
    goprofd_tracker_free(tracker);
    return 0;
}
