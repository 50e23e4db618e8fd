// Fingerprints of plain tensors with AVX-512 and GFNI: a key is a linear map over GF(2) of the bits
// of its pattern, and one instruction applies 8 x 8 bits of it to the bits of 8 samples.
//
// Pre-activations become bits in a buffer that stays in the first cache, in the order of memory.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_HASH_BODY_H
#define RELUFLOW_KERNELS_AVX512_HASH_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/bits_body.h"
#include "kernels/avx512/blocked_hash_body.h"
#include "kernels/avx512/rows_body.h"
#include "kernels/kernels.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

inline bool has_hash_instructions() { return has_gfni() && __builtin_cpu_supports("avx512bitalg"); }

constexpr int64_t kWordBits = 64;
constexpr int64_t kTileBits = 1 << 18;  ///< of pre-activations kept at once: 32 KiB
constexpr int64_t kMostRowUnits = 4096;
constexpr int64_t kLeastRows = 64;  ///< samples of a tile of rows: kMostRowUnits x 64 bits fill it
constexpr int64_t kCountedSamples = 248;  ///< whole groups of 8 that a count of 8 bits holds
constexpr int64_t kAheadBytes = 2048;     ///< prefetched ahead in a row; 0, 1 and 4 KiB were slower

/// Indices that turn 8 x 8 bytes: byte m of word j becomes byte j of word m, or of word 7 - m.
RELUFLOW_GFNI_INLINE __m512i turning_bytes(bool backward) {
  alignas(64) uint8_t order[64];
  for (int j = 0; j < 8; ++j) {
    for (int m = 0; m < 8; ++m)
      order[8 * j + (backward ? 7 - m : m)] = static_cast<uint8_t>(8 * m + j);
  }
  return _mm512_load_si512(order);
}

/// Byte i of each word is 1 << i: an affine map of these by a matrix of 8 x 8 bits turns it.
RELUFLOW_GFNI_INLINE __m512i unit_bytes() {
  return _mm512_set1_epi64(static_cast<int64_t>(0x8040201008040201u));
}

/// The bits of some samples and units. A word holds a byte of each of 8 samples: byte s % 8 of
/// `group(g)[s / 8]` has the bits of units 8 g .. 8 g + 7.
class BitTile {
 public:
  explicit BitTile(int64_t samples) : eights_((samples + kWordBits - 1) / kWordBits * 8) {
    if (eights_ > 8) eights_ += 8;  // groups of a power of two apart would share lines of the cache
  }

  uint64_t* group(int64_t g) { return words_ + g * eights_; }

 private:
  int64_t eights_;
  alignas(64) uint64_t words_[kTileBits / kWordBits * 3 / 2];
};

/// Adds G times 8 units to the keys; 8 keys are 16 rows of 8 bytes.
template <int G>
RELUFLOW_GFNI_INLINE void add_groups(const uint64_t* words, BitTile& tile, int64_t first,
                                     int64_t samples, __m512i* keys) {
  KeyMap maps[G];
  const uint64_t* bytes[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
    maps[g] = key_map(words + 16 * g);
    bytes[g] = tile.group(first + g);
  }
  for (int64_t s = 0; s < samples; s += 8) {
    __m512i low = keys[s / 4];
    __m512i high = keys[s / 4 + 1];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const __m512i bits = _mm512_set1_epi64(static_cast<int64_t>(bytes[g][s / 8]));
      low = _mm512_xor_si512(low, _mm512_gf2p8affine_epi64_epi8(bits, maps[g].low, 0));
      high = _mm512_xor_si512(high, _mm512_gf2p8affine_epi64_epi8(bits, maps[g].high, 0));
    }
    keys[s / 4] = low;
    keys[s / 4 + 1] = high;
  }
}

