#include "fixed/quantise.h"

#include <algorithm>
#include <cmath>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 2048;  // pixels of one piece of work: their bytes stay in a near cache

size_t pieces_of(int64_t pixels) { return static_cast<size_t>((pixels + kPiece - 1) / kPiece); }

}  // namespace

void to_fixed(Runner& runner, const Kernels& kernels, const FixedImage& image, FixedFormat format,
              const float* x, uint8_t* out) {
  const size_t pieces = pieces_of(image.pixels);
  const auto work = [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i / pieces);
    const int64_t begin = static_cast<int64_t>(i % pieces) * kPiece;
    FixedPackArgs args{};
    args.pixels = std::min(kPiece, image.pixels - begin);
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
  };
  parallel_for(runner, static_cast<size_t>(image.batch) * pieces, work);
}

void from_fixed(Runner& runner, const FixedImage& image, FixedFormat format, const uint8_t* x,
                float* out) {
  const size_t pieces = pieces_of(image.pixels);
  const float scale = std::ldexp(1.0f, -format.exponent);
  const auto work = [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i / pieces);
    const int64_t begin = static_cast<int64_t>(i % pieces) * kPiece;
    const int64_t end = std::min(image.pixels, begin + kPiece);
    for (int64_t c = 0; c < image.channels; ++c) {
      const uint8_t* from = x + batch * image.pixels * image.stored + c;
      float* to = out + (batch * image.channels + c) * image.pixels;
      for (int64_t p = begin; p < end; ++p) {
        to[p] = static_cast<float>(from[p * image.stored] - format.zero) * scale;
      }
    }
  };
  parallel_for(runner, static_cast<size_t>(image.batch) * pieces, work);
}

}  // namespace reluflow
