"""The compiled loops of the default hash.

A stretch of pre-activations becomes bits in a buffer that stays in cache, then the bits become
keys: the array is read once, in memory order, whatever its layout and type.

1. `pack_bits` compares pre-activations with the threshold in memory order, one bit each.
2. `hash_columns` XORs the units' words into 64 neighbouring samples, from those bits.
3. `hash_rows` does the same where the units of a sample are neighbours.

These three are written as LLVM vectors of 64 bytes: whether LLVM's own vectoriser handles such
loops changes from one version and shape to the next (a factor of ten). LLVM splits them where the
processor has shorter vectors. Addresses and sizes are trusted, numbers are little-endian.

`hash_planar` and `hash_dense` run them over samples `start` to `stop`. Sample s is element
(s // inner, :, s % inner) of a C-contiguous `(outer, units, inner)` array. All of it is in one
file because numba's cache only notices changes of the file that a compiled function is in.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 4
"""The 128-bit fingerprint as uint32 lanes."""

LINES_AHEAD = 2
"""Cache lines that `hash_columns` prefetches per unit and 64 samples; 0, 1 and 4 were slower."""

BUFFER_BITS = 1 << 18
"""Bits per stretch: 128 KiB, so that the buffer stays in the second-level cache."""

_MIN_COLUMNS = 1024

_I1, _I8, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
_WIDTH = 16
_PACK_AHEAD = 2048
"""Bytes that `pack_bits` prefetches ahead: 0, 1, 4 and 8 KiB were slower."""
_LANE = ir.VectorType(_I32, _WIDTH)
_MASK = ir.VectorType(_I1, _WIDTH)


class _Emit:
    """A builder with the few operations that the loops need."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def load(self, address: Any, kind: ir.Type, align: int) -> Any:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=align)

    def store(self, value: Any, address: Any, align: int) -> None:
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, pointer, align=align)

    def prefetch(self, address: Any) -> None:
        """Prefetch a line into the second-level cache; any address is allowed."""
        pointer = self.builder.inttoptr(address, _I8.as_pointer())
        self.call("llvm.prefetch", ir.VoidType(), pointer, _I32(0), _I32(2), _I32(1))

    def at(self, base: Any, steps: Any, size: int) -> Any:
        return self.builder.add(base, self.builder.mul(steps, _I64(size)))

    def splat(self, scalar: Any, width: int) -> Any:
        kind = ir.VectorType(scalar.type, width)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _I32(0))
        zeros = ir.Constant(ir.VectorType(_I32, width), [0] * width)
        return self.builder.shuffle_vector(first, first, zeros)

    def call(self, name: str, result: ir.Type, *args: Any) -> Any:
        kind = ir.FunctionType(result, [a.type for a in args])
        insert: Any = cgutils.get_or_insert_function
        function = insert(self.builder.module, kind, name)
        return self.builder.call(function, args)

    def variable(self, value: Any) -> Any:
        make: Any = cgutils.alloca_once_value
        return make(self.builder, value)

    def update(self, variable: Any, change: Any) -> None:
        self.builder.store(change(self.builder.load(variable)), variable)

    def bits64(self, base: Any, position: Any) -> Any:
        """64 bits starting at any bit position; reads up to 9 bytes."""
        b = self.builder
        byte = b.add(base, b.lshr(position, _I64(3)))
        shift = b.and_(position, _I64(7))
        low = self.load(byte, _I64, 1)
        high = b.zext(self.load(b.add(byte, _I64(8)), _I8, 1), _I64)
        high = b.shl(b.shl(high, _I64(1)), b.sub(_I64(63), shift))
        return b.or_(b.lshr(low, shift), high)

    def masks(self, bits: Any, count: int) -> list[Any]:
        b = self.builder
        parts = (b.lshr(bits, _I64(_WIDTH * t)) for t in range(count))
        return [b.bitcast(b.trunc(p, ir.IntType(_WIDTH)), _MASK) for p in parts]

    def flip(self, variable: Any, mask: Any, word: Any) -> None:
        b = self.builder
        self.update(variable, lambda old: b.select(mask, b.xor(old, word), old))


