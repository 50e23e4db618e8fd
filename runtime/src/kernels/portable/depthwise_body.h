// Depthwise channels in plain C++: docs/psb-ops.md, "Sum"; the words are those of sums/depthwise.h.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_DEPTHWISE_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_DEPTHWISE_BODY_H

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

/// The row of the input that gives row `r` of words, `behind` rows further on; null for zeros.
inline const float* word_row(const PackWordsArgs& p, int64_t r, int64_t behind) {
  const int64_t row = p.first_row + r * p.row_step + behind;
  return row >= 0 && row < p.height ? p.x + row * p.stride : nullptr;
}

/// Pixel `i` of a padded row, quantised.
inline int32_t padded_pixel(const PackWordsArgs& p, const float* row, int64_t i) {
  const int64_t at = i - p.pad;
  return row && at >= 0 && at < p.width ? quantise(row[at], p.scale, p.limit) : 0;
}

/// The words [begin, end) of a row, one by one: those of a and b, or neighbours of a.
inline void pack_one_by_one(const PackWordsArgs& p, const float* a, const float* b, int64_t step,
                            int64_t begin, int64_t end, int32_t* out) {
  for (int64_t i = begin; i < end; ++i) {
    const int32_t high = step == 2 ? padded_pixel(p, a, 2 * i + 1) : padded_pixel(p, b, i);
    out[i] = pair_of(padded_pixel(p, a, step * i), high);
  }
}

/// One row of words, `step` pixels from the low half of one to that of the next.
inline void pack_word_row(const PackWordsArgs& p, const float* a, const float* b, int64_t step,
                          int32_t* out) {
  int64_t begin = (p.pad + step - 1) / step;
  begin = begin < p.n ? begin : p.n;
  int64_t end = (p.pad + p.width) / step;
  end = end < begin ? begin : end < p.n ? end : p.n;
  pack_one_by_one(p, a, b, step, 0, begin, out);
  if (a && end > begin) {
    const float* row = a + step * begin - p.pad;
    const float* high = step == 2 ? row + 1 : b ? b + begin - p.pad : nullptr;
    common_pack_row(row, high, end - begin, step, p.scale, p.limit, out + begin);
  } else {
    pack_one_by_one(p, a, b, step, begin, end, out);
  }
  pack_one_by_one(p, a, b, step, end, p.n, out);
}

[[maybe_unused]] void common_pack_words(const PackWordsArgs& p) {
  for (int64_t r = 0; r < p.rows; ++r) {
    const float* b = p.pairs_rows ? word_row(p, r, 1) : nullptr;
    pack_word_row(p, word_row(p, r, 0), b, 1, p.out + r * p.n);
  }
}

[[maybe_unused]] void common_pack_neighbours(const PackWordsArgs& p) {
  for (int64_t r = 0; r < p.rows; ++r) {
    pack_word_row(p, word_row(p, r, 0), nullptr, 2, p.out + r * p.n);
  }
}

/// Products [begin, end) of up to 64 pixels of one output row: their sums.
inline void depthwise_sums(const DepthwiseArgs& d, const int32_t* words, const int16_t* weights,
                           int64_t begin, int64_t end, int64_t n, int32_t* sum) {
  const int64_t step = d.column_step;
  for (int64_t i = 0; i < n; ++i) sum[i] = 0;
  for (int64_t t = begin; t < end; ++t) {
    const int32_t* in = words + d.offsets[t];
    const int32_t low = weights[t * d.weight_step];
    const int32_t high = weights[t * d.weight_step + 1];
    if (step == 1) {
      for (int64_t i = 0; i < n; ++i) {
        sum[i] += low * static_cast<int16_t>(in[i]) + high * (in[i] >> 16);
      }
    } else {
      for (int64_t i = 0; i < n; ++i) {
        sum[i] += low * static_cast<int16_t>(in[i * step]) + high * (in[i * step] >> 16);
      }
    }
  }
}

/// Scale, bias, z and bounds.
template <class Sum>
void finish_depthwise(const DepthwiseArgs& d, const Sum* sum, int64_t n, int64_t at) {
  for (int64_t i = 0; i < n; ++i) {
    float y = static_cast<float>(sum[i]) * d.scale_a * d.scale_b;
    if (d.bias) y += *d.bias;
    if (d.z) y += d.z[at + i];
    d.out[at + i] = activate(y, d.clips, d.low, d.high);
  }
}

/// Up to 64 pixels whose sums int32 may not hold.
inline void wide_depthwise(const DepthwiseArgs& d, const int32_t* words, const int16_t* weights,
                           int64_t n, int64_t at) {
  int32_t sum[64];
  int64_t all[64] = {};
  int64_t begin = 0;
  for (int64_t run = 0; run < d.runs; begin = d.ends[run++]) {
    depthwise_sums(d, words, weights, begin, d.ends[run], n, sum);
    for (int64_t i = 0; i < n; ++i) all[i] += sum[i];
  }
  finish_depthwise(d, all, n, at);
}

[[maybe_unused]] void common_depthwise(const DepthwiseArgs& d) {
  int32_t sum[64];
  for (int64_t row = 0; row < d.height; ++row) {
    const int32_t* words = d.words + row / d.rows * d.pass_step;
    const int16_t* weights = d.weights + row % d.rows * d.n * d.weight_step;
    for (int64_t x = 0; x < d.width; x += 64) {
      const int64_t n = d.width - x < 64 ? d.width - x : 64;
      const int32_t* from = words + x * d.column_step;
      if (d.runs > 1) {
        wide_depthwise(d, from, weights, n, row * d.width + x);
        continue;
      }
      depthwise_sums(d, from, weights, 0, d.n, n, sum);
      finish_depthwise(d, sum, n, row * d.width + x);
    }
  }
}

}  // namespace

}  // namespace reluflow

#endif
