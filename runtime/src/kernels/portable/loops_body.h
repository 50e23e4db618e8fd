// The loops that a compiler vectorises well.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_LOOPS_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_LOOPS_BODY_H

#include <cstdint>

#include "base/random.h"
#include "kernels/kernels.h"

namespace reluflow {

namespace {

inline uint32_t bits_of(float v) {
  uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}

[[maybe_unused]] uint32_t common_max_abs_bits(const float* x, int64_t n) {
  int32_t best = 0;
  for (int64_t i = 0; i < n; ++i) {
    int32_t bits = static_cast<int32_t>(bits_of(x[i]) & 0x7fffffffu);
    bits = bits < 0x7f800000 ? bits : 0;
    best = bits > best ? bits : best;
  }
  return static_cast<uint32_t>(best);
}

/// clamp(round_half_even(x * scale)) with NaN -> 0. Adding 1.5 * 2^23 rounds to a whole number.
inline int32_t quantise(float x, float scale, float limit) {
  float t = x * scale;
  t = t == t ? t : 0.0f;
  t = t < limit ? t : limit;
  t = t > -limit ? t : -limit;
  constexpr float kRounding = 12582912.0f;  // 1.5 * 2^23
  constexpr int32_t kItsBits = 0x4b400000;
  return static_cast<int32_t>(bits_of(t + kRounding)) - kItsBits;
}

inline int32_t pair_of(int32_t low, int32_t high) {
  return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xffffu) |
                              (static_cast<uint32_t>(high) << 16));
}

[[maybe_unused]] void common_pack_row(const float* a, const float* b, int64_t n, int64_t step,
                                      float scale, float limit, int32_t* out) {
  if (b == nullptr) {
    for (int64_t i = 0; i < n; ++i) out[i] = pair_of(quantise(a[i * step], scale, limit), 0);
  } else if (step == 1) {
    for (int64_t i = 0; i < n; ++i) {
      out[i] = pair_of(quantise(a[i], scale, limit), quantise(b[i], scale, limit));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      out[i] = pair_of(quantise(a[i * step], scale, limit), quantise(b[i * step], scale, limit));
    }
  }
}

/// What `tile_runs` does, by a tile that knows raw sums.
template <void (*kTile)(int, int, const TileArgs&)>
[[maybe_unused]] void runs_by_tile(int pixels, int vectors, const RunsArgs& r) {
  alignas(64) int32_t raw[kMaxPixels * kTileLanes];
  int64_t begin = 0;
  for (int64_t run = 0; run < r.runs; ++run) {
    const int16_t* weights = r.weights + begin * 2 * kLanes * vectors;
    int32_t* out = run == 0 ? r.low : raw;
    kTile(pixels, vectors, {r.pixels, r.taps + begin, weights, r.ends[run] - begin, kTileRaw, out});
    begin = r.ends[run];
    if (r.runs == 1) continue;
    for (int p = 0; p < pixels; ++p) {
      for (int at = p * kTileLanes; at < p * kTileLanes + vectors * kLanes; ++at) {
        const int32_t before = run == 0 ? 0 : r.low[at];
        const int32_t low = before + (out[at] & ((1 << kHighBits) - 1));
        r.high[at] = (run == 0 ? 0 : r.high[at]) + (out[at] >> kHighBits) + (low >> kHighBits);
        r.low[at] = low & ((1 << kHighBits) - 1);
      }
    }
  }
}

[[maybe_unused]] void common_join(const int32_t* low, const int32_t* high, int pixels, int lanes,
                                  bool first, float* sums) {
  for (int p = 0; p < pixels; ++p) {
    for (int at = p * kTileLanes; at < p * kTileLanes + lanes; ++at) {
      const float sum = static_cast<float>(int64_t{high[at]} * (1 << kHighBits) + low[at]);
      sums[at] = first ? sum : sums[at] + sum;
    }
  }
}

/// Both bounds leave NaN and -0 as they are. Relu is the clip to [0, inf].
inline float activate(float y, int clips, float low, float high) {
  if (!clips) return y;
  y = y < low ? low : y;
  return y > high ? high : y;
}

[[maybe_unused]] void common_store_planar(const StoreArgs& s) {
  for (int lane = 0; lane < s.lanes; ++lane) {
    float* out = s.out + lane * s.stride;
    const float* z = s.z ? s.z + lane * s.stride : nullptr;
    for (int p = 0; p < s.pixels; ++p) {
      float y = s.sums[p * kTileLanes + lane] * s.scale_a[lane] * s.scale_b[lane];
      if (s.bias) y += s.bias[lane];
      if (z) y += z[p];
      out[p] = activate(y, s.clips, s.low, s.high);
    }
  }
}