def _pack_bits(typingctx, x, groups, threshold, bits):  # type: ignore[no-untyped-def]
    """Write the bits `x > threshold` of `64 * groups` elements; return if any may be non-finite.

    Args: address of the elements (in the type of `threshold`), number of groups of 64,
    threshold, address of the bits (8 bytes per group). The sum of all elements is kept: it stays
    non-finite once an element is; a sum that overflows is a false alarm.
    """
    signature = types.boolean(types.uintp, types.intp, threshold, types.uintp)

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _emit_pack(_Emit(builder), threshold.bitwidth, *args)

    return signature, codegen


pack_bits: Any = intrinsic(_pack_bits)


def _emit_pack(e: _Emit, width_bits: int, x: Any, groups: Any, threshold: Any, bits: Any) -> Any:
    b = e.builder
    size = width_bits // 8
    width = 64 // size
    kind = ir.VectorType(threshold.type, width)
    limit = e.splat(threshold, width)
    nothing = ir.Constant(kind, [0.0] * width)
    sums = [e.variable(nothing) for _ in range(4)]
    with cgutils.for_range(b, groups, intp=_I64) as loop:
        source, target = e.at(x, loop.index, 64 * size), e.at(bits, loop.index, 8)
        for t in range(64 // width):
            values = e.load(b.add(source, _I64(64 * t)), kind, size)
            e.prefetch(b.add(source, _I64(64 * t + _PACK_AHEAD)))
            mask = b.bitcast(b.fcmp_ordered(">", values, limit), ir.IntType(width))
            e.store(mask, b.add(target, _I64(width // 8 * t)), 1)
            e.update(sums[t % 4], lambda old, v=values: b.fadd(old, v))
    total = b.fadd(
        b.fadd(b.load(sums[0]), b.load(sums[1])), b.fadd(b.load(sums[2]), b.load(sums[3]))
    )
    zero = b.fsub(total, total)
    spoiled = b.bitcast(b.fcmp_unordered("uno", zero, zero), ir.IntType(width))
    return b.icmp_unsigned("!=", spoiled, ir.Constant(spoiled.type, 0))


def make_hash_columns(vectors: int) -> Any:
    """Return an intrinsic that hashes up to `16 * vectors` neighbouring samples, 1 to 4 vectors.

    Its arguments: address of the bits, bit position of unit 0 of the first sample, bits from
    one unit to the next, number of units, address of the `(units, 4)` uint32 words, a mask of
    the samples that count, address of the `(units,)` int64 active counts, address of the
    `(16 * vectors, 2)` uint64 keys, address of what comes
    next and bytes from one unit of it to the next: `LINES_AHEAD` cache lines each are prefetched.
    """

    def hash_columns(  # type: ignore[no-untyped-def]
        typingctx, bits, position, row_bits, units, words, live, active, keys, ahead, stride
    ):
        p, n = types.uintp, types.intp
        signature = types.void(p, n, n, n, p, types.uint64, p, p, p, n)

        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            _emit_columns(_Emit(builder), vectors, *args)
            return context.get_dummy_value()

        return signature, codegen

    return intrinsic(hash_columns)


def _emit_columns(
    e: _Emit,
    vectors: int,
    bits: Any,
    position: Any,
    row_bits: Any,
    units: Any,
    words: Any,
    live: Any,
    active: Any,
    keys: Any,
    ahead: Any,
    stride: Any,
) -> None:
    b = e.builder
    nothing = ir.Constant(_LANE, [0] * _WIDTH)
    lanes = [[e.variable(nothing) for _ in range(vectors)] for _ in range(LANES)]
    with cgutils.for_range(b, units, intp=_I64) as loop:
        found = e.bits64(bits, b.add(position, b.mul(loop.index, row_bits)))
        found = b.and_(found, live)
        for line in range(LINES_AHEAD):
            place = b.add(ahead, b.mul(loop.index, stride))
            e.prefetch(b.add(place, _I64(64 * line)))
        masks = e.masks(found, vectors)
        for k in range(LANES):
            place = b.add(e.at(words, loop.index, 4 * LANES), _I64(4 * k))
            word = e.splat(e.load(place, _I32, 4), _WIDTH)
            for t in range(vectors):
                e.flip(lanes[k][t], masks[t], word)
        place = e.at(active, loop.index, 8)
        count = e.call("llvm.ctpop.i64", _I64, found)
        e.store(b.add(e.load(place, _I64, 8), count), place, 8)
    for t in range(vectors):
        target = b.add(keys, _I64(_WIDTH * 16 * t))
        _store_interleaved(e, [b.load(lanes[k][t]) for k in range(LANES)], target)


def _store_interleaved(e: _Emit, lanes: list[Any], keys: Any) -> None:
    """Store four lane vectors as 16 keys of four lanes each."""
    b = e.builder
    pair = ir.Constant(ir.VectorType(_I32, 2 * _WIDTH), list(range(2 * _WIDTH)))
    low, high = (b.shuffle_vector(lanes[i], lanes[i + 1], pair) for i in (0, 2))
    order = [k * _WIDTH + s for s in range(_WIDTH) for k in range(LANES)]
    mixed = b.shuffle_vector(low, high, ir.Constant(ir.VectorType(_I32, 4 * _WIDTH), order))
    e.store(mixed, keys, 8)


def make_hash_rows(samples: int) -> Any:
    """Return an intrinsic that hashes `samples` samples whose units are neighbours, 1 or 4.

    Its arguments: address of the bits, bit position of the first sample, bits per sample, number
    of groups of 64 units (the last one padded), address of the `(groups, 4, 64)` uint32 words
    (zero where padded), address of the `(groups * 64,)` int32 active counts, address of the
    `(samples, 4)` uint32 keys, the number 1 (from
    memory: as a constant, LLVM would count in two steps), address of what comes next:
    `LINES_AHEAD` cache lines per sample and group are prefetched.
    """

    def hash_rows(  # type: ignore[no-untyped-def]
        typingctx, bits, position, row_bits, groups, words, active, keys, one, ahead
    ):
        p, n = types.uintp, types.intp
        signature = types.void(p, n, n, n, p, p, p, types.int32, p)

        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            _emit_rows(_Emit(builder), samples, *args)
            return context.get_dummy_value()

        return signature, codegen

    return intrinsic(hash_rows)


def _emit_rows(
    e: _Emit,
    samples: int,
    bits: Any,
    position: Any,
    row_bits: Any,
    groups: Any,
    words: Any,
    active: Any,
    keys: Any,
    one: Any,
    ahead: Any,
) -> None:
    b = e.builder
    nothing = ir.Constant(_LANE, [0] * _WIDTH)
    ones = e.splat(one, _WIDTH)
    lanes = [[e.variable(nothing) for _ in range(LANES)] for _ in range(samples)]
    with cgutils.for_range(b, groups, intp=_I64) as loop:
        group = b.mul(loop.index, _I64(64))
        for line in range(LINES_AHEAD * samples):
            place = e.at(ahead, loop.index, 64 * LINES_AHEAD * samples)
            e.prefetch(b.add(place, _I64(64 * line)))
        masks = [
            e.masks(e.bits64(bits, b.add(b.add(position, b.mul(row_bits, _I64(s))), group)), 4)
            for s in range(samples)
        ]
        for t in range(4):
            for k in range(LANES):
                place = b.add(e.at(words, loop.index, 1024), _I64(256 * k + 64 * t))
                word = e.load(place, _LANE, 4)
                for s in range(samples):
                    e.flip(lanes[s][k], masks[s][t], word)
            place = b.add(e.at(active, group, 4), _I64(64 * t))
            count = e.load(place, _LANE, 4)
            for s in range(samples):
                count = b.select(masks[s][t], b.add(count, ones), count)
            e.store(count, place, 4)
    for s in range(samples):
        for k in range(LANES):
            value = e.call("llvm.vector.reduce.xor.v16i32", _I32, b.load(lanes[s][k]))
            e.store(value, b.add(keys, _I64(16 * s + 4 * k)), 4)


_columns_1, _columns_2, _columns_3, _columns_4 = (make_hash_columns(n) for n in (1, 2, 3, 4))
_rows_1, _rows_4 = make_hash_rows(1), make_hash_rows(4)


@numba.njit(inline="always")
def _address(array, index):  # type: ignore[no-untyped-def]
    return array.ctypes.data + np.uintp(index * array.itemsize)


@numba.njit(nogil=True, cache=True)
def _pack(x, begin, count, threshold, bits, word):  # type: ignore[no-untyped-def]
    """Pack `count` elements into `bits[word:]`; return if any may be non-finite."""
    groups = count // 64
    bad = pack_bits(_address(x, begin), groups, threshold, _address(bits, word))
    if count % 64:
        last = np.uint64(0)
        at = begin + 64 * groups
        for j in range(count % 64):
            v = x[at + j]
            last |= np.uint64(v > threshold) << np.uint64(j)
            bad |= not np.isfinite(v)
        bits[word + groups] = last
    return bad


@numba.njit(nogil=True, cache=True)
def hash_planar(x, units, inner, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """Fill `keys[start:stop]`, add to `active`; return if any value may be non-finite.

    `x` is flat, `words` the `(units, 4)` uint32 lanes.
    """
    whole = units * inner <= BUFFER_BITS
    widest = inner if whole else max(_MIN_COLUMNS, BUFFER_BITS // units // 64 * 64)
    bits = np.empty(units * (widest + 64) // 64 + 2, np.uint64)
    spare = np.empty((64, 2), np.uint64)
    bad = False
    sample = start
    while sample < stop:
        first = sample % inner
        plane = sample // inner * units * inner
        count = min(inner - first, stop - sample, widest)
        if count == inner:
            row_bits = inner
            bad |= _pack(x, plane, units * inner, threshold, bits, 0)
        else:
            row_bits = -(-count // 64) * 64
            for u in range(units):
                begin = plane + u * inner + first
                bad |= _pack(x, begin, count, threshold, bits, u * row_bits // 64)
        sample += count
        part = keys[sample - count : sample]
        begin = sample // inner * units * inner + sample % inner if sample < stop else x.size
        _columns(
            bits,
            row_bits,
            count,
            words,
            active,
            part,
            spare,
            _address(x, begin),
            0 if whole else inner * x.itemsize,
        )
    return bad


@numba.njit(nogil=True, cache=True)
def _columns(bits, row_bits, count, words, active, keys, spare, ahead, stride):  # type: ignore[no-untyped-def]
    units = words.shape[0]
    b, w, a = bits.ctypes.data, words.ctypes.data, active.ctypes.data
    out = spare.ctypes.data
    line = 64 * LINES_AHEAD
    step = line
    if stride == 0:  # what comes next is contiguous, else rows
        stride, step = line, line * units
    ahead -= np.uintp(step)
    for p in range(0, count, 64):
        n = min(64, count - p)
        ahead += np.uintp(step)
        live = ~np.uint64(0) >> np.uint64(64 - n)
        if n == 64:
            _columns_4(b, p, row_bits, units, w, live, a, _address(keys, 2 * p), ahead, stride)
            continue
        if n > 48:
            _columns_4(b, p, row_bits, units, w, live, a, out, ahead, stride)
        elif n > 32:
            _columns_3(b, p, row_bits, units, w, live, a, out, ahead, stride)
        elif n > 16:
            _columns_2(b, p, row_bits, units, w, live, a, out, ahead, stride)
        else:
            _columns_1(b, p, row_bits, units, w, live, a, out, ahead, stride)
        keys[p : p + n] = spare[:n]


@numba.njit(nogil=True, cache=True)
def hash_dense(x, units, words, threshold, start, stop, keys, active):  # type: ignore[no-untyped-def]
    """As `hash_planar` for inner = 1; `words` is `(groups, 4, 64)` uint32, zero where padded."""
    groups = words.shape[0]
    step = max(64, BUFFER_BITS // units)
    bits = np.zeros((step * units + 63) // 64 + groups + 2, np.uint64)
    counts = np.zeros(groups * 64, np.int32)
    one = np.ones(1, np.int32)
    b, w, c = bits.ctypes.data, words.ctypes.data, counts.ctypes.data
    bad = False
    for begin in range(start, stop, step):
        n = min(step, stop - begin)
        bad |= _pack(x, begin * units, n * units, threshold, bits, 0)
        ahead = _address(x, min(begin + step, stop) * units)
        for s in range(0, n - 3, 4):
            out = _address(keys, 2 * (begin + s))
            at = ahead + np.uintp(64 * LINES_AHEAD * s * groups)
            _rows_4(b, s * units, units, groups, w, c, out, one[0], at)
        for s in range(n - n % 4, n):
            out = _address(keys, 2 * (begin + s))
            _rows_1(b, s * units, units, groups, w, c, out, one[0], ahead)
        for u in range(units):
            active[u] += counts[u]
        counts[:] = 0
    return bad


@numba.njit(nogil=True, cache=True)
def count_nonfinite(x):  # type: ignore[no-untyped-def]
    """Return how many elements of a flat array are NaN or infinite."""
    n = 0
    for v in x:
        n += not np.isfinite(v)
    return n