/// Adds the units of a tile to the keys.
RELUFLOW_GFNI void add_tile(const uint64_t* words, int64_t units, BitTile& tile, int64_t samples,
                            __m512i* keys) {
  const int64_t whole = units / 8;
  int64_t g = 0;
  for (; g + 4 <= whole; g += 4) add_groups<4>(words + 16 * g, tile, g, samples, keys);
  for (; g < whole; ++g) add_groups<1>(words + 16 * g, tile, g, samples, keys);
  if (units % 8 == 0) return;
  uint64_t padded[16] = {};
  for (int64_t i = 0; i < 2 * (units % 8); ++i) padded[i] = words[16 * g + i];
  add_groups<1>(padded, tile, g, samples, keys);
}

/// Bits of one unit whose samples are neighbours, 8 words from each 64 to the next; how many are 1.
template <class T>
RELUFLOW_GFNI_INLINE int64_t fill_unit(const T* x, int64_t samples, const T* ahead,
                                       BitReader<T>& kept, uint64_t* bits) {
  BitReader<T> reader = kept;  // a copy that nothing else points at stays in registers
  int64_t active = 0;
  int64_t s = 0;
  for (; s + kWordBits <= samples; s += kWordBits) {
    const char* line = reinterpret_cast<const char*>(ahead + s);
    for (size_t i = 0; i < sizeof(T); ++i) _mm_prefetch(line + 64 * i, _MM_HINT_T1);
    const uint64_t word = reader.whole(x + s);
    active += __builtin_popcountll(word);
    bits[s / 8] = word;
  }
  if (s < samples) {
    const uint64_t word = reader.part(x + s, samples - s);
    active += __builtin_popcountll(word);
    bits[s / 8] = word;
  }
  kept = reader;
  return active;
}

/// Bits of units whose samples are neighbours.
template <class T>
RELUFLOW_GFNI void fill_columns(const HashArgs<T>& h, int64_t unit, int64_t units,
                                BitReader<T>& reader, BitTile& tile) {
  const __m512i order = turning_bytes(true);
  const __m512i ids = unit_bytes();
  // What is needed next is what is next in memory, or else the next row.
  const int64_t ahead =
      h.unit_stride == h.samples ? kAheadBytes / static_cast<int64_t>(sizeof(T)) : h.unit_stride;
  alignas(64) uint64_t bits[kHashSamples / 8];  // of 8 units side by side
  for (int64_t u = 0; u < units; u += 8) {
    const int64_t n = units - u < 8 ? units - u : 8;
    for (int64_t i = 0; i < n; ++i) {
      const T* x = h.x + (unit + u + i) * h.unit_stride;
      h.active[unit + u + i] += fill_unit(x, h.samples, x + ahead, reader, bits + i);
    }
    const __mmask8 valid = static_cast<__mmask8>(first_lanes(n));
    uint64_t* bytes = tile.group(u / 8);
    for (int64_t s = 0; s < h.samples; s += kWordBits) {
      const __m512i eight = _mm512_maskz_load_epi64(valid, bits + s / 8);
      const __m512i turned = _mm512_permutexvar_epi8(order, eight);
      _mm512_store_si512(bytes + s / 8, _mm512_gf2p8affine_epi64_epi8(ids, turned, 0));
    }
  }
}

/// Bits of up to 8 rows of neighbouring units, words of the same units side by side.
template <class T>
RELUFLOW_GFNI_INLINE void read_rows(const T* x, int64_t stride, int64_t rows, int64_t units,
                                    BitReader<T>& kept, uint64_t* bits) {
  BitReader<T> reader = kept;  // a copy that nothing else points at stays in registers
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = x + i * stride;
    int64_t u = 0;
    for (; u + kWordBits <= units; u += kWordBits) {
      const char* line = reinterpret_cast<const char*>(row + u) + kAheadBytes;
      for (size_t k = 0; k < sizeof(T); ++k) _mm_prefetch(line + 64 * k, _MM_HINT_T1);
      bits[u / 8 + i] = reader.whole(row + u);
    }
    if (u < units) bits[u / 8 + i] = reader.part(row + u, units - u);
  }
  kept = reader;
}

