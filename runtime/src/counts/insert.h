// Counting keys in the table of toolkit/reluflow/patterns/tables/table.py, whose memory is
// Python's.
#ifndef RELUFLOW_COUNTS_INSERT_H
#define RELUFLOW_COUNTS_INSERT_H

#include <cstdint>

namespace reluflow {

/// An open-addressing index over dense records (key 0, key 1, count, first sample).
struct CountTable {
  uint64_t* index;  ///< entries: tag << 32 | number of the record + 1; 0 where empty
  uint64_t slots;   ///< a power of two, at most 2^32
  uint64_t* records;
};

/// Keys to be counted; key i has the sample number first + i.
struct CountKeys {
  const uint64_t* keys;  ///< [n][2]
  uint64_t n;
  uint64_t first;
};

/// Counts keys from `begin` on until there are `most` records; moves both numbers.
void insert_keys(const CountTable& table, const CountKeys& keys, uint64_t most, uint64_t* used,
                 uint64_t* begin);

/// What one of several threads counts: the keys whose place lies in index[low .. high).
struct CountShare {
  uint64_t low;
  uint64_t high;
  uint64_t used;  ///< records of the table before all threads
  // Results:
  uint64_t base =
      0;  ///< number of the first new record: behind one for each key of lower stretches
  uint64_t fresh = 0;  ///< new records
  uint64_t left = 0;   ///< keys whose search left the stretch
};

/// Counts the share; `positions` [n + 1] is scratch and begins with those of the keys left.
void insert_share(const CountTable& table, const CountKeys& keys, uint32_t* positions,
                  CountShare* share);

}  // namespace reluflow

#endif
