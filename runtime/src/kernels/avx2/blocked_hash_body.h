// Fingerprints of blocked tensors with AVX2: one comparison makes the bits of 8 units.
//
// In an unnamed namespace on purpose: the files of AVX2 and AVX-512 compile a copy each.
#ifndef RELUFLOW_KERNELS_AVX2_BLOCKED_HASH_BODY_H
#define RELUFLOW_KERNELS_AVX2_BLOCKED_HASH_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/portable/blocked_hash_body.h"

namespace reluflow {

namespace {

void avx2_blocked_hash(BlockedHashArgs& h) {
  const __m256 threshold = _mm256_set1_ps(h.threshold);
  const __m256i finite = _mm256_set1_epi32(0x7f7fffff);
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  each_eight(h, [&](const float* x, const uint64_t* nibbles, int64_t lanes, int32_t* active) {
    const __m128i* entries = reinterpret_cast<const __m128i*>(nibbles);
    __m256i counts = _mm256_setzero_si256();
    __m256i largest = counts;
    for (int64_t s = 0; s < h.samples; ++s) {
      const __m256 v = _mm256_loadu_ps(x + s * h.block);
      const __m256 on = _mm256_cmp_ps(v, threshold, _CMP_GT_OQ);
      counts = _mm256_sub_epi32(counts, _mm256_castps_si256(on));
      const __m256i size = _mm256_and_si256(_mm256_castps_si256(v), magnitude);
      largest = _mm256_max_epi32(largest, size);
      const unsigned bits = static_cast<unsigned>(_mm256_movemask_ps(on));
      __m128i* key = reinterpret_cast<__m128i*>(h.keys + 2 * s);
      const __m128i low = _mm_loadu_si128(entries + (bits & 15u));
      const __m128i high = _mm_loadu_si128(entries + 16 + (bits >> 4));
      _mm_storeu_si128(key, _mm_xor_si128(_mm_loadu_si128(key), _mm_xor_si128(low, high)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(active), counts);
    const __m256i bad = _mm256_cmpgt_epi32(largest, finite);
    if (_mm256_testz_si256(bad, bad)) return int64_t{0};
    return count_nonfinite(x, h.samples, h.block, lanes);
  });
}

}  // namespace

}  // namespace reluflow

#endif
