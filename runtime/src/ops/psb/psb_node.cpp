#include "ops/psb/psb_node.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "base/text.h"

namespace reluflow {

namespace {

/// The position of `value` among `names`, or a sentence.
template <size_t N>
Status choose(const char* name, const std::string& value, const char* const (&names)[N], int* out) {
  std::string accepted;
  for (size_t i = 0; i < N; ++i) {
    if (value == names[i]) {
      *out = static_cast<int>(i);
      return {};
    }
    accepted += (i ? ", " : "") + std::string(names[i]);
  }
  return Status(std::string(name) + " is \"" + value + "\", but one of " + accepted +
                " is accepted; convert the model again.");
}

Status out_of_range(const char* name, int64_t value, const char* accepted) {
  return Status(std::string(name) + " is " + std::to_string(value) + ", but " + accepted +
                " is accepted; convert the model again.");
}

Status check_shape(const Tensor& tensor, const char* name, const std::vector<int64_t>& wanted) {
  if (tensor.dims == wanted) return {};
  return Status(std::string(name) + " has shape " + text_of(tensor.dims) + ", but " +
                text_of(wanted) + " is wanted; convert the model again.");
}

/// Whether a bias is the one zero that stands for zeros in all channels.
bool is_one_zero(const Tensor& bias) {
  return bias.dims == std::vector<int64_t>{1} && *bias.as<const float>() == 0.0f;
}

Status check_bias(const Tensor& bias, int64_t channels) {
  return is_one_zero(bias) ? Status() : check_shape(bias, "B", {channels});
}

/// The value of an int64 scalar (or one-element) tensor.
Status one_number(const Tensor& tensor, const char* name, int64_t* out) {
  if (tensor.type != abi::kInt64) return Status(std::string(name) + " is not int64; cast it.");
  if (tensor.dims.size() > 1 || tensor.count() != 1) {
    return Status(std::string(name) + " has shape " + text_of(tensor.dims) +
                  ", but one number is wanted; give a scalar.");
  }
  *out = *tensor.as<const int64_t>();
  return {};
}

/// The value of an input of one number.
Status read_scalar(Call& call, size_t index, const char* name, int64_t* out) {
  std::optional<Tensor> tensor;
  RELUFLOW_RETURN_IF_BAD(call.input(index, &tensor));
  if (!tensor) return Status(std::string(name) + " is missing; give one int64 number.");
  return one_number(*tensor, name, out);
}

bool is_p_bits(int64_t v) { return (v >= 1 && v <= 4) || v == 6 || v == 8 || v == 16; }

}  // namespace

Status check_weight_shape(const std::vector<int64_t>& shape, std::initializer_list<size_t> ranks,
                          const char* wanted) {
  bool good = std::find(ranks.begin(), ranks.end(), shape.size()) != ranks.end();
  for (const int64_t d : shape) good = good && d >= 1 && d <= kMostSize;
  if (good && product(shape).at_most(kMostSize)) return {};
  return Status("weight_shape is " + text_of(shape) + ", but " + wanted +
                " with sizes of at least 1 and fewer than 2^31 weights is wanted; convert "
                "the model again.");
}

Status check_float(const Tensor& tensor, const char* name) {
  if (tensor.type == abi::kFloat) return {};
  return Status(std::string(name) + " is not float32; cast it.");
}

Status open_z(Call& call, size_t index, const std::vector<int64_t>& dims, const float** out) {
  std::optional<Tensor> z;
  RELUFLOW_RETURN_IF_BAD(call.input(index, &z));
  if (!z) return {};
  RELUFLOW_RETURN_IF_BAD(check_float(*z, "Z"));
  if (z->dims == std::vector<int64_t>{0}) return {};
  if (z->dims != dims) {
    return Status("Z has shape " + text_of(z->dims) + ", but that of Y, " + text_of(dims) +
                  ", is wanted; give a Z that needs no broadcasting.");
  }
  *out = z->as<const float>();
  return {};
}

template <class Store>
Status PsbNodeOf<Store>::read_attributes(const NodeInfo& info) {
  int64_t p_bits = spec_.p_bits;
  int64_t x_bits = spec_.x_bits;
  int64_t stream = 0;
  int64_t x_exponent = 0;
  RELUFLOW_RETURN_IF_BAD(info.read("p_bits", &p_bits));
  RELUFLOW_RETURN_IF_BAD(info.read("x_bits", &x_bits));
  RELUFLOW_RETURN_IF_BAD(info.read("stream", &stream));
  RELUFLOW_RETURN_IF_BAD(info.read("x_exponent", &x_exponent, &spec_.calibrated));
  if (!is_p_bits(p_bits)) return out_of_range("p_bits", p_bits, "1, 2, 3, 4, 6, 8 or 16");
  if (stream < 0 || stream > 0xffffffffLL) {
    return out_of_range("stream", stream, "0 to 4294967295");
  }
  if (x_bits < 2 || x_bits > 16) return out_of_range("x_bits", x_bits, "2 to 16");
  spec_.p_bits = static_cast<int>(p_bits);
  spec_.x_bits = static_cast<int>(x_bits);
  spec_.stream = static_cast<uint32_t>(stream);
  spec_.calibrated = spec_.calibrated && x_exponent != kFromTheRun;
  spec_.x_exponent =
      static_cast<int>(std::clamp<int64_t>(x_exponent, -kMostExponent, kMostExponent));

  std::string sampler = "systematic";
  std::string draws = "run";
  std::string activation = "none";
  std::string rounding = "half";
  int rounding_at = 0;
  int sampler_at = 0;
  int draws_at = 0;
  int activation_at = 0;
  RELUFLOW_RETURN_IF_BAD(info.read("sampler", &sampler));
  RELUFLOW_RETURN_IF_BAD(info.read("draws", &draws));
  RELUFLOW_RETURN_IF_BAD(info.read("activation", &activation));
  RELUFLOW_RETURN_IF_BAD(
      choose("sampler", sampler, {"systematic", "binomial", "nearest"}, &sampler_at));
  RELUFLOW_RETURN_IF_BAD(info.read("rounding", &rounding));
  RELUFLOW_RETURN_IF_BAD(choose("rounding", rounding, {"half", "carried"}, &rounding_at));
  RELUFLOW_RETURN_IF_BAD(choose("draws", draws, {"run", "product"}, &draws_at));
  RELUFLOW_RETURN_IF_BAD(
      choose("activation", activation, {"none", "relu", "clip"}, &activation_at));
  spec_.sampler = static_cast<Sampler>(sampler_at);
  spec_.per_product = draws_at == 1;
  spec_.carried_rounding = rounding_at == 1;
  spec_.activation = static_cast<Activation>(activation_at);
  RELUFLOW_RETURN_IF_BAD(info.read("clip_min", &spec_.clip_min));
  RELUFLOW_RETURN_IF_BAD(info.read("clip_max", &spec_.clip_max));
  if (spec_.clip_min <= spec_.clip_max) return {};  // false where one is NaN
  return Status("clip_min is " + std::to_string(spec_.clip_min) + " and clip_max is " +
                std::to_string(spec_.clip_max) +
                ", but clip_min <= clip_max is wanted; convert the model again.");
}

template <class Store>
Status PsbNodeOf<Store>::create(const NodeInfo& info, const std::vector<int64_t>& dims,
                                std::function<LaneShape()> shape) {
  shape_ = std::move(shape);
  spec_.channels = dims[0];
  spec_.weights_per_channel = 1;
  for (size_t i = 1; i < dims.size(); ++i) spec_.weights_per_channel *= dims[i];  // checked
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&kernels_));
  RELUFLOW_RETURN_IF_BAD(read_attributes(info));
  RELUFLOW_RETURN_IF_BAD(check_constants(info));
  const OrtValue* value = nullptr;
  RELUFLOW_RETURN_IF_BAD(info.constant(kW, &value));
  if (value == nullptr) return {};
  Tensor planes;
  RELUFLOW_RETURN_IF_BAD(open_tensor(info.api(), value, &planes));
  return make_weights(planes, &weights_);
}