[[maybe_unused]] void common_store_rows(const StoreArgs& s) {
  for (int p = 0; p < s.pixels; ++p) {
    const float* sums = s.sums + p * kTileLanes;
    float* out = s.out + p * s.stride;
    const float* z = s.z ? s.z + p * s.stride : nullptr;
    for (int lane = 0; lane < s.lanes; ++lane) {
      float y = sums[lane] * s.scale_a[lane] * s.scale_b[lane];
      if (s.bias) y += s.bias[lane];
      if (z) y += z[lane];
      out[lane] = activate(y, s.clips, s.low, s.high);
    }
  }
}

/// The sampled weight of n + k ones: ((u << (D + 1)) >> j, then halved with rounding up of ties.
inline int32_t sampled(uint32_t k, uint8_t sign_shift, int log2_n) {
  const uint32_t u = ((1u << log2_n) + k) << (14 - log2_n);
  const int32_t magnitude = static_cast<int32_t>(((u >> (sign_shift & 15)) + 1u) >> 1);
  return sign_shift & 0x80 ? -magnitude : magnitude;
}

[[maybe_unused]] void common_random(uint32_t key_a, uint32_t key_b, uint32_t first, uint32_t flip,
                                    int count, uint32_t* out) {
  const Key key{key_a, key_b};
  for (int i = 0; i < count; ++i) {
    out[i] = random_bits(key, (first + static_cast<uint32_t>(i)) ^ flip);
  }
}

/// Sign and shift of a packed word.
inline uint8_t packed_code(uint32_t word) {
  return static_cast<uint8_t>((word & 15u) | (word & kPackedSign) << 3);
}

/// How many of weight i's n draws lie below p.
inline uint32_t coins_of(uint32_t p16, uint32_t i, const DrawArgs& d) {
  const Key key{d.key_a, d.key_b};
  uint32_t k = 0;
  const uint32_t n = 1u << d.log2_n;
  for (uint32_t t = 0; t < n; t += 2) {
    const uint32_t r = random_bits(key, i * 32u + (t >> 1));
    k += (r & 0xffffu) < p16 ? 1u : 0u;
    if (n > 1) k += (r >> 16) < p16 ? 1u : 0u;
  }
  return k;
}

inline void common_draw_binomial(const DrawArgs& d) {
  const uint32_t mask = d.carried ? 0xffffu : d.sign_shift ? 0xff00u : 0xf000u;
  const int64_t width = int64_t{2} * kLanes * d.vectors;
  for (int64_t pair = d.pair_begin; pair < d.pair_end; ++pair) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t at = pair * width + x;
      const int64_t q = x & 1 ? d.second[pair] : d.first[pair];
      const int64_t i = (d.first_channel + x / 2) * d.per_channel + q;
      const uint32_t k = coins_of(d.p16[at] & mask, static_cast<uint32_t>(i), d);
      const uint8_t code = d.sign_shift ? d.sign_shift[at] : packed_code(d.p16[at]);
      d.out[at] = static_cast<int16_t>(sampled(k, code, d.log2_n));
    }
  }
}

/// Systematic draws with r = U + n c; nearest ones are those with r = 2^15.
[[maybe_unused]] void common_draw(const DrawArgs& d) {
  if (d.sampler == 1) return common_draw_binomial(d);
  uint32_t offsets[2 * kTileLanes];
  for (int x = 0; x < 2 * kTileLanes; ++x) {
    offsets[x] = d.sampler == 0 ? d.offsets[x / 2] & 0xffffu : 0x8000u;
  }
  const uint32_t n = d.sampler == 0 ? 1u << d.log2_n : 0u;
  const int64_t width = int64_t{2} * kLanes * d.vectors;
  for (int64_t pair = d.pair_begin; pair < d.pair_end; ++pair) {
    const uint16_t* p16 = d.p16 + pair * width;
    const uint8_t* sign_shift = d.sign_shift ? d.sign_shift + pair * width : nullptr;
    int16_t* out = d.out + pair * width;
    if (!sign_shift) {
      for (int64_t x = 0; x < width; ++x) {
        const uint32_t c = (p16[x] << kPackedCarry) & 0xf000u;
        const uint32_t r = (offsets[x] + n * c) & 0xffffu;
        const uint32_t k = (((p16[x] & 0xf000u) << d.log2_n) + r) >> 16;
        out[x] = static_cast<int16_t>(sampled(k, packed_code(p16[x]), d.log2_n));
      }
    } else if (d.carried) {
      const uint16_t* carried = d.carried + pair * width;
      for (int64_t x = 0; x < width; ++x) {
        const uint32_t r = (offsets[x] + n * carried[x]) & 0xffffu;
        const uint32_t k = ((static_cast<uint32_t>(p16[x]) << d.log2_n) + r) >> 16;
        out[x] = static_cast<int16_t>(sampled(k, sign_shift[x], d.log2_n));
      }
    } else {
      for (int64_t x = 0; x < width; ++x) {
        const uint32_t r = (offsets[x] + n * (p16[x] * 256u)) & 0xffffu;
        const uint32_t k = (((p16[x] & 0xff00u) << d.log2_n) + r) >> 16;
        out[x] = static_cast<int16_t>(sampled(k, sign_shift[x], d.log2_n));
      }
    }
  }
}

