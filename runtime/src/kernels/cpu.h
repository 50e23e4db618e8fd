// Which table of kernels this process uses.
#ifndef RELUFLOW_KERNELS_CPU_H
#define RELUFLOW_KERNELS_CPU_H

#include "base/status.h"
#include "kernels/kernels.h"

namespace reluflow {

/// The best table this processor can run, or the one that RELUFLOW_KERNEL names.
Status choose_kernels(const Kernels** out);

/// The table called `name`, or a sentence when it is unknown or this processor lacks it.
Status find_kernels(const char* name, const Kernels** out);

}  // namespace reluflow

#endif
