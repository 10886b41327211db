/* segment_fuzz.c - libFuzzer harness: any bytes as a segment of the history on disk.
 *
 * A frame's checksum is set right first, where that is all that stands between the input and zlib: a fuzzer finds no
 * CRC-32, and a hostile writer computes one.  Inputs that begin with '!' (which is dropped) are left as they are.
 * Built with -DGOPROFD_FUZZ=ON. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/buffer.h"
#include "core/base/fuzz_case.h"
#include "core/store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_PLAIN_MAX_BYTES = 80 << 20 };

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void set_sums_right(uint8_t *bytes, size_t size)
{
    size_t at = SEGMENT_MAGIC_BYTES;
    while (at + SEGMENT_FRAME_HEAD_BYTES < size) {
        const size_t length = get_u32(bytes + at);
        const uint8_t *body = bytes + at + SEGMENT_FRAME_HEAD_BYTES;
        if (length > size - at - SEGMENT_FRAME_HEAD_BYTES)
            return;
        const uint32_t sum = (uint32_t)crc32(0, body, (uInt)length);
        for (size_t i = 0; i < 4; i++)
            bytes[at + 4 + i] = (uint8_t)(sum >> 8 * i);
        at += SEGMENT_FRAME_HEAD_BYTES + length;
    }
}

static void read_frames(const uint8_t *bytes, size_t size)
{
    struct error err = {0};
    struct buffer plain;
    struct segment_reader *reader = segment_open_bytes(bytes, size, &err);
    if (reader == NULL) {
        fuzz_case_refused(&err);
        return;
    }
    buffer_init(&plain, FUZZ_PLAIN_MAX_BYTES);
    enum segment_result result;
    while ((result = segment_next(reader, &plain, &err)) == SEGMENT_FRAME)
        buffer_clear(&plain);
    if (result == SEGMENT_BROKEN)
        fuzz_case_refused(&err);
    buffer_release(&plain);
    segment_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool as_it_is = size > 0 && data[0] == '!';
    const size_t length = size - as_it_is;
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    if (bytes == NULL)
        return 0;
    if (length > 0)
        memcpy(bytes, data + as_it_is, length);
    if (!as_it_is)
        set_sums_right(bytes, length);
    read_frames(bytes, length);
    free(bytes);
    return 0;
}
