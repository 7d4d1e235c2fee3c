"""What stands in a node's volumes (docs/formats.md), read as a stranger would."""
import glob
import os
import struct
from dataclasses import dataclass

HEADER_BYTES = 4096
RECORD_HEADER_BYTES = 56
BLOCK_BYTES = 65536


@dataclass
class Chunk:
    path: str
    offset: int  # Of its record,
    data: int    # and of its first byte.
    length: int


def chunks(data_dir):
    """By (term, number): the newest record of each that its volume's index does not call gone."""
    found = {}
    for path in sorted(glob.glob(f"{data_dir}/chunks/*.volume")):
        try:
            with open(path, "rb") as file:
                volume = file.read()
        except FileNotFoundError:  # It has been rewritten.
            continue
        salt = volume[16:20]
        gone = gone_records(path.replace(".volume", ".index"), salt)
        at = volume.find(b"CREC" + salt, HEADER_BYTES)
        while at >= 0:
            length, offset, term, number = struct.unpack_from("<I3Q", volume, at + 12)
            if offset == at and at not in gone:
                blocks = (length + BLOCK_BYTES - 1) // BLOCK_BYTES
                found[term, number] = Chunk(path, at, at + RECORD_HEADER_BYTES + 4 * blocks, length)
            at = volume.find(b"CREC" + salt, at + 8)
    return found


def gone_records(path, salt):
    gone = set()
    if not os.path.exists(path):
        return gone
    with open(path, "rb") as file:
        index = file.read()
    at = index.find(b"VIXB" + salt)
    while at >= 0:
        [count] = struct.unpack_from("<I", index, at + 12)
        for entry in range(at + 40, min(at + 40 + 40 * count, len(index) - 39), 40):
            offset, _, kind = struct.unpack_from("<QII", index, entry + 24)
            if kind == 3:
                gone.add(offset)
        at = index.find(b"VIXB" + salt, at + 40)
    return gone
