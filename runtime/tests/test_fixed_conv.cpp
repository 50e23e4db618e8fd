// Convolutions of bytes against their plain meaning, by every table of kernels.
#include <cmath>
#include <string>

#include "fixed/fixed_conv.h"
#include "fixed/fixed_depthwise.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

struct Problem {
  ConvSpec conv;
  ConvShape shape;
  PsbSpec psb;
  WeightCode code;
  std::vector<uint8_t> planes;
  std::vector<uint8_t> x;
  std::vector<uint8_t> z;
  std::vector<int8_t> emax;
  std::vector<float> bias;
};

Problem make_problem(std::mt19937& rng, int64_t group, int64_t inputs, int64_t outputs,
                     int64_t kernel, int64_t size, int64_t stride, int64_t dilation, int64_t pad,
                     int p_bits) {
  Problem p;
  p.conv.group = group;
  p.conv.group_inputs = inputs;
  p.conv.outputs = group * outputs;
  for (int axis = 0; axis < 2; ++axis) {
    p.conv.kernel[axis] = kernel;
    p.conv.strides[axis] = stride;
    p.conv.dilations[axis] = dilation;
    p.conv.pads_begin[axis] = pad;
    p.conv.pads_end[axis] = pad + axis;
  }
  CHECK(place_windows(p.conv, {2, p.conv.inputs(), size, size + 1}, &p.shape).ok());
  p.psb.channels = p.conv.outputs;
  p.psb.weights_per_channel = inputs * kernel * kernel;
  p.psb.p_bits = p_bits;
  p.psb.stream = 3;
  p.planes = test::random_planes(p.psb, rng);
  CHECK(unpack_planes(p.planes.data(), p.psb, &p.code).ok());
  const auto bytes = [&](int64_t count) {
    std::vector<uint8_t> v(static_cast<size_t>(count));
    for (uint8_t& b : v) b = static_cast<uint8_t>(rng());
    return v;
  };
  p.x = bytes(2 * size * (size + 1) * p.conv.inputs());
  p.z = bytes(2 * p.shape.pixels() * p.conv.outputs);
  for (int64_t m = 0; m < p.conv.outputs; ++m) {
    p.emax.push_back(static_cast<int8_t>(static_cast<int>(rng() % 5) - 4));
    p.bias.push_back(static_cast<float>(static_cast<int>(rng() % 2001) - 1000) / 100.0f);
  }
  return p;
}

/// The plain meaning of a draw: one channel, weight by weight.
std::vector<int> plain_weights(const Problem& p, const Precision& precision, Key key, int64_t m) {
  const int64_t taps = p.conv.taps();
  std::vector<int> w(static_cast<size_t>(p.psb.weights_per_channel));
  for (int64_t b = 0; b < 4; ++b) {
    int r = static_cast<int>(random_bits(key, static_cast<uint32_t>(m)) >> (8 * b) & 255u);
    for (int64_t c = b; c < p.conv.group_inputs; c += 4) {
      for (int64_t t = 0; t < taps; ++t) {
        const size_t i = static_cast<size_t>(m * p.psb.weights_per_channel + c * taps + t);
        const int j = p.code.sign_shift[i] & 15;
        const bool negative = p.code.sign_shift[i] & kNegative;
        int magnitude = 0;
        if (precision.sampler == Sampler::kNearest) {
          const double x = j == 15 ? 0 : std::ldexp(65536.0 + p.code.p16[i], 6 - j - 16);
          const double q = std::max(1.0, std::ldexp(1.0, 6 - j) / precision.n());
          magnitude = std::min(127, static_cast<int>(q * std::floor(x / q + 0.5)));
        } else {
          const GridStep step = grid_step(p.code.p16[i], j, precision.log2_n);
          const int next = (negative ? r - step.chance + 256 : r + step.chance) % 256;
          const bool up = negative ? r < step.chance : r + step.chance >= 256;
          magnitude = up ? step.high : step.low;
          r = next;
        }
        w[static_cast<size_t>(c * taps + t)] = negative ? -magnitude : magnitude;
      }
    }
  }
  return w;
}

int64_t shifted(int64_t v, int bits) { return bits >= 0 ? v * (int64_t{1} << bits) : v >> -bits; }

