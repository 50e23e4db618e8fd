#include "ops/fixed/fixed_ends.h"

#include "base/text.h"
#include "fixed/quantise.h"
#include "ops/fixed/fixed_attributes.h"

namespace reluflow {

namespace {

Status check_rank(const std::vector<int64_t>& dims) {
  if (dims.size() >= 2) return {};
  return Status("X has shape " + text_of(dims) +
                ", but an axis of inputs and one of channels are "
                "wanted; give a tensor of at least two axes.");
}

int64_t pixels_of(const std::vector<int64_t>& first) {
  int64_t pixels = 1;
  for (size_t i = 2; i < first.size(); ++i) pixels *= first[i];
  return pixels;
}

}  // namespace

Status read_format(const NodeInfo& info, const std::string& name, FixedFormat* out) {
  int64_t exponent = 0;
  int64_t zero = 0;
  RELUFLOW_RETURN_IF_BAD(info.read((name + "_exponent").c_str(), &exponent));
  RELUFLOW_RETURN_IF_BAD(info.read((name + "_zero").c_str(), &zero));
  if (exponent < -100 || exponent > 100) {
    return Status(name + "_exponent is " + std::to_string(exponent) +
                  ", but -100 to 100 is accepted; convert the model again.");
  }
  if (zero != 0 && zero != 128) {
    return Status(name + "_zero is " + std::to_string(zero) +
                  ", but 0 and 128 are accepted; convert the model again.");
  }
  out->exponent = static_cast<int>(exponent);
  out->zero = static_cast<int>(zero);
  return {};
}

Status read_byte(const NodeInfo& info, const char* name, int* out) {
  int64_t value = *out;
  RELUFLOW_RETURN_IF_BAD(info.read(name, &value));
  if (value < 0 || value > 255) {
    return Status(std::string(name) + " is " + std::to_string(value) +
                  ", but 0 to 255 is accepted; convert the model again.");
  }
  *out = static_cast<int>(value);
  return {};
}

std::vector<int64_t> channels_first(const std::vector<int64_t>& dims) {
  std::vector<int64_t> out = dims;
  if (out.size() < 2) return out;
  out.pop_back();
  out.insert(out.begin() + 1, dims.back());
  return out;
}

std::vector<int64_t> channels_last(const std::vector<int64_t>& dims) {
  std::vector<int64_t> out = dims;
  if (out.size() < 2) return out;
  out.erase(out.begin() + 1);
  out.push_back(dims[1]);
  return out;
}

Status ToFixed::create(const NodeInfo& info, std::unique_ptr<ToFixed>* out) {
  auto made = std::make_unique<ToFixed>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "y", &made->y_));
  RELUFLOW_RETURN_IF_BAD(info.read("fills_quads", &made->fills_));
  *out = std::move(made);
  return {};
}

Status ToFixed::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give float32 values.");
  RELUFLOW_RETURN_IF_BAD(check_rank(x->dims));
  FixedImage image{x->dims[0], x->dims[1], pixels_of(x->dims), x->dims[1]};
  if (fills_) image.stored = (image.channels + kQuad - 1) / kQuad * kQuad;
  std::vector<int64_t> dims = channels_last(x->dims);
  dims.back() = image.stored;
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  to_fixed(call, *kernels_, image, y_, x->as<const float>(), static_cast<uint8_t*>(y));
  return {};
}

Status FromFixed::create(const NodeInfo& info, std::unique_ptr<FromFixed>* out) {
  auto made = std::make_unique<FromFixed>();
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  *out = std::move(made);
  return {};
}

Status FromFixed::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  RELUFLOW_RETURN_IF_BAD(check_rank(x->dims));
  const std::vector<int64_t> dims = channels_first(x->dims);
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  from_fixed(call, {dims[0], dims[1], pixels_of(dims), dims[1]}, x_, x->as<const uint8_t>(),
             static_cast<float*>(y));
  return {};
}

}  // namespace reluflow
