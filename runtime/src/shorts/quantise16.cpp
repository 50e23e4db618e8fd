#include "shorts/quantise16.h"

#include <cmath>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 1024;  // pixels of one piece of work: their values stay in a near cache

}  // namespace

void to_fixed16(Runner& runner, const Kernels& kernels, const Image16& image, const Region* region,
                int exponent, int limit, const float* x, int16_t* out) {
  for_pixels(runner, image.batch, image.pixels, region, kPiece,
             [&](int64_t batch, int64_t begin, int64_t end) {
               kernels.fixed16_pack({x + batch * image.channels * image.pixels + begin,
                                     image.pixels, image.channels, end - begin, image.channels,
                                     std::ldexp(1.0f, exponent), static_cast<float>(limit),
                                     out + (batch * image.pixels + begin) * image.channels});
             });
}

void from_fixed16(Runner& runner, const Image16& image, const Region* region, int exponent,
                  const int16_t* x, float* out) {
  const float scale = std::ldexp(1.0f, -exponent);
  for_pixels(runner, image.batch, image.pixels, region, kPiece,
             [&](int64_t batch, int64_t begin, int64_t end) {
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
