// The functions that other languages call: include/reluflow/calls.h.
#include "reluflow/calls.h"

#include <string>

#include "hash/hash.h"
#include "kernels/cpu.h"

namespace {

/// Keeps the sentence of a failed call for its caller.
const char* told(const reluflow::Status& status) {
  static thread_local std::string sentence;
  if (status.ok()) return nullptr;
  sentence = status.message();
  return sentence.c_str();
}

template <class T>
int64_t hash_as(const reluflow::Kernels& kernels, const ReluflowHash& h) {
  return reluflow::hash_range<T>(
      kernels, {static_cast<const T*>(h.x), h.units, h.inner, static_cast<T>(h.threshold), h.words,
                h.begin, h.end, h.keys, h.active});
}

}  // namespace

const char* reluflow_hash_v1(ReluflowHash* hash) try {
  const reluflow::Kernels* kernels = nullptr;
  const reluflow::Status found = reluflow::choose_kernels(&kernels);
  if (!found.ok()) return told(found);
  hash->nonfinite =
      hash->doubles ? hash_as<double>(*kernels, *hash) : hash_as<float>(*kernels, *hash);
  return nullptr;
} catch (...) {  // only a failed allocation throws
  return "memory is missing for a hash; give a smaller array.";
}
