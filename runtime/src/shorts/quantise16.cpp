#include "shorts/quantise16.h"

#include <algorithm>
#include <cmath>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 1024;  // pixels of one piece of work: their values stay in a near cache

/// Calls `work(image, begin, end)` for neighbouring pixels: all of them, or those of a region.
template <class Work>
void for_pixels(Runner& runner, const Image16& image, const Region* region, const Work& work) {
  if (region) {
    for_each_run(runner, *region, kPiece, [&](const PixelRun& run) {
      const int64_t begin = run.row * region->grid().columns + run.column;
      work(run.image, begin, begin + run.length);
    });
    return;
  }
  const size_t pieces = static_cast<size_t>((image.pixels + kPiece - 1) / kPiece);
  parallel_for(runner, static_cast<size_t>(image.batch) * pieces, [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i % pieces) * kPiece;
    work(static_cast<int64_t>(i / pieces), begin, std::min(image.pixels, begin + kPiece));
  });
}

}  // namespace

void to_fixed16(Runner& runner, const Kernels& kernels, const Image16& image, const Region* region,
                int exponent, int limit, const float* x, int16_t* out) {
  for_pixels(runner, image, region, [&](int64_t batch, int64_t begin, int64_t end) {
    kernels.fixed16_pack({x + batch * image.channels * image.pixels + begin, image.pixels,
                          image.channels, end - begin, image.channels, std::ldexp(1.0f, exponent),
                          static_cast<float>(limit),
                          out + (batch * image.pixels + begin) * image.channels});
  });
}

void from_fixed16(Runner& runner, const Image16& image, const Region* region, int exponent,
                  const int16_t* x, float* out) {
  const float scale = std::ldexp(1.0f, -exponent);
  for_pixels(runner, image, region, [&](int64_t batch, int64_t begin, int64_t end) {
    for (int64_t c = 0; c < image.channels; ++c) {
      const int16_t* from = x + batch * image.pixels * image.channels + c;
      float* to = out + (batch * image.channels + c) * image.pixels;
      for (int64_t p = begin; p < end; ++p) {
        to[p] = static_cast<float>(from[p * image.channels]) * scale;
      }
    }
  });
}

}  // namespace reluflow
