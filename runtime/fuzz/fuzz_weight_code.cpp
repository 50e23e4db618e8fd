// The reader of stored weights on any bytes: refused in a sentence, or every draw is in its bounds.
#include <optional>

#include "base/aligned.h"
#include "base/random.h"
#include "fuzz/bytes.h"
#include "support/support.h"
#include "weights/weight_code.h"

using namespace reluflow;

namespace {

constexpr int kBits[] = {1, 2, 3, 4, 6, 8, 16};
constexpr Sampler kSamplers[] = {Sampler::kSystematic, Sampler::kBinomial, Sampler::kNearest};

PsbSpec spec_from(fuzz::Bytes& bytes) {
  PsbSpec spec;
  spec.p_bits = bytes.pick(kBits);
  spec.channels = bytes.few(1, 3, 9);
  spec.weights_per_channel = bytes.few(1, 9, 40);
  spec.carried_rounding = bytes.flag();
  spec.sampler = bytes.pick(kSamplers);
  return spec;
}

void check_draws(const WeightCode& code, const PsbSpec& spec, fuzz::Bytes& bytes) {
  const uint64_t seed = bytes.number<uint64_t>();
  Precision precision;
  for (const int64_t samples : {0, 1, 4, 64}) {
    fuzz::require(read_precision(spec, samples, static_cast<int64_t>(seed), &precision).ok(),
                  "a precision is read");
    const Key key = make_key(precision.seed, spec.stream);
    for (int64_t channel = 0; channel < spec.channels; ++channel) {
      const ChannelDraw draw(code, channel, precision, key);
      const int64_t first = channel * spec.weights_per_channel;
      for (int64_t i = first; i < first + spec.weights_per_channel; ++i) {
        fuzz::require(draw.count(i) <= static_cast<uint32_t>(precision.n()), "count <= n");
        // Carried, a small weight may be 1 where its own bound is rounded to 0.
        const uint8_t sign_shift = code.sign_shift[static_cast<size_t>(i)];
        const int64_t bound = weight_bound(sign_shift) + (code.before.empty() ? 0 : 1);
        fuzz::require(std::abs(draw.weight(i)) <= bound, "|w'| <= its bound");
      }
    }
  }
}

/// Every table of kernels lays the code out and draws the same weights from it.
void check_tables(const std::vector<uint8_t>& planes, const PsbSpec& spec, uint64_t seed) {
  const LaneShape shape{1, spec.channels, spec.weights_per_channel, 1};
  std::optional<std::vector<int16_t>> first;
  static const std::vector<const Kernels*> tables = test::tables();
  for (const Kernels* kernels : tables) {
    std::unique_ptr<Weights> weights;
    if (!Weights::make(planes.data(), spec, shape, &weights).ok()) return;
    test::Threads runner(1);
    const Precision precision{2, spec.sampler, spec.sampler == Sampler::kNearest ? 0 : seed};
    const size_t size = static_cast<size_t>(weights->lanes().sampled_size());
    Aligned<int16_t> drawn(size);
    weights->lanes().draw(runner, *kernels, precision, make_key(precision.seed, spec.stream),
                          drawn.data());
    const std::vector<int16_t> found(drawn.data(), drawn.data() + size);
    if (!first) first = found;
    fuzz::require(*first == found, "all kernels draw the same");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  const PsbSpec spec = spec_from(bytes);
  const bool is_tidy = bytes.byte() < 240;  // no bits behind the last weight
  const size_t stride = static_cast<size_t>((spec.count() + 7) / 8);
  const size_t rows = static_cast<size_t>(spec.p_bits) + kPlanesBesideP;
  fuzz::Bytes rest = bytes;
  std::vector<uint8_t> planes = bytes.fill(rows * stride);
  if (is_tidy && spec.count() % 8) {
    for (size_t row = 0; row < rows; ++row)
      planes[row * stride + stride - 1] &= static_cast<uint8_t>((1u << spec.count() % 8) - 1u);
  }
  WeightCode code;
  const Status status = unpack_planes(planes.data(), spec, &code);
  fuzz::require(status.ok() || !status.message().empty(), "a refusal says why");
  if (!status.ok()) return 0;
  check_draws(code, spec, rest);
  if (bytes.byte() % 4 == 0) check_tables(planes, spec, rest.number<uint64_t>());
  return 0;
}
