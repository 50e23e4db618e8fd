// Sorting the records of a table of counts.
#ifndef RELUFLOW_COUNTS_SORT_H
#define RELUFLOW_COUNTS_SORT_H

#include <cstdint>

namespace reluflow {

/// One record of a table of counts, as Python lays it out.
struct CountRecord {
  uint64_t key0;
  uint64_t key1;
  uint64_t count;
  uint64_t first;
};

/// Copies `n` records to `sorted`, in the order of their keys. Throws std::bad_alloc.
void sort_records(const CountRecord* records, uint64_t n, CountRecord* sorted);

}  // namespace reluflow

#endif
