#include "counts/insert.h"

#include <algorithm>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace reluflow {

namespace {

constexpr uint64_t kAhead = 32;   ///< keys whose line of the index is fetched ahead
constexpr uint64_t kNearer = 16;  ///< and whose record is; a cache miss takes about 16 keys
constexpr uint64_t kNumber = 0xffffffffu;
constexpr uint64_t kLargeSlots = uint64_t{1} << 18;  ///< whose records (5 MB) do not stay in cache

/// 32 bits of the hash of a key; the first ones tell its place in the index.
inline uint64_t tag_of(const uint64_t* key) {
  const uint64_t rotated = key[1] << 32 | key[1] >> 32;
  const uint64_t z = (key[0] ^ rotated) * 0x9e3779b97f4a7c15u;
  return (z ^ z << 29) >> 32;
}

inline int home_shift(uint64_t slots) { return 32 - __builtin_ctzll(slots); }

inline void write_record(uint64_t* record, const uint64_t* key, uint64_t first) {
  record[0] = key[0];
  record[1] = key[1];
  record[2] = 1;
  record[3] = first;
}

/// Writes a record past the caches: a new one is not read soon, and its line is not read first.
inline void write_past(uint64_t* record, const uint64_t* key, uint64_t first) {
#ifdef __SSE2__
  auto* to = reinterpret_cast<__m128i*>(record);
  if (reinterpret_cast<uintptr_t>(record) % sizeof(__m128i) == 0) {
    _mm_stream_si128(to, _mm_loadu_si128(reinterpret_cast<const __m128i*>(key)));
    _mm_stream_si128(to + 1, _mm_set_epi64x(static_cast<int64_t>(first), 1));
    return;
  }
#endif
  write_record(record, key, first);
}

/// Writes past the caches come into no order by themselves; another thread may read them next.
inline void finish_writes() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

/// What a search needs to know of its table.
struct Search {
  uint64_t* index;
  uint64_t* records;
  uint64_t end;   ///< a search stops here ..
  uint64_t mask;  ///< .. or goes on at the front, where `end` is out of its reach
  int shift;
  bool large;

  void fetch_entry(uint64_t tag) const { __builtin_prefetch(index + (tag >> shift), 1); }

  void fetch_record(uint64_t tag) const {
    const uint64_t entry = index[tag >> shift];
    if (entry >> 32 == tag && entry != 0) {
      __builtin_prefetch(records + 4 * ((entry & kNumber) - 1), 1);
    }
  }

  /// Counts one key; false when its search came to `end`. `fresh` is the number of a new record.
  bool count(const uint64_t* key, uint64_t tag, uint64_t first, uint64_t* fresh) const {
    for (uint64_t i = tag >> shift; i != end; i = (i + 1) & mask) {
      const uint64_t entry = index[i];
      if (entry == 0) {
        uint64_t* record = records + 4 * *fresh;
        large ? write_past(record, key, first) : write_record(record, key, first);
        index[i] = tag << 32 | ++*fresh;
        return true;
      }
      if (entry >> 32 != tag) continue;
      uint64_t* record = records + 4 * ((entry & kNumber) - 1);
      if (record[0] == key[0] && record[1] == key[1]) {
        ++record[2];
        record[3] = std::min(record[3], first);
        return true;
      }
    }
    return false;
  }
};

/// The tags of the next keys, in a ring; `Position` maps the number of a key to its place.
template <class Position>
class Tags {
 public:
  Tags(const Search& search, const uint64_t* keys, uint64_t begin, uint64_t end, Position position)
      : search_(search), keys_(keys), end_(end), position_(position) {
    for (uint64_t i = begin; i < std::min(end, begin + kAhead); ++i) look_at(i);
  }

  /// The tag of key i, while the lines of later ones are on their way.
  uint64_t take(uint64_t i) {
    const uint64_t tag = ring_[i % kAhead];
    if (i + kAhead < end_) look_at(i + kAhead);
    if (i + kNearer < end_) search_.fetch_record(ring_[(i + kNearer) % kAhead]);
    return tag;
  }

 private:
  void look_at(uint64_t i) {
    const uint64_t tag = tag_of(keys_ + 2 * position_(i));
    ring_[i % kAhead] = tag;
    search_.fetch_entry(tag);
  }

  const Search& search_;
  const uint64_t* keys_;
  uint64_t end_;
  Position position_;
  uint64_t ring_[kAhead];
};

}  // namespace

void insert_keys(const CountTable& table, const CountKeys& keys, uint64_t most, uint64_t* used,
                 uint64_t* begin) {
  const Search search{table.index,     table.records,           table.slots,
                      table.slots - 1, home_shift(table.slots), table.slots >= kLargeSlots};
  auto same = [](uint64_t i) { return i; };
  uint64_t i = *begin;
  uint64_t fresh = *used;
  Tags<decltype(same)> tags(search, keys.keys, i, keys.n, same);
  for (; i < keys.n && fresh < most; ++i) {
    const uint64_t tag = tags.take(i);
    search.count(keys.keys + 2 * i, tag, keys.first + i, &fresh);
  }
  *used = fresh;
  *begin = i;
  finish_writes();
}

void insert_share(const CountTable& table, const CountKeys& keys, uint32_t* positions,
                  CountShare* share) {
  const int shift = home_shift(table.slots);
  const uint64_t low = share->low << shift;
  const uint64_t width = (share->high - share->low) << shift;
  uint64_t own = 0;
  uint64_t before = 0;
  for (uint64_t p = 0; p < keys.n; ++p) {
    const uint64_t tag = tag_of(keys.keys + 2 * p);
    positions[own] = static_cast<uint32_t>(p);
    own += tag - low < width;
    before += tag < low;
  }
  const Search search{table.index,  table.records, share->high,
                      ~uint64_t{0}, shift,         table.slots >= kLargeSlots};
  auto mine = [positions](uint64_t i) { return positions[i]; };
  share->base = share->used + before;
  uint64_t fresh = share->base;
  uint64_t left = 0;
  Tags<decltype(mine)> tags(search, keys.keys, 0, own, mine);
  for (uint64_t i = 0; i < own; ++i) {
    const uint32_t p = positions[i];
    const uint64_t tag = tags.take(i);
    if (!search.count(keys.keys + 2 * uint64_t{p}, tag, keys.first + p, &fresh)) {
      positions[left++] = p;  // never behind i
    }
  }
  share->fresh = fresh - share->base;
  share->left = left;
  finish_writes();
}

}  // namespace reluflow
