// NEON with dot products: one sdot adds 16 products of signed bytes.
#include "kernels/dotprod/columns_body.h"
#include "kernels/kernels.h"
#include "kernels/neon/neon_table_body.h"

namespace reluflow {

namespace {

struct SignedDot {
  static constexpr bool kSigned = true;

  RELUFLOW_INLINE static int32x4_t dot(int32x4_t sum, int8x16_t w, int8x16_t x) {
    return vdotq_s32(sum, w, x);
  }
  RELUFLOW_INLINE static int32x4_t add(int32x4_t sum, int8x16_t w) {
    return vdotq_s32(sum, w, vdupq_n_s8(1));
  }
  /// Bytes as `quads` wants them.
  RELUFLOW_INLINE static uint8x16_t bytes(uint8x16_t x) { return veorq_u8(x, vdupq_n_u8(0x80)); }
  RELUFLOW_INLINE static int32x4_t quads(int32x4_t sum, int8x16_t w, uint8x16_t x) {
    return vdotq_s32(sum, w, vreinterpretq_s8_u8(x));
  }
};

}  // namespace

const Kernels& dotprod_kernels() {
  static const Kernels table = [] {
    Kernels k = neon_table<SignedDot>("dotprod");
    k.fixed_depthwise = columns_depthwise<SignedDot>;
    k.fixed_arrange = columns_arrange;
    return k;
  }();
  return table;
}

}  // namespace reluflow
