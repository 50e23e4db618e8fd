#include "kernels/cpu.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace reluflow {

namespace {

bool always() { return true; }

#ifdef RELUFLOW_X86
bool has_avx2() { return __builtin_cpu_supports("avx2"); }

bool has_avx512vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

struct Choice {
  const char* name;
  bool (*supported)();
  const Kernels& (*table)();
};

// Best first. A table for ARM (sdot, or usdot of i8mm, for `fixed_tile` and `fixed_depthwise`)
// would stand before the portable one, beside a folder of its own: it starts from `common_kernels`,
// and quads of four bytes are laid out as these instructions take them, too.
const Choice kChoices[] = {
#ifdef RELUFLOW_X86
    {"avx512vnni", has_avx512vnni, avx512vnni_kernels},
    {"avx2", has_avx2, avx2_kernels},
#endif
    {"portable", always, portable_kernels},
};

}  // namespace

Status find_kernels(const char* name, const Kernels** out) {
  for (const Choice& choice : kChoices) {
    if (std::strcmp(choice.name, name) != 0) continue;
    if (!choice.supported()) {
      return Status("RELUFLOW_KERNEL is " + std::string(name) +
                    ", but this processor lacks it; give portable, or unset the variable.");
    }
    *out = &choice.table();
    return {};
  }
  return Status("RELUFLOW_KERNEL is " + std::string(name) +
                ", but portable, avx2 and avx512vnni are accepted; give one of them, or unset the "
                "variable.");
}

Status choose_kernels(const Kernels** out) {
  const char* forced = std::getenv("RELUFLOW_KERNEL");
  if (forced != nullptr && *forced != '\0') return find_kernels(forced, out);
  for (const Choice& choice : kChoices) {
    if (!choice.supported()) continue;
    *out = &choice.table();
    return {};
  }
  return Status("no kernels were built in; build the library again.");
}

}  // namespace reluflow
