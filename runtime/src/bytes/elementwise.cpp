#include "bytes/elementwise.h"

#include <algorithm>
#include <cstring>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 16384;  // bytes of one piece of work: three of them fit a near cache
constexpr int kFiner = 10;         // octaves below y's format in which a sum is kept
constexpr int kMostAddShift = 20;
constexpr int kMostMulShift = 14;
constexpr int kMostDown = 30;

int32_t half_of(int shift) { return (int32_t{1} << shift) >> 1; }

ByteShift shift_to(int unit, FixedFormat format) {
  ByteShift s{};
  s.zero = format.zero;
  if (format.exponent <= unit) {
    s.up = std::min(unit - format.exponent, kMostAddShift);
  } else {
    s.down = std::min(format.exponent - unit, kMostDown);
  }
  s.half = half_of(s.down);
  return s;
}

ByteStore store_of(int shift, const ByteOutput& y) {
  const int zero = y.format.zero;
  return {half_of(shift), shift, y.low - zero, y.high - zero, zero};
}

/// Calls `work(begin, count)` for all of `n` bytes, or for those of a region's pixels.
template <class Work>
void by_pieces(Runner& runner, int64_t n, const Region* region, Work&& work) {
  if (region) {
    const int64_t bytes = n / std::max<int64_t>(1, region->grid().count());
    const int64_t pixels = kPiece / std::max<int64_t>(1, bytes);
    for_each_run(runner, *region, pixels, [&](const PixelRun& run) {
      work(region->first(run) * bytes, run.length * bytes);
    });
    return;
  }
  const auto piece = [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i) * kPiece;
    work(begin, std::min(kPiece, n - begin));
  };
  parallel_for(runner, static_cast<size_t>((n + kPiece - 1) / kPiece), piece);
}

}  // namespace

void add_bytes(Runner& runner, const Kernels& kernels, int64_t n, const uint8_t* a,
               FixedFormat a_format, const uint8_t* b, FixedFormat b_format, const ByteOutput& y,
               const uint8_t* table, uint8_t* out, const Region* region) {
  const int finest = std::max({a_format.exponent, b_format.exponent, y.format.exponent});
  const int unit = std::min(finest, y.format.exponent + kFiner);
  BytesAddArgs all{};
  all.a_shift = shift_to(unit, a_format);
  all.b_shift = shift_to(unit, b_format);
  all.store = store_of(unit - y.format.exponent, y);
  by_pieces(runner, n, region, [&](int64_t begin, int64_t count) {
    BytesAddArgs args = all;
    args.a = a + begin;
    args.b = b + begin;
    args.n = count;
    args.out = out + begin;
    kernels.bytes_add(args);
    if (table) kernels.fixed_table(args.out, count, table);
  });
}

void mul_bytes(Runner& runner, const Kernels& kernels, const ByteImage& image, const uint8_t* x,
               FixedFormat x_format, const uint8_t* factors, FixedFormat s_format,
               bool for_each_channel, const ByteOutput& y, uint8_t* out, const Region* region) {
  const int shift = x_format.exponent + s_format.exponent - y.format.exponent;
  BytesMulArgs all{};
  all.x_zero = x_format.zero;
  all.s_zero = s_format.zero;
  all.up = std::min(std::max(-shift, 0), kMostMulShift);
  all.store = store_of(std::min(std::max(shift, 0), kMostDown), y);
  const auto multiply = [&](int64_t begin, const uint8_t* s, int64_t count) {
    BytesMulArgs args = all;
    args.x = x + begin;
    args.s = s;
    args.n = count;
    args.out = out + begin;
    kernels.bytes_mul(args);
  };
  if (!for_each_channel) {
    by_pieces(runner, image.batch * image.pixels * image.channels, region,
              [&](int64_t begin, int64_t count) { multiply(begin, factors + begin, count); });
    return;
  }
  if (image.channels == 0) return;
  const auto multiply_pixels = [&](int64_t batch, int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      multiply(p * image.channels, factors + batch * image.channels, image.channels);
    }
  };
  const int64_t rows = std::max<int64_t>(1, kPiece / image.channels);
  if (region) {
    for_each_run(runner, *region, rows, [&](const PixelRun& run) {
      const int64_t first = region->first(run);
      multiply_pixels(run.image, first, first + run.length);
    });
    return;
  }
  const int64_t pieces = (image.pixels + rows - 1) / rows;
  const auto work = [&](size_t i) {
    const int64_t batch = static_cast<int64_t>(i) / pieces;
    const int64_t first = static_cast<int64_t>(i) % pieces * rows;
    const int64_t last = std::min(image.pixels, first + rows);
    multiply_pixels(batch, batch * image.pixels + first, batch * image.pixels + last);
  };
  parallel_for(runner, static_cast<size_t>(image.batch * pieces), work);
}

void look_up_bytes(Runner& runner, const Kernels& kernels, int64_t n, const uint8_t* x,
                   const uint8_t* table, uint8_t* out, const Region* region) {
  by_pieces(runner, n, region, [&](int64_t begin, int64_t count) {
    std::memcpy(out + begin, x + begin, static_cast<size_t>(count));
    kernels.fixed_table(out + begin, count, table);
  });
}

}  // namespace reluflow
