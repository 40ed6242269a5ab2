#!/usr/bin/env python3
"""Numbers that reach 1 within the limit, backwards from 1: spillway expand pipe -- python3 collatz_frames.py LIMIT

Binary frames. A request is u32 count, then per state u32 length and the bytes; count 0 asks for the initial states. The
answer is, for each state in order (once for count 0), u32 number of successors, then each as u32 length and the bytes.
Numbers are little-endian. A state here is a number as 8 bytes."""
import struct
import sys


def answer(states):
    parts = [struct.pack("<I", len(states))]
    parts += [struct.pack("<IQ", 8, number) for number in states]
    return b"".join(parts)


def before(number, limit):
    """The numbers whose next Collatz number this one is."""
    found = [2 * number]
    if number % 6 == 4:
        found.append((number - 1) // 3)
    return [n for n in found if n <= limit]


def main():
    limit = int(sys.argv[1])
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        (count,) = struct.unpack("<I", head)
        replies = [answer([1])] if count == 0 else []
        for _ in range(count):
            (length,) = struct.unpack("<I", source.read(4))
            (number,) = struct.unpack("<Q", source.read(length))
            replies.append(answer(before(number, limit)))
        sink.write(b"".join(replies))
        sink.flush()


main()
