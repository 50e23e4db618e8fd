#include "spec/region.h"

#include <cstring>

namespace reluflow {

namespace {

constexpr int64_t kWord = 8;   // bytes of a mask that are looked at together
constexpr int64_t kWords = 4;  // words that are skipped together
constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

uint64_t word_at(const uint8_t* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Whether a byte of a word is not 0 or is 0, as `set` says.
bool has(uint64_t word, bool set) {
  return set ? word != 0 : ((word - kOnes) & ~word & kHighs) != 0;
}

/// The first byte from `at` on that is not 0 or is 0, as `set` says; else `end`.
int64_t next(const uint8_t* row, int64_t at, int64_t end, bool set) {
  for (; set && at + kWords * kWord <= end; at += kWords * kWord) {
    uint64_t any = 0;
    for (int64_t i = 0; i < kWords; ++i) any |= word_at(row + at + i * kWord);
    if (any != 0) break;
  }
  while (at + kWord <= end && !has(word_at(row + at), set)) at += kWord;
  while (at < end && (row[at] != 0) != set) ++at;
  return at;
}

}  // namespace

Region::Region(const uint8_t* mask, const PixelGrid& grid) : grid_(grid) {
  const uint8_t* line = mask;
  for (int64_t image = 0; image < grid.batch; ++image) {
    for (int64_t row = 0; row < grid.rows; ++row, line += grid.columns) {
      int64_t at = next(line, 0, grid.columns, true);
      while (at < grid.columns) {
        const int64_t end = next(line, at, grid.columns, false);
        add({image, row, at, end - at});
        at = next(line, end, grid.columns, true);
      }
    }
  }
}

void Region::add(PixelRun run) {
  count_ += run.length;
  // Of nearly equal size: a run of one pixel costs more than its share.
  int64_t parts = (run.length + kMostRun - 1) / kMostRun;
  for (int64_t left = run.length; left > 0; left -= run.length, --parts) {
    run.length = (left + parts - 1) / parts;
    runs_.push_back(run);
    run.column += run.length;
  }
}

std::vector<size_t> Region::pieces(int64_t pixels) const {
  std::vector<size_t> begins;
  int64_t held = pixels;
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (held >= pixels) {
      begins.push_back(i);
      held = 0;
    }
    held += runs_[i].length;
  }
  begins.push_back(runs_.size());
  return begins;
}

}  // namespace reluflow
