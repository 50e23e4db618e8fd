// The functions that other languages call: include/reluflow/calls.h.
#include "reluflow/calls.h"

#include <cstring>
#include <string>

#include "counts/insert.h"
#include "counts/sort.h"
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

const char* reluflow_count_v1(ReluflowCount* tables, int64_t n) {
  for (ReluflowCount* t = tables; t != tables + n; ++t) {
    uint64_t used = static_cast<uint64_t>(t->used);
    uint64_t next = static_cast<uint64_t>(t->next);
    reluflow::insert_keys({t->index, static_cast<uint64_t>(t->slots), t->records},
                          {t->keys, static_cast<uint64_t>(t->n), static_cast<uint64_t>(t->first)},
                          static_cast<uint64_t>(t->most), &used, &next);
    t->used = static_cast<int64_t>(used);
    t->next = static_cast<int64_t>(next);
  }
  return nullptr;
}

const char* reluflow_count_share_v1(ReluflowCountShare* s) {
  reluflow::CountShare share{static_cast<uint64_t>(s->low), static_cast<uint64_t>(s->high),
                             static_cast<uint64_t>(s->used)};
  reluflow::insert_share({s->index, static_cast<uint64_t>(s->slots), s->records},
                         {s->keys, static_cast<uint64_t>(s->n), static_cast<uint64_t>(s->first)},
                         s->positions, &share);
  s->base = static_cast<int64_t>(share.base);
  s->fresh = static_cast<int64_t>(share.fresh);
  s->left = static_cast<int64_t>(share.left);
  return nullptr;
}

const char* reluflow_sort_counts_v1(const uint64_t* records, int64_t n, uint64_t* sorted) try {
  reluflow::sort_records(reinterpret_cast<const reluflow::CountRecord*>(records),
                         static_cast<uint64_t>(n),
                         reinterpret_cast<reluflow::CountRecord*>(sorted));
  return nullptr;
} catch (...) {  // nothing is thrown but by a failed allocation
  return "memory is missing to sort the counts; lower the memory limit of the counts.";
}

const char* reluflow_kernel_v1(char* name, int64_t size) try {
  const reluflow::Kernels* kernels = nullptr;
  const reluflow::Status status = reluflow::choose_kernels(&kernels);
  if (!status.ok()) return told(status);
  const std::string found = kernels->name;
  if (size <= static_cast<int64_t>(found.size())) return "name has too few bytes; give 16.";
  std::memcpy(name, found.c_str(), found.size() + 1);
  return nullptr;
} catch (...) {  // nothing is thrown but by a failed allocation
  return "memory is missing to name the kernels; free some.";
}
