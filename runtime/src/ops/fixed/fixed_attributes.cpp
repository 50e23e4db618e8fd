#include "ops/fixed/fixed_attributes.h"

#include "base/checked.h"
#include "base/text.h"
#include "ops/psb/conv_attributes.h"

namespace reluflow {

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

namespace {

/// Reads a byte.
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

}  // namespace

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

Status read_bounds(const NodeInfo& info, int* low, int* high) {
  RELUFLOW_RETURN_IF_BAD(read_byte(info, "y_min", low));
  RELUFLOW_RETURN_IF_BAD(read_byte(info, "y_max", high));
  if (*low <= *high) return {};
  return Status("y_min is " + std::to_string(*low) + " and y_max is " + std::to_string(*high) +
                ", but y_min <= y_max is wanted; convert the model again.");
}

Status read_output(const NodeInfo& info, ByteOutput* out) {
  RELUFLOW_RETURN_IF_BAD(read_format(info, "y", &out->format));
  return read_bounds(info, &out->low, &out->high);
}

Status read_windows(const NodeInfo& info, ConvSpec* out) {
  std::vector<int64_t> kernel;
  RELUFLOW_RETURN_IF_BAD(info.read("kernel_shape", &kernel));
  bool good = kernel.size() == 1 || kernel.size() == 2;
  for (const int64_t size : kernel) good = good && size >= 1 && size <= kMostSize;
  if (!good) {
    return Status("kernel_shape is " + text_of(kernel) +
                  ", but [k] or [kH, kW] with sizes of at least 1 is wanted; convert the model "
                  "again.");
  }
  kernel.insert(kernel.begin(), 2, 1);  // one channel of one group, as a convolution has them
  return read_conv(info, kernel, out);
}

Status read_bytes(Call& call, size_t index, const char* name, Tensor* out) {
  std::optional<Tensor> found;
  RELUFLOW_RETURN_IF_BAD(call.input(index, &found));
  if (!found) return Status(std::string(name) + " is missing; give the bytes of a chain.");
  *out = std::move(*found);
  return {};
}

Status read_table(Call& call, size_t index, const uint8_t** out) {
  std::optional<Tensor> table;
  RELUFLOW_RETURN_IF_BAD(call.input(index, &table));
  if (!table || table->dims == std::vector<int64_t>{0}) return {};
  if (table->dims != std::vector<int64_t>{kFixedCodes}) {
    return Status("table has shape " + text_of(table->dims) +
                  ", but [256] is wanted; give a byte for each byte.");
  }
  *out = table->as<const uint8_t>();
  return {};
}

Status check_channels(const Tensor& x, const char* name) {
  if (x.dims.size() >= 2) return {};
  return Status(std::string(name) + " has shape " + text_of(x.dims) +
                ", but an axis of inputs and one of channels are wanted; give a tensor of at "
                "least two axes.");
}

Status check_image(const Tensor& x) {
  if (x.dims.size() >= 3) return {};
  return Status("X has shape " + text_of(x.dims) +
                ", but at least one spatial axis is wanted; give an image.");
}

Status place_pool(const ConvSpec& windows, const Tensor& x, PoolWindows* out) {
  std::vector<int64_t> dims = channels_first(x.dims);
  const size_t rank = static_cast<size_t>(windows.spatial_rank) + 2;
  if (dims.size() != rank) {
    return Status("X has shape " + text_of(x.dims) + ", but rank " + std::to_string(rank) +
                  " is wanted; give an input that fits kernel_shape.");
  }
  out->windows = windows;
  out->windows.group_inputs = dims[1];
  RELUFLOW_RETURN_IF_BAD(place_windows(out->windows, dims, &out->shape));
  out->dims = {out->shape.batch, out->shape.output[0], out->shape.output[1], dims[1]};
  if (windows.spatial_rank == 1) out->dims.erase(out->dims.begin() + 1);
  return {};
}

}  // namespace reluflow
