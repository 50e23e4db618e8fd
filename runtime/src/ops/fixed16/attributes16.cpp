#include "ops/fixed16/attributes16.h"

#include <optional>
#include <string>

#include "base/text.h"

namespace reluflow {

namespace {

constexpr int kMostExponent16 = 100;
constexpr int kMostValue = 32767;

Status read_number(const NodeInfo& info, const char* name, int most, int* out) {
  int64_t value = *out;
  RELUFLOW_RETURN_IF_BAD(info.read(name, &value));
  if (value < -most || value > most) {
    return Status(std::string(name) + " is " + std::to_string(value) + ", but " +
                  std::to_string(-most) + " to " + std::to_string(most) +
                  " is accepted; convert the model again.");
  }
  *out = static_cast<int>(value);
  return {};
}

}  // namespace

Status read_exponent(const NodeInfo& info, const char* name, int* out) {
  return read_number(info, name, kMostExponent16, out);
}

Status read_bound(const NodeInfo& info, const char* name, int* out) {
  return read_number(info, name, kMostValue, out);
}

Status open_x16(Call& call, size_t spatial, Tensor* out) {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give the int16 values of a chain.");
  if (x->dims.size() < spatial + 2) {
    return Status("X has shape " + text_of(x->dims) + ", but at least " +
                  std::to_string(spatial + 2) +
                  " axes are wanted, channels last; give the values of a chain.");
  }
  *out = *x;
  return {};
}

}  // namespace reluflow
