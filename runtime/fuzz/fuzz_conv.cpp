// Geometry of convolutions with any attributes: refused, or run alike by every table of kernels.
#include "base/checked.h"
#include "fuzz/bytes.h"
#include "sums/conv.h"
#include "support/support.h"

using namespace reluflow;

namespace {

constexpr int kBits[] = {1, 4, 8, 16};

int64_t between(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

/// Attributes as the operators accept them: each below 2^31, channels a multiple of the groups.
ConvSpec spec_from(fuzz::Bytes& bytes) {
  ConvSpec spec;
  spec.spatial_rank = bytes.flag() ? 2 : 1;
  spec.group = between(bytes.size(), 1, kMostSize);
  spec.group_inputs = between(bytes.size(), 1, kMostSize);
  const int64_t per_group = bytes.range(1, 3);
  spec.outputs = spec.group > kMostSize / per_group ? spec.group : spec.group * per_group;
  spec.auto_pad = static_cast<AutoPad>(bytes.byte() % 4);
  for (int axis = 2 - spec.spatial_rank; axis < 2; ++axis) {
    spec.kernel[axis] = between(bytes.size(), 1, kMostSize);
    spec.strides[axis] = between(bytes.size(), 1, kMostSize);
    spec.dilations[axis] = between(bytes.size(), 1, kMostSize);
    spec.pads_begin[axis] = between(bytes.size(), 0, kMostSize);
    spec.pads_end[axis] = between(bytes.size(), 0, kMostSize);
  }
  return spec;
}

bool is_small(const ConvSpec& spec, const ConvShape& shape, int64_t most) {
  return spec.group < 64 && spec.group_inputs < 64 && spec.taps() < 64 &&
         spec.outputs * spec.group_inputs * spec.taps() <= most && shape.plane() <= most &&
         shape.input[0] < most && shape.input[1] < most &&
         shape.batch * spec.inputs() * shape.input[0] * shape.input[1] <= most &&
         shape.batch * spec.outputs * shape.pixels() <= most;
}

void run(const ConvSpec& spec, const ConvShape& shape, fuzz::Bytes& bytes) {
  PsbSpec psb;
  psb.channels = spec.outputs;
  psb.weights_per_channel = spec.group_inputs * spec.taps();
  psb.p_bits = bytes.pick(kBits);
  psb.x_bits = static_cast<int>(bytes.range(2, 16));
  psb.carried_rounding = bytes.flag();
  psb.per_product = bytes.byte() % 8 == 0;
  psb.activation = static_cast<Activation>(bytes.byte() % 3);
  psb.clip_min = -1.0f;
  psb.clip_max = 6.0f;
  std::mt19937 rng(bytes.number<uint32_t>());
  const std::vector<uint8_t> planes = test::random_planes(psb, rng, psb.x_bits == 16 ? 13 : 1);
  const size_t inputs =
      static_cast<size_t>(shape.batch * spec.inputs() * shape.input[0] * shape.input[1]);
  std::vector<float> x = test::random_floats(inputs, rng);
  if (inputs) x[0] = bytes.number<float>();
  const size_t outputs = static_cast<size_t>(shape.batch * spec.outputs * shape.pixels());
  const std::vector<int8_t> emax(static_cast<size_t>(spec.outputs), 0);
  const Precision precision{static_cast<int>(bytes.range(0, 6)), Sampler::kSystematic, 3};
  std::vector<float> first;
  std::string message;
  static const std::vector<const Kernels*> tables = test::tables();
  for (const Kernels* kernels : tables) {
    std::unique_ptr<Weights> weights;
    if (!Weights::make(planes.data(), psb, lane_shape(spec), &weights).ok()) return;
    std::vector<float> y(outputs, -1.0f);
    test::Threads runner(1);
    const Status status = run_conv(runner, {psb, spec, shape, *kernels, *weights, precision,
                                            x.data(), emax.data(), nullptr, y.data()});
    if (first.empty()) first = y, message = status.message();
    fuzz::require(message == status.message(), "all kernels refuse alike");
    fuzz::require(!outputs || std::memcmp(first.data(), y.data(), outputs * sizeof(float)) == 0,
                  "all kernels give the same");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  const ConvSpec spec = spec_from(bytes);
  std::vector<int64_t> dims = {between(bytes.size(), 0, INT64_MAX), spec.inputs()};
  for (int axis = 0; axis < spec.spatial_rank; ++axis)
    dims.push_back(between(bytes.size(), 0, INT64_MAX));
  ConvShape shape;
  const Status status = place_windows(spec, dims, &shape);
  fuzz::require(status.ok() || !status.message().empty(), "a refusal says why");
  if (!status.ok()) return 0;
  for (int axis = 0; axis < 2; ++axis) {
    fuzz::require(shape.output[axis] >= 0 && shape.packed[axis] >= 0, "sizes are not negative");
    fuzz::require(shape.packed[axis] <= kMostSize, "a plane has a bound");
  }
  const int64_t most = bytes.byte() % 16 == 0 ? 1 << 11 : 1 << 7;
  if (is_small(spec, shape, most)) run(spec, shape, bytes);
  return 0;
}
