// Geometry of convolutions at the edges of 32 and 64 bits: refused in a sentence, or run and right.
#include "base/checked.h"
#include "sums/conv.h"
#include "support/check.h"
#include "support/support.h"

using namespace reluflow;

namespace {

using Wide = __int128;

constexpr int64_t kTop = std::numeric_limits<int64_t>::max();

/// Small numbers most of the time, else one near a power of two.
int64_t pick(std::mt19937_64& rng, int64_t least, int64_t most) {
  static const int64_t kEdges[] = {int64_t{1} << 15, int64_t{1} << 16, int64_t{1} << 24,
                                   int64_t{1} << 30, int64_t{1} << 31, int64_t{1} << 32,
                                   int64_t{1} << 61, int64_t{1} << 62, kTop - 3};
  int64_t value = static_cast<int64_t>(rng() % 6);
  if (rng() % 4 == 0)
    value = kEdges[rng() % std::size(kEdges)] - 2 + static_cast<int64_t>(rng() % 5);
  return std::min(most, std::max(least, value));
}

ConvSpec random_spec(std::mt19937_64& rng) {
  ConvSpec spec;
  spec.spatial_rank = rng() % 4 == 0 ? 1 : 2;
  spec.group = pick(rng, 1, rng() % 8 ? 3 : kMostSize);
  spec.group_inputs = pick(rng, 1, rng() % 8 ? 3 : kMostSize);
  spec.outputs = spec.group * pick(rng, 1, 3);
  spec.auto_pad = static_cast<AutoPad>(rng() % 3 == 0 ? rng() % 4 : 0);
  for (int axis = 2 - spec.spatial_rank; axis < 2; ++axis) {
    spec.kernel[axis] = pick(rng, 1, rng() % 8 ? 5 : kMostSize);
    spec.strides[axis] = pick(rng, 1, kMostSize);
    spec.dilations[axis] = pick(rng, 1, kMostSize);
    spec.pads_begin[axis] = pick(rng, 0, kMostSize);
    spec.pads_end[axis] = pick(rng, 0, kMostSize);
  }
  return spec;
}

/// The same geometry in 128 bits, by the text of ONNX Conv.
struct Plain {
  Wide output[2];
  Wide begin[2];
  Wide packed[2];
  bool fits = true;

  Plain(const ConvSpec& spec, const std::vector<int64_t>& dims) {
    for (int axis = 0; axis < 2; ++axis) {
      const bool missing = axis < 2 - spec.spatial_rank;
      const Wide size =
          missing ? 1 : dims[static_cast<size_t>(axis) + static_cast<size_t>(spec.spatial_rank)];
      const Wide span = Wide{spec.dilations[axis]} * (spec.kernel[axis] - 1) + 1;
      Wide front = spec.pads_begin[axis];
      Wide behind = spec.pads_end[axis];
      if (spec.auto_pad != AutoPad::kNotSet) front = behind = 0;
      if (spec.auto_pad == AutoPad::kSameUpper || spec.auto_pad == AutoPad::kSameLower) {
        const Wide windows = (size + spec.strides[axis] - 1) / spec.strides[axis];
        Wide total = size < 1 ? 0 : (windows - 1) * spec.strides[axis] + span - size;
        front = (total + (spec.auto_pad == AutoPad::kSameUpper ? 0 : 1) + (total < 0)) / 2;
        behind = total - front;
      }
      const Wide room = size + front + behind - span;
      if (room < 0) fits = false;
      begin[axis] = front;
      output[axis] = room / spec.strides[axis] + 1;
      packed[axis] =
          spec.kernel[axis] == 1 ? output[axis] : (output[axis] - 1) * spec.strides[axis] + span;
      if (packed[axis] > kMostSize) fits = false;
    }
  }
};

bool is_small(const ConvSpec& spec, const ConvShape& shape) {
  return shape.plane() <= 1 << 16 && spec.outputs * spec.group_inputs * spec.taps() <= 2000 &&
         shape.batch * spec.inputs() * shape.input[0] * shape.input[1] <= 1 << 16 &&
         shape.batch * spec.outputs * shape.pixels() <= 1 << 16;
}

/// Runs a convolution that was accepted; without padding in the weights' way all is checked by the
/// sanitizers, and every kernel must give what the portable one gives.
void run_small(const ConvSpec& spec, const ConvShape& shape, std::mt19937& rng) {
  PsbSpec psb;
  psb.channels = spec.outputs;
  psb.weights_per_channel = spec.group_inputs * spec.taps();
  psb.p_bits = 4;
  psb.carried_rounding = rng() % 2;
  psb.per_product = rng() % 4 == 0;
  const std::vector<uint8_t> planes = test::random_planes(psb, rng);
  const size_t inputs =
      static_cast<size_t>(shape.batch * spec.inputs() * shape.input[0] * shape.input[1]);
  const std::vector<float> x = test::random_floats(inputs, rng);
  const std::vector<int8_t> emax(static_cast<size_t>(spec.outputs), 0);
  const size_t outputs = static_cast<size_t>(shape.batch * spec.outputs * shape.pixels());
  std::vector<float> first;
  for (const Kernels* kernels : test::tables()) {
    std::unique_ptr<Weights> weights;
    CHECK(Weights::make(planes.data(), psb, lane_shape(spec), &weights).ok());
    std::vector<float> y(outputs, -1.0f);
    test::Threads runner(1);
    const Status status = run_conv(runner, {psb,
                                            spec,
                                            shape,
                                            *kernels,
                                            *weights,
                                            {2, Sampler::kSystematic, 3},
                                            x.data(),
                                            emax.data(),
                                            nullptr,
                                            y.data()});
    CHECK_EQ_AT(status.message(), std::string(),
                std::to_string(shape.plane()) + " " + std::to_string(shape.packed[1]) + " " +
                    std::to_string(shape.input[1]) + " " + std::to_string(shape.output[1]));
    if (first.empty()) first = y;
    CHECK(outputs == 0 || std::memcmp(first.data(), y.data(), outputs * sizeof(float)) == 0);
  }
}

}  // namespace

