"""Maps keys to partitions, as the default partitioner of Kafka's Java clients does."""

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_SHIFT = 24
_MASK = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, of `partitions` in all."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Hash with MurmurHash2, 32 bits, and Kafka's seed."""
    hashed = _SEED ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * _MIX & _MASK
        word = (word ^ word >> _SHIFT) * _MIX & _MASK
        hashed = hashed * _MIX & _MASK ^ word
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _MIX & _MASK
    hashed = (hashed ^ hashed >> 13) * _MIX & _MASK
    return hashed ^ hashed >> 15
