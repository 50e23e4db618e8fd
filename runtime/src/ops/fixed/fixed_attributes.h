// Attributes and shapes of the operators of a chain.
#ifndef RELUFLOW_OPS_FIXED_FIXED_ATTRIBUTES_H
#define RELUFLOW_OPS_FIXED_FIXED_ATTRIBUTES_H

#include <string>
#include <vector>

#include "bytes/output.h"
#include "host/host.h"
#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"

namespace reluflow {

/// Reads `<name>_exponent` and `<name>_zero`.
Status read_format(const NodeInfo& info, const std::string& name, FixedFormat* out);

/// Reads `y_min` and `y_max`, bytes.
Status read_bounds(const NodeInfo& info, int* low, int* high);

/// The dimensions with the channels first of a tensor that has them last.
std::vector<int64_t> channels_first(const std::vector<int64_t>& dims);
std::vector<int64_t> channels_last(const std::vector<int64_t>& dims);

/// Reads `y_exponent`, `y_zero`, `y_min` and `y_max`.
Status read_output(const NodeInfo& info, ByteOutput* out);

/// Reads the windows of a pooling, those of a convolution of one channel.
Status read_windows(const NodeInfo& info, ConvSpec* out);

/// Reads an input that must be there.
Status read_bytes(Call& call, size_t index, const char* name, Tensor* out);

/// Reads a table; null where it is left out, or empty.
Status read_table(Call& call, size_t index, const uint8_t** out);

Status check_channels(const Tensor& x, const char* name);
Status check_image(const Tensor& x);

/// The windows of a pooling on an input, and the dimensions of what it gives.
struct PoolWindows {
  ConvSpec windows;
  ConvShape shape;
  std::vector<int64_t> dims;
};

Status place_pool(const ConvSpec& windows, const Tensor& x, PoolWindows* out);

}  // namespace reluflow

#endif