TEST(random_geometry_is_refused_or_right) {
  std::mt19937_64 rng(20260);
  std::mt19937 data(7);
  int accepted = 0;
  int ran = 0;
  for (int n = 0; n < 60000; ++n) {
    const ConvSpec spec = random_spec(rng);
    std::vector<int64_t> dims = {pick(rng, 0, 2), spec.inputs()};
    for (int axis = 0; axis < spec.spatial_rank; ++axis) dims.push_back(pick(rng, 0, kTop));
    ConvShape shape;
    const Status status = place_windows(spec, dims, &shape);
    const Plain plain(spec, dims);
    if (!plain.fits) {
      CHECK(!status.ok());
      continue;
    }
    if (!status.ok()) {
      CHECK_HAS(status.message(), "takes more than");
      continue;
    }
    ++accepted;
    for (int axis = 0; axis < 2; ++axis) {
      CHECK(plain.output[axis] == shape.output[axis] && plain.begin[axis] == shape.begin[axis]);
      CHECK(plain.packed[axis] == shape.packed[axis]);
    }
    if (ran == 3000 || !is_small(spec, shape)) continue;
    ++ran;
    run_small(spec, shape, data);
  }
  CHECK(accepted > 5000);
  CHECK(ran >= 2000);
}

TEST(planes_whose_product_is_0_modulo_2_to_64_are_refused) {
  // 2^32 x 2^32 packed pixels: the product of both is 0 in 64 bits.
  ConvSpec spec;
  spec.group_inputs = 1;
  spec.outputs = 1;
  for (int axis = 0; axis < 2; ++axis) {
    spec.kernel[axis] = 4;
    spec.dilations[axis] = 1431655765;
    spec.pads_begin[axis] = spec.pads_end[axis] = kMostSize;
  }
  ConvShape shape;
  CHECK_HAS(place_windows(spec, {1, 1, 2, 2}, &shape).message(),
            "X of shape [1, 1, 2, 2] with its padding, windows of 4 x 4 taps and dilations of "
            "1431655765 and 1431655765 takes more than 2147483647 pixels a channel");
}

TEST(sums_and_products_know_when_they_leave_64_bits) {
  CHECK(!(Checked(kTop) + 1).good());
  CHECK(!(Checked(-kTop) - 2).good());
  CHECK(!(Checked(int64_t{1} << 32) * (int64_t{1} << 31)).good());
  CHECK_EQ((Checked(int64_t{1} << 31) * (int64_t{1} << 31)).value(), int64_t{1} << 62);
  CHECK(!((Checked(kTop) + 1) * 0).good());
  CHECK(!product({kTop, 2}).good());
  CHECK_EQ(product({kTop, 2, 0}).value(), 0);
}

TEST(scratch_beyond_any_sense_is_not_asked_for) {
  test::Threads runner(1);
  const Scratch<int32_t> huge(runner, kMostScratchBytes / sizeof(int32_t) + 1);
  CHECK(!huge);
  const Scratch<int32_t> wrapped(runner, ~size_t{0});
  CHECK(!wrapped);
}

CHECK_MAIN
