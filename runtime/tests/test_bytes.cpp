// Sums, products, tables and means of bytes against their plain meaning, by every table of kernels.
#include <cmath>
#include <string>

#include "bytes/averages.h"
#include "bytes/elementwise.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

std::vector<uint8_t> random_bytes(std::mt19937& rng, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng());
  return bytes;
}

FixedFormat random_format(std::mt19937& rng) {
  return {static_cast<int>(rng() % 11) - 5, rng() % 2 ? 128 : 0};
}

/// What both formats near each other give: the exact value, rounded once.
int plain_byte(double value, const ByteOutput& y) {
  const double t = std::floor(std::ldexp(value, y.format.exponent) + 0.5) + y.format.zero;
  return static_cast<int>(std::min<double>(std::max<double>(t, y.low), y.high));
}

double value_of(uint8_t u, FixedFormat f) {
  return std::ldexp(static_cast<double>(u) - f.zero, -f.exponent);
}

template <class Check>
void by_all(Check&& check) {
  for (const Kernels* kernels : test::tables()) {
    for (int threads : {1, 3}) {
      test::Threads runner(threads);
      check(runner, *kernels, std::string(kernels->name) + " threads " + std::to_string(threads));
    }
  }
}

}  // namespace

TEST(sums_products_and_tables_have_their_plain_meaning) {
  std::mt19937 rng(3);
  for (const ByteImage& image : {ByteImage{1, 1, 1}, ByteImage{2, 7, 70}, ByteImage{3, 500, 33},
                                 ByteImage{1, 3, 20000}, ByteImage{0, 4, 5}, ByteImage{2, 3, 0}}) {
    const int64_t n = image.batch * image.pixels * image.channels;
    const std::vector<uint8_t> a = random_bytes(rng, n);
    const std::vector<uint8_t> b = random_bytes(rng, n);
    const std::vector<uint8_t> table = random_bytes(rng, 256);
    const FixedFormat fa = random_format(rng);
    const FixedFormat fb = random_format(rng);
    const ByteOutput y{random_format(rng), 3, 250};
    by_all([&](test::Threads& runner, const Kernels& kernels, const std::string& where) {
      std::vector<uint8_t> out(static_cast<size_t>(n));
      const auto expect = [&](const char* what, auto&& meaning) {
        for (size_t i = 0; i < out.size(); ++i) {
          CHECK_EQ_AT(static_cast<int>(out[i]), static_cast<int>(meaning(i)),
                      std::string(what) + " " + where + " byte " + std::to_string(i));
        }
      };
      add_bytes(runner, kernels, n, a.data(), fa, b.data(), fb, y, nullptr, out.data());
      const auto sum = [&](size_t i) {
        return plain_byte(value_of(a[i], fa) + value_of(b[i], fb), y);
      };
      expect("sum", sum);
      add_bytes(runner, kernels, n, a.data(), fa, b.data(), fb, y, table.data(), out.data());
      expect("table of sum", [&](size_t i) { return table[static_cast<size_t>(sum(i))]; });
      look_up_bytes(runner, kernels, n, a.data(), table.data(), out.data());
      expect("table", [&](size_t i) { return table[a[i]]; });
      mul_bytes(runner, kernels, image, a.data(), fa, b.data(), fb, false, y, out.data());
      expect("product",
             [&](size_t i) { return plain_byte(value_of(a[i], fa) * value_of(b[i], fb), y); });
      mul_bytes(runner, kernels, image, a.data(), fa, b.data(), fb, true, y, out.data());
      expect("scaled channels", [&](size_t i) {
        const int64_t at = static_cast<int64_t>(i);
        const int64_t factor =
            at / (image.pixels * image.channels) * image.channels + at % image.channels;
        return plain_byte(value_of(a[i], fa) * value_of(b[static_cast<size_t>(factor)], fb), y);
      });
    });
  }
}

