#include "ops/pattern_hash.h"

#include "base/text.h"
#include "hash/hash.h"
#include "kernels/cpu.h"

namespace reluflow {

namespace {

/// The three results, allocated.
struct Results {
  void* keys = nullptr;
  void* active = nullptr;
  void* nonfinite = nullptr;

  Status allocate(Call& call, std::vector<int64_t> samples, int64_t units) {
    samples.push_back(2);
    RELUFLOW_RETURN_IF_BAD(call.output(0, samples, &keys));
    RELUFLOW_RETURN_IF_BAD(call.output(1, {units}, &active));
    return call.output(2, {}, &nonfinite);
  }
};

Status no_memory() { return Status("memory is missing for the counts; give a smaller batch."); }

Status check_blocks(int64_t block, int64_t units) {
  if (block != 8 && block != 16) {
    return Status("block is " + std::to_string(block) +
                  ", but 8 and 16 are accepted; leave it out for a tensor that is not blocked.");
  }
  constexpr int64_t kMostUnits = 1 << 24;  // tables of that size are made before X is seen
  if (units < 1 || units > kMostUnits) {
    return Status("units is " + std::to_string(units) +
                  ", but a blocked X has 1 or more and up to " + std::to_string(kMostUnits) +
                  "; give its true number of units.");
  }
  return {};
}

}  // namespace

Status PatternHash::create(const NodeInfo& info, std::unique_ptr<PatternHash>* out) {
  auto made = std::make_unique<PatternHash>();
  int64_t seed = static_cast<int64_t>(made->seed_);
  int64_t block = 0;
  int64_t units = 0;
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(info.read("threshold", &made->threshold_));
  RELUFLOW_RETURN_IF_BAD(info.read("unit_axis", &made->unit_axis_));
  RELUFLOW_RETURN_IF_BAD(info.read("seed", &seed));
  RELUFLOW_RETURN_IF_BAD(info.read("block", &block));
  RELUFLOW_RETURN_IF_BAD(info.read("units", &units));
  if (made->threshold_ != made->threshold_) {
    return Status("threshold is NaN, but must be a number; give the site's threshold.");
  }
  made->seed_ = static_cast<uint64_t>(seed);
  if (block != 0) {
    RELUFLOW_RETURN_IF_BAD(check_blocks(block, units));
    made->blocked_.emplace(units, block, made->seed_);
  }
  *out = std::move(made);
  return {};
}

Status PatternHash::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give float32 pre-activations.");
  return blocked_ ? compute_blocked(call, *x, *blocked_) : compute_planar(call, *x);
}

Status PatternHash::compute_planar(Call& call, const Tensor& x) const {
  const int64_t rank = static_cast<int64_t>(x.dims.size());
  if (unit_axis_ < -rank || unit_axis_ >= rank) {
    return Status("unit_axis is " + std::to_string(unit_axis_) + ", but X has shape " +
                  text_of(x.dims) + "; give the axis of X that enumerates the units.");
  }
  const size_t axis = static_cast<size_t>(unit_axis_ < 0 ? unit_axis_ + rank : unit_axis_);
  int64_t outer = 1;
  int64_t inner = 1;
  std::vector<int64_t> samples;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    if (i == axis) continue;
    (i < axis ? outer : inner) *= x.dims[i];
    samples.push_back(x.dims[i]);
  }
  Results out;
  RELUFLOW_RETURN_IF_BAD(out.allocate(call, std::move(samples), x.dims[axis]));
  const std::vector<uint64_t> words = unit_words(x.dims[axis], seed_);
  const bool done =
      run_hash(call, {*kernels_, x.as<const float>(), outer, x.dims[axis], inner, threshold_,
                      words.data(), static_cast<uint64_t*>(out.keys),
                      static_cast<int64_t*>(out.active), static_cast<int64_t*>(out.nonfinite)});
  return done ? Status() : no_memory();
}

Status PatternHash::compute_blocked(Call& call, const Tensor& x, const BlockedWords& words) const {
  const int64_t stored = words.blocks() * words.block;
  if (x.dims.size() < 2 || x.dims[1] != stored) {
    return Status("X has shape " + text_of(x.dims) + ", but " + std::to_string(words.units) +
                  " units in blocks of " + std::to_string(words.block) + " make an axis 1 of " +
                  std::to_string(stored) + "; give the block and units that X has.");
  }
  std::vector<int64_t> samples{x.dims[0]};
  int64_t inner = 1;
  for (size_t i = 2; i < x.dims.size(); ++i) {
    inner *= x.dims[i];
    samples.push_back(x.dims[i]);
  }
  Results out;
  RELUFLOW_RETURN_IF_BAD(out.allocate(call, std::move(samples), words.units));
  const bool done =
      run_blocked_hash(call, {*kernels_, x.as<const float>(), x.dims[0], inner, words, threshold_,
                              static_cast<uint64_t*>(out.keys), static_cast<int64_t*>(out.active),
                              static_cast<int64_t*>(out.nonfinite)});
  return done ? Status() : no_memory();
}

}  // namespace reluflow