/// Exponents, bias and the number of samples are refused at once where they are constant.
template <class Store>
Status PsbNodeOf<Store>::check_constants(const NodeInfo& info) const {
  const auto read = [&](size_t index, Tensor* out, bool* found) -> Status {
    const OrtValue* value = nullptr;
    RELUFLOW_RETURN_IF_BAD(info.constant(index, &value));
    *found = value != nullptr;
    return value ? open_tensor(info.api(), value, out) : Status();
  };
  Tensor tensor;
  bool found = false;
  RELUFLOW_RETURN_IF_BAD(read(kEmax, &tensor, &found));
  if (found) RELUFLOW_RETURN_IF_BAD(check_shape(tensor, "emax", {spec_.channels}));
  RELUFLOW_RETURN_IF_BAD(read(kB, &tensor, &found));
  if (found) RELUFLOW_RETURN_IF_BAD(check_bias(tensor, spec_.channels));
  RELUFLOW_RETURN_IF_BAD(read(kSamples, &tensor, &found));
  int64_t samples = 0;
  if (found) RELUFLOW_RETURN_IF_BAD(one_number(tensor, "samples", &samples));
  Precision unused;
  return read_precision(spec_, samples, 0, &unused);
}

template <class Store>
Status PsbNodeOf<Store>::make_weights(const Tensor& planes, std::unique_ptr<Store>* out) const {
  RELUFLOW_RETURN_IF_BAD(
      check_shape(planes, "W", {spec_.p_bits + kPlanesBesideP, (spec_.count() + 7) / 8}));
  return Store::make(planes.as<const uint8_t>(), spec_, shape_(), out);
}

template <class Store>
Status PsbNodeOf<Store>::open(Call& call, PsbInputsOf<Store>* out) const {
  std::optional<Tensor> tensor;
  RELUFLOW_RETURN_IF_BAD(call.input(kEmax, &tensor));
  if (!tensor) return Status("emax is missing; convert the model again.");
  RELUFLOW_RETURN_IF_BAD(check_shape(*tensor, "emax", {spec_.channels}));
  out->emax = *tensor;
  RELUFLOW_RETURN_IF_BAD(call.input(kB, &out->bias));
  if (out->bias) RELUFLOW_RETURN_IF_BAD(check_bias(*out->bias, spec_.channels));
  if (out->bias && is_one_zero(*out->bias)) out->bias.reset();
  int64_t samples = 0;
  int64_t seed = 0;
  RELUFLOW_RETURN_IF_BAD(read_scalar(call, kSamples, "samples", &samples));
  RELUFLOW_RETURN_IF_BAD(read_scalar(call, kSeed, "seed", &seed));
  RELUFLOW_RETURN_IF_BAD(read_precision(spec_, samples, seed, &out->precision));
  out->weights = weights_.get();
  if (out->weights) return {};
  RELUFLOW_RETURN_IF_BAD(call.input(kW, &tensor));
  if (!tensor) return Status("W is missing; convert the model again.");
  RELUFLOW_RETURN_IF_BAD(make_weights(*tensor, &out->own));
  out->weights = out->own.get();
  return {};
}

template class PsbNodeOf<Weights>;
template class PsbNodeOf<GridWeights>;
template class PsbNodeOf<Weights16>;

}  // namespace reluflow
