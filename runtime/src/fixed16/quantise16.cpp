#include "fixed16/quantise16.h"

#include <algorithm>
#include <cmath>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 1024;  // pixels of one piece of work: their values stay in a near cache

size_t pieces_of(int64_t pixels) { return static_cast<size_t>((pixels + kPiece - 1) / kPiece); }

}  // namespace

void to_fixed16(Runner& runner, const Kernels& kernels, const Image16& image, int exponent,
                int limit, const float* x, int16_t* out) {
  const size_t pieces = pieces_of(image.pixels);
  const auto work = [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i / pieces);
    const int64_t begin = static_cast<int64_t>(i % pieces) * kPiece;
    kernels.fixed16_pack({x + batch * image.channels * image.pixels + begin, image.pixels,
                          image.channels, std::min(kPiece, image.pixels - begin), image.channels,
                          std::ldexp(1.0f, exponent), static_cast<float>(limit),
                          out + (batch * image.pixels + begin) * image.channels});
  };
  parallel_for(runner, static_cast<size_t>(image.batch) * pieces, work);
}

void from_fixed16(Runner& runner, const Image16& image, int exponent, const int16_t* x,
                  float* out) {
  const size_t pieces = pieces_of(image.pixels);
  const float scale = std::ldexp(1.0f, -exponent);
  const auto work = [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i / pieces);
    const int64_t begin = static_cast<int64_t>(i % pieces) * kPiece;
    const int64_t end = std::min(image.pixels, begin + kPiece);
    for (int64_t c = 0; c < image.channels; ++c) {
      const int16_t* from = x + batch * image.pixels * image.channels + c;
      float* to = out + (batch * image.channels + c) * image.pixels;
      for (int64_t p = begin; p < end; ++p) {
        to[p] = static_cast<float>(from[p * image.channels]) * scale;
      }
    }
  };
  parallel_for(runner, static_cast<size_t>(image.batch) * pieces, work);
}

}  // namespace reluflow
