// Plain C++: the reference for every other table, and the fallback where no other can run.
#include "kernels/kernels.h"
#include "kernels/portable/table_body.h"

namespace reluflow {

namespace {

void tile_pixel(int lanes, const TileArgs& t, int pixel) {
  int32_t sum[kTileLanes] = {};
  for (int64_t k = 0; k < t.pairs; ++k) {
    int16_t x[2];
    __builtin_memcpy(x, t.pixels[pixel] + t.taps[k], sizeof x);
    const int32_t x0 = x[0];
    const int32_t x1 = x[1];
    const int16_t* w = t.weights + k * 2 * lanes;
    for (int lane = 0; lane < lanes; ++lane) sum[lane] += x0 * w[2 * lane] + x1 * w[2 * lane + 1];
  }
  int32_t* raw = static_cast<int32_t*>(t.out) + pixel * kTileLanes;
  float* out = static_cast<float*>(t.out) + pixel * kTileLanes;
  for (int lane = 0; lane < lanes; ++lane) {
    if (t.mode == kTileRaw) raw[lane] = sum[lane];
    if (t.mode == kTileFirst) out[lane] = static_cast<float>(sum[lane]);
    if (t.mode == kTileAdd) out[lane] += static_cast<float>(sum[lane]);
  }
}

void portable_tile(int pixels, int vectors, const TileArgs& args) {
  for (int p = 0; p < pixels; ++p) tile_pixel(vectors * kLanes, args, p);
}

}  // namespace

const Kernels& portable_kernels() {
  static const Kernels table = common_kernels<portable_tile>("portable", 4);
  return table;
}

}  // namespace reluflow