/// The plain meaning of an output byte.
int plain_byte(const Problem& p, const FixedConvRun& run, int64_t sum, int64_t m,
               const uint8_t* z) {
  const int scale = 6 + run.formats.x.exponent;
  const int8_t emax = p.emax[static_cast<size_t>(m)];
  int unit = std::max<int>(emax, scale - run.formats.y.exponent - 21);
  if (z) unit = std::max(unit, scale - run.formats.z.exponent - 20);
  unit = std::min(unit, scale - run.formats.y.exponent);
  if (z) unit = std::min(unit, scale - run.formats.z.exponent);
  int64_t t = sum;
  if (unit < emax) {
    const int up = std::min(emax - unit, 29);
    const int64_t most = (int64_t{1} << 29) >> up;
    t = shifted(std::min(std::max(t, -most), most), up);
  }
  if (unit > emax) {
    const int down = std::min(unit - emax, 30);
    t = shifted(t + (int64_t{1} << down >> 1), -down);
  }
  {
    const double most = 1 << 29;
    const double b = std::ldexp(static_cast<double>(p.bias[static_cast<size_t>(m)]), scale - unit);
    t += std::llrint(std::min(std::max(b, -most), most));
  }
  if (z) t += shifted(*z - run.formats.z.zero, scale - unit - run.formats.z.exponent);
  const int shift = scale - unit - run.formats.y.exponent;
  const int64_t y = run.formats.y.zero + shifted(t + (int64_t{1} << shift >> 1), -shift);
  const int byte =
      static_cast<int>(std::min<int64_t>(std::max<int64_t>(y, run.formats.low), run.formats.high));
  return run.table ? run.table[byte] : byte;
}

void expect_equal(const Problem& p, const FixedConvRun& run, const Precision& precision, Key key,
                  const std::string& where) {
  for (int64_t m = 0; m < p.conv.outputs; ++m) {
    const std::vector<int> w = plain_weights(p, precision, key, m);
    const int64_t group = m / (p.conv.outputs / p.conv.group);
    for (int64_t v = 0; v < p.shape.batch * p.shape.pixels(); ++v) {
      const int64_t image = v / p.shape.pixels();
      const int64_t row = v % p.shape.pixels() / p.shape.output[1];
      const int64_t column = v % p.shape.output[1];
      int64_t sum = 0;
      for (int64_t t = 0; t < p.conv.taps(); ++t) {
        const int64_t y =
            row * p.conv.strides[0] + t / p.conv.kernel[1] * p.conv.dilations[0] - p.shape.begin[0];
        const int64_t x = column * p.conv.strides[1] + t % p.conv.kernel[1] * p.conv.dilations[1] -
                          p.shape.begin[1];
        if (y < 0 || x < 0 || y >= p.shape.input[0] || x >= p.shape.input[1]) continue;
        for (int64_t c = 0; c < p.conv.group_inputs; ++c) {
          const int64_t at =
              ((image * p.shape.input[0] + y) * p.shape.input[1] + x) * p.conv.inputs() +
              group * p.conv.group_inputs + c;
          sum += (run.x[at] - run.formats.x.zero) * w[static_cast<size_t>(c * p.conv.taps() + t)];
        }
      }
      const int64_t at = v * p.conv.outputs + m;
      CHECK_EQ_AT(static_cast<int>(run.y[at]),
                  plain_byte(p, run, sum, m, run.z ? run.z + at : nullptr),
                  where + " channel " + std::to_string(m) + " window " + std::to_string(v));
    }
  }
}

