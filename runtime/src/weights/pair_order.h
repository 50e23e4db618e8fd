// The order in which a channel's weights stand in tiles: two per word, words in exact blocks.
//
// Which block a weight belongs to is defined by docs/psb-ops.md, "Sum". How the weights of a block
// are paired is free, since a block's sum is exact.
#ifndef RELUFLOW_WEIGHTS_PAIR_ORDER_H
#define RELUFLOW_WEIGHTS_PAIR_ORDER_H

#include <cstdint>
#include <vector>

#include "spec/conv_shape.h"

namespace reluflow {

/// The weights of one word, as numbers within their channel; -1 where there is none.
struct WeightPair {
  int64_t low;
  int64_t high;
};

struct PairOrder {
  std::vector<WeightPair> pairs;
  std::vector<int64_t> ends;  ///< where each block ends, in pairs
  /// The high half of an odd last channel's word: the pixel so many columns further on; 0: nothing.
  int64_t neighbour = 0;
};

/// Channels 2 c and 2 c + 1 share a word, an odd last one shares its words with nothing.
PairOrder channel_pairs(int64_t channels, int64_t taps);

/// The same, but two taps of a row share the words of an odd last channel.
PairOrder window_pairs(const ConvSpec& conv);

}  // namespace reluflow

#endif
