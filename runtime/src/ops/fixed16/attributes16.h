// Attributes and shapes of the operators of a chain of 16 bits.
#ifndef RELUFLOW_OPS_FIXED16_ATTRIBUTES16_H
#define RELUFLOW_OPS_FIXED16_ATTRIBUTES16_H

#include <vector>

#include "host/host.h"
#include "ops/fixed/fixed_attributes.h"

namespace reluflow {

/// Reads an exponent, -100 to 100.
Status read_exponent(const NodeInfo& info, const char* name, int* out);

/// Reads a bound of values, -32767 to 32767.
Status read_bound(const NodeInfo& info, const char* name, int* out);

/// Opens input X, int16 with the channels last, of a batch, at least `spatial` spatial axes and
/// channels.
Status open_x16(Call& call, size_t spatial, Tensor* out);

}  // namespace reluflow

#endif