void run_all_tables(const Problem& p, int samples, FixedFormat x, FixedFormat y, bool with_z,
                    bool with_table, const std::string& where) {
  std::vector<uint8_t> table(256);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i * 37 + 5);
  LaneShape lanes{p.conv.group, p.conv.outputs / p.conv.group, p.conv.group_inputs, p.conv.taps()};
  std::unique_ptr<GridWeights> weights;
  CHECK(GridWeights::make(p.planes.data(), p.psb, lanes, &weights).ok());
  Precision precision;
  CHECK(read_precision(p.psb, samples, 77, &precision).ok());
  const Key key = make_key(precision.seed, p.psb.stream);
  const FixedFormats formats{x, y, {2, 128}, 3, 251};
  const StoreInputs inputs{p.emax.data(), p.bias.data(), with_z};
  for (const Kernels* kernels : test::tables()) {
    const GridUse use = grid_use(p.conv, *kernels, weights->code(), x.zero);
    const GridDraw draw(weights->code(), *kernels, precision, key);
    StoreCache cache;
    for (int way = 0; way < (weights->depthwise() ? 2 : 4); ++way) {
      test::Threads runner(way % 2 ? 3 : 1);
      const bool keeps = way < 2;
      GridWeights::Lease set;
      if (keeps) set = weights->draw(runner, *kernels, p.psb, precision, use);
      const GridSet* drawn = keeps ? set.operator->() : nullptr;
      const auto stores = find_stores(&cache, formats, inputs, weights->code(), drawn);
      std::vector<uint8_t> out(
          static_cast<size_t>(p.shape.batch * p.shape.pixels() * p.conv.outputs));
      const FixedConvRun run{p.conv,
                             p.shape,
                             *kernels,
                             weights->code(),
                             drawn,
                             &draw,
                             *stores.operator->(),
                             formats,
                             p.x.data(),
                             out.data(),
                             with_z ? p.z.data() : nullptr,
                             with_table ? table.data() : nullptr};
      CHECK((weights->depthwise() ? run_fixed_depthwise(runner, run, use.columns)
                                  : run_fixed_conv(runner, run))
                .ok());
      expect_equal(p, run, precision, key,
                   where + " " + kernels->name + " way " + std::to_string(way));
    }
  }
}

}  // namespace

TEST(convolutions_have_their_plain_meaning) {
  std::mt19937 rng(5);
  struct Case {
    int64_t group, inputs, outputs, kernel, size, stride, dilation, pad;
  };
  const Case cases[] = {
      {1, 8, 70, 3, 7, 1, 1, 1},   {1, 3, 17, 5, 9, 2, 1, 2},  {1, 4, 33, 1, 6, 1, 1, 0},
      {1, 16, 64, 1, 7, 2, 1, 0},  {3, 5, 9, 3, 6, 1, 2, 2},   {2, 4, 80, 2, 8, 3, 1, 0},
      {1, 64, 130, 3, 5, 1, 1, 1}, {6, 1, 1, 3, 6, 1, 1, 1},   {70, 1, 1, 3, 9, 2, 1, 1},
      {64, 1, 1, 5, 8, 1, 1, 2},   {130, 1, 1, 5, 7, 2, 1, 2}, {17, 1, 1, 2, 6, 1, 1, 0},
      {17, 1, 1, 3, 8, 1, 2, 2},   {66, 1, 1, 7, 7, 1, 1, 3},  {5, 1, 1, 9, 9, 1, 1, 4},
      {65, 1, 1, 1, 4, 1, 1, 0},   {4, 1, 2, 3, 5, 1, 1, 1}};
  int number = 0;
  for (const Case& c : cases) {
    for (int p_bits : {1, 4, 8, 16}) {
      const Problem p = make_problem(rng, c.group, c.inputs, c.outputs, c.kernel, c.size, c.stride,
                                     c.dilation, c.pad, p_bits);
      const int samples = (int[]){0, 1, 4, 16, 64, 2}[number % 6];
      const FixedFormat x{static_cast<int>(rng() % 5), number % 2 ? 128 : 0};
      const FixedFormat y{static_cast<int>(rng() % 4) - 3, number % 3 ? 128 : 0};
      run_all_tables(p, samples, x, y, number % 2 == 0, number % 4 == 1,
                     "case " + std::to_string(number));
      ++number;
    }
  }
}

TEST(far_exponents_change_the_unit_of_the_sum) {
  std::mt19937 rng(6);
  Problem p = make_problem(rng, 1, 8, 20, 3, 5, 1, 1, 1, 4);
  for (size_t m = 0; m < p.emax.size(); ++m)
    p.emax[m] = static_cast<int8_t>(static_cast<int>(m) * 6 - 60);
  run_all_tables(p, 16, {3, 128}, {0, 0}, true, false, "with z");
  run_all_tables(p, 0, {3, 0}, {-2, 128}, false, false, "without z");
}

CHECK_MAIN