TEST(far_formats_saturate_or_vanish) {
  const std::vector<uint8_t> ones(70, 129);
  by_all([&](test::Threads& runner, const Kernels& kernels, const std::string& where) {
    std::vector<uint8_t> out(ones.size());
    const FixedFormat far[] = {{100, 128}, {-100, 128}};
    const int expected[] = {128, 255};
    for (int i = 0; i < 2; ++i) {
      add_bytes(runner, kernels, 70, ones.data(), far[i], ones.data(), far[0], {{0, 128}}, nullptr,
                out.data());
      CHECK_EQ_AT(static_cast<int>(out[69]), expected[i], where);
      mul_bytes(runner, kernels, {1, 1, 70}, ones.data(), far[i], ones.data(), far[i], false,
                {{0, 128}}, out.data());
      CHECK_EQ_AT(static_cast<int>(out[69]), expected[i], where);
      global_average(runner, kernels, 1, 1, 70, ones.data(), far[i], {{0, 128}}, out.data());
      CHECK_EQ_AT(static_cast<int>(out[69]), expected[i], where);
    }
  });
}

namespace {

struct Pool {
  int64_t channels, size, kernel, stride, dilation, pad;
  bool counts_padding;
};

void expect_means(const Pool& c, const ConvSpec& spec, const ConvShape& shape,
                  const std::vector<uint8_t>& x, FixedFormat fx, const ByteOutput& y,
                  const std::vector<uint8_t>& out, const std::string& where) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    const int64_t channel = at % c.channels;
    const int64_t column = at / c.channels % shape.output[1];
    const int64_t row = at / c.channels / shape.output[1] % shape.output[0];
    const int64_t image = at / c.channels / shape.output[1] / shape.output[0];
    int64_t sum = 0;
    int64_t inside = 0;
    for (int64_t r = 0; r < shape.input[0]; ++r) {
      for (int64_t q = 0; q < shape.input[1]; ++q) {
        const int64_t dr = r - row * spec.strides[0] + shape.begin[0];
        const int64_t dq = q - column * spec.strides[1] + shape.begin[1];
        const int64_t d = c.dilation;
        if (dr < 0 || dq < 0 || dr % d || dq % d || dr / d >= c.kernel || dq / d >= c.kernel) {
          continue;
        }
        sum += x[static_cast<size_t>(
                   ((image * shape.input[0] + r) * shape.input[1] + q) * c.channels + channel)] -
               fx.zero;
        ++inside;
      }
    }
    const int64_t count = c.counts_padding ? spec.taps() : std::max<int64_t>(inside, 1);
    const int k = y.format.exponent - fx.exponent;
    const int64_t twice = sum * (int64_t{2} << std::max(k, 0));
    const int64_t whole = count << std::max(-k, 0);
    const double t =
        std::floor(static_cast<double>(twice + whole) / static_cast<double>(2 * whole));
    const double byte = std::min<double>(std::max<double>(t + y.format.zero, y.low), y.high);
    CHECK_EQ_AT(static_cast<int>(out[i]), static_cast<int>(byte),
                where + " byte " + std::to_string(i));
  }
}

}  // namespace

TEST(means_have_their_plain_meaning) {
  std::mt19937 rng(4);
  const Pool cases[] = {{1, 5, 2, 2, 1, 0, false},     {70, 9, 3, 1, 1, 1, false},
                        {300, 6, 3, 2, 1, 2, true},    {17, 9, 2, 1, 3, 1, true},
                        {5, 4, 3, 1, 1, 3, false},     {3, 4, 1200, 1, 1, 600, true},
                        {3, 4, 1200, 1, 1, 600, false}};
  int number = 0;
  for (const Pool& c : cases) {
    ConvSpec spec;
    spec.group_inputs = c.channels;
    for (int axis = 0; axis < 2; ++axis) {
      spec.kernel[axis] = c.kernel;
      spec.strides[axis] = c.stride;
      spec.dilations[axis] = c.dilation;
      spec.pads_begin[axis] = c.pad;
      spec.pads_end[axis] = c.pad;
    }
    ConvShape shape;
    CHECK(place_windows(spec, {2, c.channels, c.size, c.size + 1}, &shape).ok());
    const std::vector<uint8_t> x = random_bytes(rng, 2 * c.size * (c.size + 1) * c.channels);
    const FixedFormat fx = random_format(rng);
    const ByteOutput y{random_format(rng), 1, 254};
    const std::string name = "case " + std::to_string(number++) + " ";
    by_all([&](test::Threads& runner, const Kernels& kernels, const std::string& where) {
      std::vector<uint8_t> out(static_cast<size_t>(2 * shape.pixels() * c.channels));
      average_pool(runner, kernels, spec, shape, c.channels, c.counts_padding, x.data(), fx, y,
                   out.data());
      expect_means(c, spec, shape, x, fx, y, out, name + where);
    });
  }
}

CHECK_MAIN
