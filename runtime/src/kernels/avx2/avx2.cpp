// AVX2: vpmaddwd computes 16 products, vpaddd adds them up.
#include <immintrin.h>

#include "kernels/avx2/blocked_hash_body.h"
#include "kernels/avx2/fixed_body.h"
#include "kernels/avx2/fixed_draw_body.h"
#include "kernels/kernels.h"
#include "kernels/portable/table_body.h"

namespace reluflow {

namespace {

inline void flush(const TileArgs& t, int p, int at, __m256i sum) {
  const int to = p * kTileLanes + at;
  if (t.mode == kTileRaw) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(static_cast<int32_t*>(t.out) + to), sum);
    return;
  }
  float* out = static_cast<float*>(t.out) + to;
  __m256 value = _mm256_cvtepi32_ps(sum);
  if (t.mode == kTileAdd) value = _mm256_add_ps(_mm256_loadu_ps(out), value);
  _mm256_storeu_ps(out, value);
}

inline __m256i dot(__m256i sum, __m256i w, __m256i x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(w, x));
}

#define RELUFLOW_ROW_ZERO(p)             \
  __m256i a##p = _mm256_setzero_si256(); \
  __m256i b##p = _mm256_setzero_si256(); \
  const char* x##p = t.pixels[P > p ? p : 0]

#define RELUFLOW_ROW_DOT(p)                          \
  if constexpr (P > p) {                             \
    int32_t bits;                                    \
    __builtin_memcpy(&bits, x##p + at, sizeof bits); \
    const __m256i x = _mm256_set1_epi32(bits);       \
    a##p = dot(a##p, wa, x);                         \
    b##p = dot(b##p, wb, x);                         \
  }

#define RELUFLOW_ROW_OUT(p)        \
  if constexpr (P > p) {           \
    flush(t, p, 16 * v, a##p);     \
    flush(t, p, 16 * v + 8, b##p); \
  }

/// P pixels times 16 output channels, number v of the tile: 12 sums, 2 weights, 2 in flight.
template <int P>
void tile16(const TileArgs& t, int v, int vectors) {
  RELUFLOW_ROW_ZERO(0);
  RELUFLOW_ROW_ZERO(1);
  RELUFLOW_ROW_ZERO(2);
  RELUFLOW_ROW_ZERO(3);
  RELUFLOW_ROW_ZERO(4);
  RELUFLOW_ROW_ZERO(5);
  const int16_t* w = t.weights + v * 2 * kLanes;
  for (int64_t k = 0; k < t.pairs; ++k, w += vectors * 2 * kLanes) {
    const int64_t at = t.taps[k];
    const __m256i wa = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i wb = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 16));
    RELUFLOW_ROW_DOT(0)
    RELUFLOW_ROW_DOT(1)
    RELUFLOW_ROW_DOT(2)
    RELUFLOW_ROW_DOT(3)
    RELUFLOW_ROW_DOT(4)
    RELUFLOW_ROW_DOT(5)
  }
  RELUFLOW_ROW_OUT(0)
  RELUFLOW_ROW_OUT(1)
  RELUFLOW_ROW_OUT(2)
  RELUFLOW_ROW_OUT(3)
  RELUFLOW_ROW_OUT(4)
  RELUFLOW_ROW_OUT(5)
}

void avx2_tile(int pixels, int vectors, const TileArgs& args) {
  static constexpr void (*kTiles[6])(const TileArgs&, int, int) = {tile16<1>, tile16<2>, tile16<3>,
                                                                   tile16<4>, tile16<5>, tile16<6>};
  for (int v = 0; v < vectors; ++v) kTiles[pixels - 1](args, v, vectors);
}

}  // namespace

const Kernels& avx2_kernels() {
  static const Kernels table = [] {
    Kernels k = common_kernels<avx2_tile>("avx2", 6);
    k.blocked_hash = avx2_blocked_hash;
    k.fixed_tile = avx2_fixed_tile;
    k.fixed_depthwise = avx2_fixed_depthwise;
    k.fixed_draw = avx2_fixed_draw;
    return k;
  }();
  return table;
}

}  // namespace reluflow