inline int32_t is_nonfinite(float v) { return (bits_of(v) & 0x7f800000u) == 0x7f800000u; }

/// The difference of a finite number with itself is 0, of any other NaN.
inline int32_t is_nonfinite(double v) { return !(v - v == 0.0); }

constexpr int64_t kPieceSamples = 1024;  ///< whose keys stay in the first cache

/// Up to kPieceSamples samples from `begin` on; returns their non-finite values.
template <class T>
int64_t common_hash_piece(const HashArgs<T>& h, int64_t begin, int64_t samples) {
  uint64_t first[kPieceSamples];
  uint64_t second[kPieceSamples];
  for (int64_t s = 0; s < samples; ++s) first[s] = second[s] = 0;
  int64_t nonfinite = 0;
  for (int64_t u = 0; u < h.units; ++u) {
    const T* row = h.x + u * h.unit_stride + begin;
    const uint64_t word0 = h.words[2 * u];
    const uint64_t word1 = h.words[2 * u + 1];
    int32_t count = 0;
    int32_t bad = 0;
    for (int64_t s = 0; s < samples; ++s) {
      const int32_t on = row[s] > h.threshold;
      count += on;
      bad += is_nonfinite(row[s]);
      const uint64_t mask = static_cast<uint64_t>(-static_cast<int64_t>(on));
      first[s] ^= word0 & mask;
      second[s] ^= word1 & mask;
    }
    h.active[u] += count;
    nonfinite += bad;
  }
  for (int64_t s = 0; s < samples; ++s) {
    h.keys[2 * (begin + s)] = first[s];
    h.keys[2 * (begin + s) + 1] = second[s];
  }
  return nonfinite;
}

template <class T>
[[maybe_unused]] void common_hash(HashArgs<T>& h) {
  h.nonfinite = 0;
  for (int64_t s = 0; s < h.samples; s += kPieceSamples) {
    const int64_t left = h.samples - s;
    h.nonfinite += common_hash_piece(h, s, left < kPieceSamples ? left : kPieceSamples);
  }
}

template <class T>
[[maybe_unused]] void common_hash_rows(HashArgs<T>& h) {
  // The counts of so many units, 2 KB, stay in the first-level cache beside a row and its words.
  constexpr int64_t kUnits = 512;
  int64_t nonfinite = 0;
  for (int64_t s = 0; s < 2 * h.samples; ++s) h.keys[s] = 0;
  for (int64_t u0 = 0; u0 < h.units; u0 += kUnits) {
    const int64_t n = h.units - u0 < kUnits ? h.units - u0 : kUnits;
    int32_t counts[kUnits];
    for (int64_t u = 0; u < n; ++u) counts[u] = 0;
    for (int64_t s = 0; s < h.samples; ++s) {
      const T* row = h.x + s * h.unit_stride + u0;
      const uint64_t* words = h.words + 2 * u0;
      uint64_t first = 0;
      uint64_t second = 0;
      int32_t bad = 0;
      for (int64_t u = 0; u < n; ++u) {
        const int32_t on = row[u] > h.threshold;
        counts[u] += on;
        bad += is_nonfinite(row[u]);
        const uint64_t mask = static_cast<uint64_t>(-static_cast<int64_t>(on));
        first ^= words[2 * u] & mask;
        second ^= words[2 * u + 1] & mask;
      }
      h.keys[2 * s] ^= first;
      h.keys[2 * s + 1] ^= second;
      nonfinite += bad;
    }
    for (int64_t u = 0; u < n; ++u) {
      h.active[u0 + u] += counts[u];
    }
  }
  h.nonfinite = nonfinite;
}

}  // namespace

}  // namespace reluflow

#endif
