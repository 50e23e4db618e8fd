// NEON, which every processor of 64-bit ARM has.
#include "kernels/kernels.h"
#include "kernels/neon/neon_table_body.h"

namespace reluflow {

const Kernels& neon_kernels() {
  static const Kernels table = neon_table<WideningDot>("neon");
  return table;
}

}  // namespace reluflow
