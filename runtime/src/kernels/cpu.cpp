#include "kernels/cpu.h"

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#if defined(RELUFLOW_AARCH64) && defined(__linux__)
#include <sys/auxv.h>
#endif

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

#ifdef RELUFLOW_AARCH64
#ifdef __linux__
// The bits of the kernel's interface, since an older C library does not name all of them.
constexpr unsigned long kHasDotProducts = 1ul << 20;  // in AT_HWCAP
constexpr unsigned long kHasMatrices = 1ul << 13;     // in AT_HWCAP2

bool has_dotprod() { return getauxval(AT_HWCAP) & kHasDotProducts; }

bool has_i8mm() { return has_dotprod() && (getauxval(AT_HWCAP2) & kHasMatrices); }
#else
bool has_dotprod() { return false; }  // other systems are asked in other ways

bool has_i8mm() { return false; }
#endif
#endif

struct Choice {
  const char* name;
  bool (*supported)();
  const Kernels& (*table)();
};

// Best first.
const Choice kChoices[] = {
#ifdef RELUFLOW_X86
    {"avx512vnni", has_avx512vnni, avx512vnni_kernels},
    {"avx2", has_avx2, avx2_kernels},
#endif
#ifdef RELUFLOW_AARCH64
    {"i8mm", has_i8mm, i8mm_kernels},
    {"dotprod", has_dotprod, dotprod_kernels},
    {"neon", always, neon_kernels},
#endif
    {"portable", always, portable_kernels},
};

/// "portable, avx2 and avx512vnni": all names, the plainest first.
std::string all_names() {
  std::string names;
  for (size_t i = std::size(kChoices); i-- > 0;) {
    if (!names.empty()) names += i == 0 ? " and " : ", ";
    names += kChoices[i].name;
  }
  return names;
}

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
  const bool one = std::size(kChoices) == 1;
  return Status("RELUFLOW_KERNEL is " + std::string(name) + ", but " + all_names() +
                (one ? " is accepted; give it" : " are accepted; give one of them") +
                ", or unset the variable.");
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
