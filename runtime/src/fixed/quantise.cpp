#include "fixed/quantise.h"

#include <algorithm>
#include <cmath>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 2048;  // pixels of one piece of work: their bytes stay in a near cache

}  // namespace

void to_fixed(Runner& runner, const Kernels& kernels, const FixedImage& image, FixedFormat format,
              const float* x, uint8_t* out, const Region* region) {
  for_pixels(runner, image.batch, image.pixels, region, kPiece,
             [&](int64_t batch, int64_t begin, int64_t end) {
               FixedPackArgs args{};
               args.pixels = end - begin;
               args.plane = image.pixels;
               args.step = image.stored;
               args.scale = std::ldexp(1.0f, format.exponent);
               args.zero = format.zero;
               for (int64_t c = 0; c < image.stored; c += kQuad) {
                 args.channels = static_cast<int>(std::min<int64_t>(kQuad, image.channels - c));
                 args.x = x + (batch * image.channels + c) * image.pixels + begin;
                 args.out = out + (batch * image.pixels + begin) * image.stored + c;
                 args.stored = static_cast<int>(std::min<int64_t>(kQuad, image.stored - c));
                 kernels.fixed_pack(args);
               }
             });
}

void from_fixed(Runner& runner, const FixedImage& image, FixedFormat format, const uint8_t* x,
                float* out, const Region* region) {
  const float scale = std::ldexp(1.0f, -format.exponent);
  for_pixels(runner, image.batch, image.pixels, region, kPiece,
             [&](int64_t batch, int64_t begin, int64_t end) {
               for (int64_t c = 0; c < image.channels; ++c) {
                 const uint8_t* from = x + batch * image.pixels * image.stored + c;
                 float* to = out + (batch * image.channels + c) * image.pixels;
                 for (int64_t p = begin; p < end; ++p) {
                   to[p] = static_cast<float>(from[p * image.stored] - format.zero) * scale;
                 }
               }
             });
}

}  // namespace reluflow
