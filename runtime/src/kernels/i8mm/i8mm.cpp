// NEON with matrix products of bytes: usmmla adds 32 products of a byte and a signed byte,
// usdot 16.
#include "kernels/dotprod/columns_body.h"
#include "kernels/i8mm/matrix_tile_body.h"
#include "kernels/kernels.h"
#include "kernels/neon/neon_table_body.h"

namespace reluflow {

namespace {

struct MixedDot {
  static constexpr bool kSigned = false;

  RELUFLOW_INLINE static int32x4_t dot(int32x4_t sum, int8x16_t w, int8x16_t x) {
    return vdotq_s32(sum, w, x);
  }
  RELUFLOW_INLINE static int32x4_t add(int32x4_t sum, int8x16_t w) {
    return vdotq_s32(sum, w, vdupq_n_s8(1));
  }
  RELUFLOW_INLINE static uint8x16_t bytes(uint8x16_t x) { return x; }
  RELUFLOW_INLINE static int32x4_t quads(int32x4_t sum, int8x16_t w, uint8x16_t x) {
    return vusdotq_s32(sum, x, w);
  }
};

}  // namespace

const Kernels& i8mm_kernels() {
  static const Kernels table = [] {
    Kernels k = neon_table<MixedDot>("i8mm");
    k.fixed_tile = matrix_fixed_tile;
    k.fixed_depthwise = columns_depthwise<MixedDot>;
    k.fixed_arrange = columns_arrange;
    return k;
  }();
  return table;
}

}  // namespace reluflow
