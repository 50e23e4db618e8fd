// Whole convolutions against the plain meaning, for every table and number of threads.
#include "inputs/activations.h"
#include "inputs/bands.h"
#include "inputs/pieces.h"
#include "sums/conv.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

struct Row {
  int64_t batch, group, group_inputs, group_outputs;
  int64_t input[2], kernel[2], stride[2], dilation[2], begin[2], end[2];
  int x_bits;
};

// A new shape is a new row.
const Row kRows[] = {
    {1, 1, 3, 5, {9, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {2, 1, 64, 64, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 1, 5, 130, {6, 11}, {3, 2}, {2, 1}, {1, 2}, {0, 2}, {1, 0}, 12},
    {3, 1, 17, 16, {5, 5}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 12},
    {1, 1, 8, 9, {7, 9}, {1, 1}, {2, 3}, {1, 1}, {1, 0}, {0, 1}, 12},
    {1, 1, 8, 9, {7, 9}, {3, 1}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 4, 2, 3, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 8},
    {2, 8, 1, 1, {9, 40}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 8, 1, 2, {9, 9}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 2, 1, 40, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 3, 1, 1, {11, 11}, {9, 9}, {1, 1}, {1, 1}, {4, 4}, {4, 4}, 16},
    {1, 1, 40, 20, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 16},
    {1, 1, 3, 64, {17, 17}, {7, 7}, {2, 2}, {1, 1}, {3, 3}, {3, 3}, 12},
    {1, 1, 300, 33, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 12},
    {1, 2, 1, 1, {3, 3000}, {3, 3}, {1, 2}, {1, 1}, {1, 1}, {1, 1}, 12},  // rows longer than a band
    {1, 2, 1, 1, {150, 150}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},  // several bands
    // Several bands: of rows, of rows under a stride, of columns, of images, of groups.
    {2, 1, 30, 5, {47, 25}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 1, 3, 3, {150, 150}, {7, 7}, {2, 2}, {1, 1}, {3, 3}, {3, 3}, 12},
    {1, 1, 70, 3, {33, 33}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 12},
    {1, 1, 70, 3, {66, 67}, {1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, 12},
    {2, 1, 9, 3, {1, 7001}, {1, 5}, {1, 2}, {1, 1}, {0, 2}, {0, 2}, 12},
    {9, 1, 80, 3, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},
    {3, 2, 30, 2, {30, 31}, {3, 3}, {1, 1}, {2, 2}, {2, 2}, {2, 2}, 12},
    {2, 1, 6, 4, {1, 30}, {1, 5}, {1, 2}, {1, 3}, {0, 4}, {0, 4}, 12},
    {1, 1, 40, 128, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 12},  // draws on the way
    {1, 1, 60, 80, {14, 14}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 8},
    {2, 6, 1, 1, {7, 7}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, 12},
    {1, 6, 1, 1, {13, 14}, {5, 5}, {2, 2}, {1, 1}, {2, 2}, {2, 2}, 12},
    {1, 6, 1, 2, {8, 31}, {2, 4}, {1, 1}, {1, 2}, {1, 3}, {0, 3}, 12},
    {1, 3, 1, 1, {20, 20}, {3, 3}, {1, 1}, {2, 2}, {2, 2}, {2, 2}, 12},
    {1, 3, 1, 1, {20, 20}, {3, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 12},
    {1, 3, 1, 1, {9, 40}, {3, 3}, {2, 2}, {3, 1}, {3, 1}, {3, 1}, 12},
    {1, 2, 3, 5, {12, 12}, {3, 3}, {1, 1}, {1, 2}, {1, 2}, {1, 2}, 12},
};

struct Node {
  PsbSpec psb;
  ConvSpec conv;
  ConvShape shape;
  std::vector<uint8_t> planes;
  std::vector<float> x;
  std::vector<float> bias;
  std::vector<float> z;  // empty in every other node
  std::vector<int8_t> emax;

  Node(const Row& row, std::mt19937& rng) {
    conv.group = row.group;
    conv.group_inputs = row.group_inputs;
    conv.outputs = row.group * row.group_outputs;
    for (int i = 0; i < 2; ++i) {
      conv.kernel[i] = row.kernel[i];
      conv.strides[i] = row.stride[i];
      conv.dilations[i] = row.dilation[i];
      conv.pads_begin[i] = row.begin[i];
      conv.pads_end[i] = row.end[i];
    }
    psb.channels = conv.outputs;
    psb.weights_per_channel = row.group_inputs * conv.taps();
    psb.p_bits = rng() % 3 == 0 ? 4 : rng() % 2 ? 8 : 16;
    psb.stream = rng() % 50;
    psb.x_bits = row.x_bits;
    psb.activation = static_cast<Activation>(rng() % 3);
    psb.clip_min = -0.5f;
    psb.clip_max = 4.0f;
    planes = test::random_planes(psb, rng, row.x_bits == 16 ? 13 : 1);
    const int64_t inputs = conv.inputs();
    x = test::random_floats(static_cast<size_t>(row.batch * inputs * row.input[0] * row.input[1]),
                            rng);
    bias = test::random_floats(static_cast<size_t>(conv.outputs), rng);
    for (int64_t m = 0; m < conv.outputs; ++m)
      emax.push_back(static_cast<int8_t>(static_cast<int>(rng() % 5) - 2));
    const Status placed =
        place_windows(conv, {row.batch, inputs, row.input[0], row.input[1]}, &shape);
    if (!placed.ok()) check::fail(__FILE__, __LINE__, placed.message());
    if (rng() % 2) z = test::random_floats(output_size(), rng);
  }

  size_t output_size() const {
    return static_cast<size_t>(shape.batch * conv.outputs * shape.pixels());
  }
};

/// One output by the plain meaning.
float plain_output(const Node& node, const WeightCode& code, const Precision& precision, int f,
                   int64_t image, int64_t m, int64_t oy, int64_t ox, const float* z) {
  const ConvSpec& conv = node.conv;
  const int64_t group = m / (conv.outputs / conv.group);
  const int64_t v = (image * node.shape.output[0] + oy) * node.shape.output[1] + ox;
  Key key = make_key(precision.seed, node.psb.stream);
  if (node.psb.per_product) key = at_position(key, static_cast<uint32_t>(v));
  test::BlockSum sum;
  for (int64_t c = 0; c < conv.group_inputs; c += 2) {
    for (int64_t t = 0; t < conv.taps(); ++t) {
      const int64_t iy =
          oy * conv.strides[0] + t / conv.kernel[1] * conv.dilations[0] - node.shape.begin[0];
      const int64_t ix =
          ox * conv.strides[1] + t % conv.kernel[1] * conv.dilations[1] - node.shape.begin[1];
      for (int64_t h = c; h < c + 2 && h < conv.group_inputs; ++h) {
        if (iy < 0 || ix < 0 || iy >= node.shape.input[0] || ix >= node.shape.input[1]) continue;
        const int64_t channel = image * conv.inputs() + group * conv.group_inputs + h;
        const size_t at =
            static_cast<size_t>((channel * node.shape.input[0] + iy) * node.shape.input[1] + ix);
        const int64_t i = m * node.psb.weights_per_channel + h * conv.taps() + t;
        sum.add(int64_t{test::quantised(node.x[at], f, node.psb.limit())} *
                draw_weight(code, i, precision, key));
      }
      sum.end_of_pair();
    }
  }
  const size_t channel = static_cast<size_t>(m);
  return sum.scaled(node.emax[channel] - 13 - f, &node.bias[channel], z, node.psb);
}

std::vector<float> plain_conv(const Node& node, const Precision& precision) {
  WeightCode code;
  const Status status = unpack_planes(node.planes.data(), node.psb, &code);
  CHECK(status.ok());
  test::Threads runner(1);
  const int f = activation_exponent(runner, portable_kernels(), node.psb, node.x.data(),
                                    static_cast<int64_t>(node.x.size()));
  std::vector<float> y;
  for (int64_t n = 0; n < node.shape.batch; ++n) {
    for (int64_t m = 0; m < node.conv.outputs; ++m) {
      for (int64_t oy = 0; oy < node.shape.output[0]; ++oy) {
        for (int64_t ox = 0; ox < node.shape.output[1]; ++ox) {
          const float* z = node.z.empty() ? nullptr : &node.z[y.size()];
          y.push_back(plain_output(node, code, precision, f, n, m, oy, ox, z));
        }
      }
    }
  }
  return y;
}

constexpr float kUntouched = -77.0f;

std::vector<float> native_conv(const Node& node, const Precision& precision, const Kernels& kernels,
                               int threads, Weights& weights, const Region* region = nullptr) {
  test::Threads runner(threads);
  std::vector<float> y(node.output_size(), kUntouched);
  const Status status =
      run_conv(runner, {node.psb, node.conv, node.shape, kernels, weights, precision, node.x.data(),
                        node.emax.data(), node.bias.data(), y.data(),
                        node.z.empty() ? nullptr : node.z.data(), region});
  CHECK(status.ok());
  return y;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST(every_row_is_equal_to_the_bit) {
  std::mt19937 rng(1);
  for (size_t r = 0; r < std::size(kRows); ++r) {
    Node node(kRows[r], rng);
    node.psb.carried_rounding = r % 4 != 3;
    std::unique_ptr<Weights> weights;
    CHECK(Weights::make(node.planes.data(), node.psb, lane_shape(node.conv), &weights).ok());
    for (const Sampler sampler : {Sampler::kSystematic, Sampler::kBinomial, Sampler::kNearest}) {
      const Precision precision{static_cast<int>(rng() % 7), sampler, rng()};
      const std::vector<float> want = plain_conv(node, precision);
      for (const Kernels* k : test::tables()) {
        for (const int threads : {1, 3}) {
          CHECK_EQ_AT(same(native_conv(node, precision, *k, threads, *weights), want), true,
                      "row " + std::to_string(r) + " " + k->name);
        }
      }
    }
  }
}

TEST(draws_per_product_are_equal_to_the_bit) {
  std::mt19937 rng(2);
  for (size_t r = 0; r < std::size(kRows); ++r) {
    if (kRows[r].group_inputs > 20) continue;
    Node node(kRows[r], rng);
    node.psb.per_product = true;
    node.psb.carried_rounding = r % 2 == 0;
    std::unique_ptr<Weights> weights;
    CHECK(Weights::make(node.planes.data(), node.psb, lane_shape(node.conv), &weights).ok());
    const Precision precision{2, Sampler::kSystematic, 5};
    CHECK_EQ_AT(same(native_conv(node, precision, portable_kernels(), 2, *weights),
                     plain_conv(node, precision)),
                true, "row " + std::to_string(r));
  }
}

/// About one pixel in `one_in`, in runs of a few.
Region random_region(const Node& node, uint32_t one_in, std::mt19937& rng) {
  const PixelGrid grid{node.shape.batch, node.shape.output[0], node.shape.output[1]};
  std::vector<uint8_t> mask(static_cast<size_t>(grid.count()));
  for (size_t i = 0; i < mask.size(); ++i) {
    const bool goes_on = i > 0 && rng() % 2 == 0;
    mask[i] = goes_on ? mask[i - 1] : rng() % one_in == 0;
  }
  return Region(mask.data(), grid);
}

/// A whole run where the region is, nothing elsewhere.
std::vector<float> inside(const Node& node, const Region& region, const std::vector<float>& all) {
  std::vector<float> y(all.size(), kUntouched);
  const int64_t pixels = node.shape.pixels();
  for (const PixelRun& run : region.runs()) {
    for (int64_t m = 0; m < node.conv.outputs; ++m) {
      const int64_t at = (run.image * node.conv.outputs + m) * pixels +
                         run.row * node.shape.output[1] + run.column;
      const auto from = all.begin() + at;
      std::copy(from, from + run.length, y.begin() + at);
    }
  }
  return y;
}

TEST(a_region_is_that_part_of_a_whole_run) {
  std::mt19937 rng(9);
  for (size_t r = 0; r < std::size(kRows); ++r) {
    Node node(kRows[r], rng);
    node.psb.per_product = kRows[r].group_inputs <= 5 && r % 4 == 0;
    std::unique_ptr<Weights> weights;
    CHECK(Weights::make(node.planes.data(), node.psb, lane_shape(node.conv), &weights).ok());
    const Precision precision{static_cast<int>(rng() % 7), Sampler::kSystematic, rng()};
    const std::vector<float> all = native_conv(node, precision, portable_kernels(), 2, *weights);
    for (const uint32_t one_in : {1000u, 5u, 2u, 1u}) {
      const Region region = random_region(node, one_in, rng);
      const std::vector<float> want = inside(node, region, all);
      for (const Kernels* k : test::tables()) {
        for (const int threads : {1, 3}) {
          CHECK_EQ_AT(same(native_conv(node, precision, *k, threads, *weights, &region), want),
                      true, "row " + std::to_string(r) + " " + k->name);
        }
      }
    }
  }
}

TEST(a_piece_holds_whole_runs_and_few_columns) {
  std::mt19937 rng(4);
  for (const Row& row : kRows) {
    const Node node(row, rng);
    const Region region = random_region(node, 2, rng);
    const Pieces pieces(node.conv, node.shape, region);
    int64_t pixels = 0;
    for (size_t p = 0; p < pieces.count(); ++p) {
      CHECK(pieces.pixels(p) > 0 && pieces.pixels(p) <= Pieces::kMostPixels);
      int64_t seen = 0;
      pieces.visit(p, 0, pieces.pixels(p), [&](const Pieces::Part& part) {
        CHECK_EQ(part.skipped, 0);
        CHECK_EQ(part.length, part.run.length);
        seen += part.length;
      });
      CHECK_EQ(seen, pieces.pixels(p));
      pixels += seen;
    }
    CHECK_EQ(pixels, region.count());
  }
}

TEST(rows_take_every_path) {
  std::mt19937 rng(1);
  bool depthwise = false;
  bool wide = false;
  bool narrow = false;
  for (const Row& row : kRows) {
    const Node node(row, rng);
    std::unique_ptr<Weights> weights;
    CHECK(Weights::make(node.planes.data(), node.psb, lane_shape(node.conv), &weights).ok());
    depthwise = depthwise || weights->path() == Path::kDepthwise;
    for (const OutputBlock& block : weights->lanes().blocks()) {
      (block.sub_pairs < kBlockPairs ? wide : narrow) = true;
    }
  }
  CHECK(depthwise);
  CHECK(wide);
  CHECK(narrow);
}

TEST(rows_are_cut_into_bands) {
  std::mt19937 rng(1);
  size_t most = 0;
  size_t images = 0;
  for (const Row& row : kRows) {
    const Node node(row, rng);
    const Bands bands(node.conv, node.shape, 1, 7);
    most = std::max(most, bands.count());
    int64_t windows = 0;
    for (size_t b = 0; b < bands.count(); ++b) {
      CHECK(bands.windows(b) > 0 && bands.windows(b) <= bands.most_windows());
      CHECK_EQ(bands.windows(b), bands.images(b) * bands.pixels(b));
      windows += bands.windows(b);
      images += bands.count() > 1 && bands.images(b) > 1;
    }
    CHECK_EQ(windows, node.shape.batch * node.shape.pixels());
  }
  CHECK(most >= 4);
  CHECK(images > 0);
}

TEST(a_slot_that_is_given_back_is_taken_again) {
  BandSlots slots(1);
  CHECK_EQ(slots.count(), size_t{1});
  CHECK_EQ(slots.take(), size_t{0});
  CHECK_EQ(slots.band(0), -1);
  slots.band(0) = 3;
  slots.give(0);
  CHECK_EQ(slots.take(), size_t{0});
  CHECK_EQ(slots.band(0), 3);
}

TEST(one_node_runs_in_several_threads_at_once) {
  std::mt19937 rng(3);
  const Node node(kRows[1], rng);
  std::unique_ptr<Weights> weights;
  CHECK(Weights::make(node.planes.data(), node.psb, lane_shape(node.conv), &weights).ok());
  std::vector<std::vector<float>> want;
  want.reserve(3);
  for (uint64_t seed = 0; seed < 3; ++seed) {
    want.push_back(plain_conv(node, {2, Sampler::kSystematic, seed}));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> pool;
  pool.reserve(4);
  for (int t = 0; t < 4; ++t) {
    pool.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        const uint64_t seed = static_cast<uint64_t>((i + t) % 3);
        const std::vector<float> y =
            native_conv(node, {2, Sampler::kSystematic, seed}, *test::tables().back(), 1, *weights);
        wrong += !same(y, want[seed]);
      }
    });
  }
  for (std::thread& t : pool) t.join();
  CHECK_EQ(wrong.load(), 0);
}

TEST(an_input_that_is_too_small_is_refused) {
  ConvSpec conv;
  conv.group_inputs = 1;
  conv.kernel[1] = 5;
  ConvShape shape;
  CHECK_HAS(place_windows(conv, {1, 1, 4, 4}, &shape).message(),
            "X has 4 pixels along a spatial axis, but with its padding at least 5");
  CHECK_HAS(place_windows(conv, {1, 2, 4, 9}, &shape).message(), "X has shape [1, 2, 4, 9]");
}

TEST(a_stride_beyond_the_kernel_leaves_pixels_out_in_front) {
  ConvSpec conv;
  conv.group_inputs = 1;
  conv.strides[0] = 3;
  conv.strides[1] = 5;
  conv.kernel[1] = 2;
  ConvShape shape;
  for (const AutoPad pad : {AutoPad::kSameUpper, AutoPad::kSameLower}) {
    conv.auto_pad = pad;
    for (int64_t size = 1; size < 20; ++size) {
      CHECK(place_windows(conv, {1, 1, size, size + 1}, &shape).ok());
      const int64_t total = ((size + 2) / 3 - 1) * 3 + 1 - size;  // 0, -1 or -2
      CHECK_EQ(shape.output[0], (size + 2) / 3);
      CHECK(total >= -2);
      CHECK_EQ(shape.begin[0], 0);
      const int64_t wide = (size + 5) / 5 * 5 - 3 - (size + 1);  // down to -3
      CHECK_EQ(shape.begin[1], wide > 0     ? 1 - (pad == AutoPad::kSameUpper)
                               : wide == -3 ? -(pad == AutoPad::kSameUpper)
                                            : 0);
      CHECK_EQ(shape.output[1], (size + 5) / 5);
    }
  }
}

TEST(automatic_padding_is_that_of_onnx) {
  ConvSpec conv;
  conv.group_inputs = 1;
  conv.kernel[0] = conv.kernel[1] = 4;
  conv.strides[0] = conv.strides[1] = 2;
  ConvShape shape;
  conv.auto_pad = AutoPad::kSameUpper;
  CHECK(place_windows(conv, {1, 1, 7, 8}, &shape).ok());
  CHECK_EQ(shape.output[0], 4);
  CHECK_EQ(shape.begin[0], 1);  // 3 pixels: 1 in front
  CHECK_EQ(shape.begin[1], 1);
  conv.auto_pad = AutoPad::kSameLower;
  CHECK(place_windows(conv, {1, 1, 7, 8}, &shape).ok());
  CHECK_EQ(shape.begin[0], 2);
  conv.auto_pad = AutoPad::kValid;
  conv.pads_begin[0] = 9;
  CHECK(place_windows(conv, {1, 1, 7, 8}, &shape).ok());
  CHECK_EQ(shape.output[0], 2);
}

CHECK_MAIN
