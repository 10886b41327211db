#!/usr/bin/env python3
"""Reads a history stream of goprofd (docs/history.md) as a stranger would: Debian's msgpack and the standard library.

    read_history.py FILE     a segment of history_dir, or what GET /v1/export sent; one line of JSON a snapshot
"""
import io
import json
import struct
import sys
import zlib

import msgpack

WORD = 1 << 64
STRINGS, TARGET, PROCESS, SITE, GROUP, TOPS, PROFILE, LAYOUT, ROW = range(1, 10)
OWN = ["sequence", "monotonic", "offset", "generation", "partial", "reason", "tops", "profile"]


def plain_bytes(data):
    """What the frames of a segment hold; anything else is a stream already."""
    magic = b"goprofd-segment\n"
    if not data.startswith(magic):
        return data
    at, inflater, out = len(magic), zlib.decompressobj(), []
    while at + 8 <= len(data):
        length, checksum = struct.unpack_from("<II", data, at)
        frame = data[at + 8 : at + 8 + length]
        if len(frame) < length or zlib.crc32(frame) != checksum:
            break  # torn
        out.append(inflater.decompress(frame))
        at += 8 + length
    return b"".join(out)


def signed(word):
    return word - WORD if word >= WORD // 2 else word


class Target:
    def __init__(self):
        self.facts, self.layout, self.row, self.steps = {}, [], {}, [0, 0]
        self.groups, self.tops = [], None


def apply_lists(target, record, strings, figures):
    _, _, allocations, retentions, masks, changes = record
    masks, changes = iter(masks), iter(changes)
    lists = []
    for numbers, words in ((allocations, 6), (retentions, 6 + figures)):
        entries = []
        for number in numbers:
            group, mask = target.groups[number - 1], next(masks)
            for bit in range(words):
                if mask >> bit & 1:
                    group[2][bit] = (group[2][bit] + next(changes)) % WORD
            entries.append(
                {
                    "type_name": strings[group[0]],
                    "tag": strings[group[1]],
                    "alloc_count": signed(group[2][1]),
                    "total_alloc_bytes": signed(group[2][2]),
                    "retained_objects": signed(group[2][3]),
                    "retained_bytes": signed(group[2][4]),
                    "sites": group[2][5],
                }
            )
        lists.append(entries)
    target.tops = lists


def apply_row(target, values):
    steps = dict(enumerate(target.steps))
    for column, value in zip(target.layout, values):
        if column < 2:
            steps[column] = (steps[column] + value) % WORD
        elif isinstance(value, float):
            target.row[column] = value
        else:
            before = target.row.get(column, 0)
            target.row[column] = before if isinstance(before, float) else (before + value) % WORD
    for column in (0, 1):
        target.steps[column] = steps[column]
        target.row[column] = (target.row.get(column, 0) + steps[column]) % WORD


def snapshot(target, fields, strings):
    row = target.row
    own = {name: row.get(i, 0) for i, name in enumerate(OWN)}
    out = {
        "target": target.facts["id"],
        "sequence": own["sequence"],
        "generation": own["generation"],
        "realtime_ns": (own["monotonic"] + own["offset"]) % WORD,
    }
    for i, (name, kind, _unit, _counter) in enumerate(fields):
        if row.get(len(OWN) + 2 * i, 0):
            value = row.get(len(OWN) + 2 * i + 1, 0)
            out[name] = signed(value) if kind == "i64" else float(value) if kind == "f64" else value
    if own["tops"]:
        out["top_allocations"], out["top_retentions"] = target.tops
    return out


def read(data):
    fields, figures, strings, targets = [], [], [""], {}
    for record in msgpack.Unpacker(io.BytesIO(data), raw=False, strict_map_key=False):
        kind = record[0]
        if kind == "goprofd-history":
            assert record[1] == 1, "another version"
            fields, figures, strings, targets = record[4], record[5], [""], {}
            continue
        if kind == STRINGS:
            strings.extend(record[1:])
            continue
        target = targets.setdefault(record[1], Target())
        if kind == TARGET:
            target.facts = record[2]
        elif kind == PROCESS:
            target.groups, target.tops = [], None
        elif kind == GROUP:
            target.groups.append((record[2], record[3], [0] * (6 + len(figures))))
        elif kind == TOPS:
            apply_lists(target, record, strings, len(figures))
        elif kind == LAYOUT:
            target.layout = record[2:]
        elif kind == ROW:
            apply_row(target, record[2:])
            yield snapshot(target, fields, strings)


def main():
    with open(sys.argv[1], "rb") as file:
        data = plain_bytes(file.read())
    for row in read(data):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
