#include "weights/pair_order.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace reluflow {

namespace {

/// Ends a block after pair number `pair` of the contract if it is the last of one.
void end_block(int64_t pair, PairOrder* order) {
  if ((pair + 1) % kBlockPairs != 0) return;
  order->ends.push_back(static_cast<int64_t>(order->pairs.size()));
}

void close_last(PairOrder* order) {
  const int64_t size = static_cast<int64_t>(order->pairs.size());
  if (order->ends.empty() || order->ends.back() < size) order->ends.push_back(size);
}

/// Words of whole pairs of channels.
PairOrder whole_pairs(int64_t channels, int64_t taps) {
  PairOrder order;
  order.pairs.reserve(static_cast<size_t>((channels + 1) / 2 * taps));
  for (int64_t c = 0; c + 1 < channels; c += 2) {
    for (int64_t t = 0; t < taps; ++t) {
      order.pairs.push_back({c * taps + t, (c + 1) * taps + t});
      end_block(c / 2 * taps + t, &order);
    }
  }
  return order;
}

}  // namespace

PairOrder channel_pairs(int64_t channels, int64_t taps) {
  PairOrder order = whole_pairs(channels, taps);
  for (int64_t t = 0; channels % 2 && t < taps; ++t) {
    order.pairs.push_back({(channels - 1) * taps + t, -1});
    end_block(channels / 2 * taps + t, &order);
  }
  close_last(&order);
  return order;
}

PairOrder window_pairs(const ConvSpec& conv) {
  const int64_t taps = conv.taps();
  const int64_t width = conv.kernel[1];
  if (conv.group_inputs % 2 == 0 || width == 1) return channel_pairs(conv.group_inputs, taps);
  PairOrder order = whole_pairs(conv.group_inputs, taps);
  order.neighbour = conv.dilations[1];
  const int64_t first = conv.group_inputs / 2 * taps;  // the channel's first pair in the contract
  const int64_t weight = (conv.group_inputs - 1) * taps;
  for (int64_t t = 0; t < taps; ++t) {
    const bool row_goes_on = (t + 1) % width != 0;
    const bool block_goes_on = (first + t + 1) % kBlockPairs != 0;
    const bool both = row_goes_on && block_goes_on;
    order.pairs.push_back({weight + t, both ? weight + t + 1 : -1});
    t += both;
    end_block(first + t, &order);
  }
  close_last(&order);
  return order;
}

}  // namespace reluflow