/// Bits of units that are neighbours, of samples at h.unit_stride.
template <class T>
RELUFLOW_GFNI void fill_rows(const HashArgs<T>& h, int64_t unit, int64_t units,
                             BitReader<T>& reader, BitTile& tile) {
  const __m512i order = turning_bytes(false);
  const __m512i ids = unit_bytes();
  alignas(64) uint64_t bits[kMostRowUnits / 8] = {};
  alignas(64) uint8_t counts[kMostRowUnits] = {};
  for (int64_t s = 0; s < h.samples; s += 8) {
    const int64_t n = h.samples - s < 8 ? h.samples - s : 8;
    if (n < 8) {
      for (uint64_t& word : bits) word = 0;
    }
    read_rows(h.x + s * h.unit_stride + unit, h.unit_stride, n, units, reader, bits);
    for (int64_t u = 0; u < units; u += kWordBits) {
      const __m512i turned = _mm512_permutexvar_epi8(order, _mm512_load_si512(bits + u / 8));
      alignas(64) uint64_t bytes[8];
      _mm512_store_si512(bytes, turned);
      const int64_t groups = units - u < kWordBits ? (units - u + 7) / 8 : 8;
      for (int64_t g = 0; g < groups; ++g) tile.group(u / 8 + g)[s / 8] = bytes[g];
      const __m512i more = _mm512_popcnt_epi8(_mm512_gf2p8affine_epi64_epi8(ids, turned, 0));
      _mm512_store_si512(counts + u, _mm512_add_epi8(_mm512_load_si512(counts + u), more));
    }
    if ((s + 8) % kCountedSamples == 0 || s + 8 >= h.samples) {
      for (int64_t u = 0; u < units; ++u) h.active[unit + u] += counts[u];
      for (int64_t u = 0; u < units; ++u) counts[u] = 0;
    }
  }
}

/// Fingerprints of samples whose tile of all units, or of kMostRowUnits, is filled in one go.
template <class T, bool kRows>
RELUFLOW_GFNI void hash_samples(HashArgs<T>& h) {
  alignas(64) __m512i keys[kHashSamples / 4];
  BitTile tile(h.samples);
  const int64_t rounded = (h.samples + 7) / 8 * 8;
  for (int64_t s = 0; s < rounded / 4; ++s) keys[s] = _mm512_setzero_si512();
  const int64_t words = (h.samples + kWordBits - 1) / kWordBits;
  const int64_t most = kRows ? kMostRowUnits : kTileBits / kWordBits / words / 8 * 8;
  for (int64_t unit = 0; unit < h.units; unit += most) {
    const int64_t units = h.units - unit < most ? h.units - unit : most;
    BitReader<T> reader(h.threshold);
    if constexpr (kRows) {
      fill_rows(h, unit, units, reader, tile);
      if (reader.spoiled()) {
        h.nonfinite += nonfinite_of(h.x + unit, h.samples, units, h.unit_stride);
      }
    } else {
      fill_columns(h, unit, units, reader, tile);
      if (reader.spoiled()) {
        h.nonfinite += nonfinite_of(h.x + unit * h.unit_stride, units, h.samples, h.unit_stride);
      }
    }
    add_tile(h.words + 2 * unit, units, tile, rounded, keys);
  }
  store_blocked_keys(keys, h.samples, h.keys);
}

template <class T>
void gfni_hash(HashArgs<T>& h) {
  h.nonfinite = 0;
  hash_samples<T, false>(h);
}

/// Rows are read whole, as many at once as a tile holds.
template <class T>
void gfni_hash_rows(HashArgs<T>& h) {
  const int64_t units = h.units < kMostRowUnits ? h.units : kMostRowUnits;
  const int64_t step = kTileBits / (units > 256 ? units : 256) / kLeastRows * kLeastRows;
  h.nonfinite = 0;
  for (int64_t s = 0; s < h.samples; s += step) {
    HashArgs<T> part = h;
    part.x += s * h.unit_stride;
    part.keys += 2 * s;
    part.samples = h.samples - s < step ? h.samples - s : step;
    part.nonfinite = 0;
    hash_samples<T, true>(part);
    h.nonfinite += part.nonfinite;
  }
}

#undef RELUFLOW_GFNI_INLINE
#undef RELUFLOW_GFNI

}  // namespace

}  // namespace reluflow

#endif
