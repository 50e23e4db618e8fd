// The attributes of ONNX's Conv, as every convolution here has them.
#ifndef RELUFLOW_OPS_PSB_CONV_ATTRIBUTES_H
#define RELUFLOW_OPS_PSB_CONV_ATTRIBUTES_H

#include <vector>

#include "host/host.h"
#include "spec/conv_shape.h"

namespace reluflow {

/// Reads the attributes of a convolution whose weights have `weight_shape`.
Status read_conv(const NodeInfo& info, const std::vector<int64_t>& weight_shape, ConvSpec* out);

}  // namespace reluflow

#endif
