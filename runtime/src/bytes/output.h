// What the operators on bytes give.
#ifndef RELUFLOW_BYTES_OUTPUT_H
#define RELUFLOW_BYTES_OUTPUT_H

#include "spec/fixed_format.h"

namespace reluflow {

/// Format and bounds of an output.
struct ByteOutput {
  FixedFormat format;
  int low = 0;
  int high = 255;
};

}  // namespace reluflow

#endif
