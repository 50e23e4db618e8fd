// Attributes and shapes of the operators of a chain.
#ifndef RELUFLOW_OPS_FIXED_FIXED_ATTRIBUTES_H
#define RELUFLOW_OPS_FIXED_FIXED_ATTRIBUTES_H

#include <string>
#include <vector>

#include "host/host.h"
#include "spec/fixed_format.h"

namespace reluflow {

/// Reads `<name>_exponent` and `<name>_zero`.
Status read_format(const NodeInfo& info, const std::string& name, FixedFormat* out);

/// Reads a byte.
Status read_byte(const NodeInfo& info, const char* name, int* out);

/// The dimensions with the channels first of a tensor that has them last.
std::vector<int64_t> channels_first(const std::vector<int64_t>& dims);
std::vector<int64_t> channels_last(const std::vector<int64_t>& dims);

}  // namespace reluflow

#endif
