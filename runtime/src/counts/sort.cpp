#include "counts/sort.h"

#include <algorithm>
#include <vector>

namespace reluflow {

namespace {

constexpr uint64_t kBucketRecords =
    1024;  ///< wanted in a bucket: 32 KiB, so that it stays in cache
constexpr uint64_t kMostBuckets = 4096;
constexpr uint64_t kCrowd = 48;  ///< so many in one place are better sorted by comparing

/// A record on its way: the half of its key that nearly always decides, and where the rest is.
struct Place {
  uint64_t key0;
  uint64_t record;
};

/// Divides keys from `low` on into at most `wanted` parts, 2 or more, of a width of a power of two.
struct Division {
  uint64_t low;
  int shift;
  uint64_t places;

  Division(uint64_t low_, uint64_t high, uint64_t wanted) : low(low_), shift(0) {
    const uint64_t span = high - low;
    while (span >> shift >= wanted) ++shift;
    places = (span >> shift) + 1;
  }
  uint64_t of(uint64_t key0) const { return (key0 - low) >> shift; }
};

/// Turns counts of places into where each begins; returns the largest count.
uint64_t begin_places(std::vector<uint64_t>& counts) {
  uint64_t at = 0;
  uint64_t largest = 0;
  for (uint64_t& count : counts) {
    largest = std::max(largest, count);
    const uint64_t n = count;
    count = at;
    at += n;
  }
  return largest;
}

Division divide(const CountRecord* records, uint64_t n, uint64_t wanted) {
  uint64_t low = records[0].key0;
  uint64_t high = low;
  for (uint64_t i = 1; i < n; ++i) {
    low = std::min(low, records[i].key0);
    high = std::max(high, records[i].key0);
  }
  return Division(low, high, wanted);
}

/// Sorts one bucket after the other, with memory that they share.
class BucketSorter {
 public:
  void sort(CountRecord* records, uint64_t n) {
    if (n < 2) return;
    places_.resize(n);
    put_in_places(records, n);
    auto less = [records](const Place& a, const Place& b) {
      if (a.key0 != b.key0) return a.key0 < b.key0;
      return records[a.record].key1 < records[b.record].key1;
    };
    if (crowded_) {
      std::sort(places_.begin(), places_.end(), less);
    } else {
      insert_all(less);
    }
    copy_.assign(records, records + n);
    for (uint64_t i = 0; i < n; ++i) records[i] = copy_[places_[i].record];
  }

 private:
  /// Divides the bucket once more, into places of about one record.
  void put_in_places(const CountRecord* records, uint64_t n) {
    const Division division = divide(records, n, n);
    counts_.assign(division.places, 0);
    for (uint64_t i = 0; i < n; ++i) ++counts_[division.of(records[i].key0)];
    crowded_ = begin_places(counts_) > kCrowd;
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t key0 = records[i].key0;
      places_[counts_[division.of(key0)]++] = {key0, i};
    }
  }

  template <class Less>
  void insert_all(Less less) {
    for (size_t i = 1; i < places_.size(); ++i) {
      const Place moving = places_[i];
      size_t j = i;
      for (; j > 0 && less(moving, places_[j - 1]); --j) places_[j] = places_[j - 1];
      places_[j] = moving;
    }
  }

  std::vector<Place> places_;
  std::vector<uint64_t> counts_;
  std::vector<CountRecord> copy_;
  bool crowded_ = false;
};

}  // namespace

void sort_records(const CountRecord* records, uint64_t n, CountRecord* sorted) {
  if (n == 0) return;
  const uint64_t wanted = std::clamp<uint64_t>(n / kBucketRecords, 2, kMostBuckets);
  const Division division = divide(records, n, wanted);
  std::vector<uint64_t> ends(division.places, 0);
  for (uint64_t i = 0; i < n; ++i) ++ends[division.of(records[i].key0)];
  begin_places(ends);
  for (uint64_t i = 0; i < n; ++i) sorted[ends[division.of(records[i].key0)]++] = records[i];
  BucketSorter sorter;
  uint64_t begin = 0;
  for (const uint64_t end : ends) {
    sorter.sort(sorted + begin, end - begin);
    begin = end;
  }
}

}  // namespace reluflow
