// The optional inputs `region` and `base`, the last ones of every operator that has pixels:
// docs/psb-ops.md, "Regions".
#ifndef RELUFLOW_OPS_REGION_REGION_INPUTS_H
#define RELUFLOW_OPS_REGION_REGION_INPUTS_H

#include <optional>
#include <vector>

#include "host/host.h"
#include "spec/region.h"

namespace reluflow {

/// Where the channels of an output stand.
enum class Channels { kFirst, kLast };

/// What the inputs are checked against.
struct RegionOutput {
  int type;  ///< of abi::ElementType
  Channels channels;
  const std::vector<int64_t>& dims;
};

/// What they say.
struct RegionInputs {
  std::optional<Region> region;  ///< nothing: all pixels are computed, also where all are given
  const void* base = nullptr;    ///< values of the others, or null: the host's buffer keeps its own
  size_t bytes = 0;              ///< of base

  /// The region, or null.
  const Region* pixels() const { return region ? &*region : nullptr; }
  /// Writes base to y, unless that is its memory. To be called before pixels are computed.
  void start(Runner& runner, void* y) const;
};

/// Reads `region` from input `index` and `base` from the next one.
Status open_region(Call& call, size_t index, const RegionOutput& y, RegionInputs* out);

/// The same where another input stands between them: `base` is number `base_index`.
Status open_region(Call& call, size_t index, size_t base_index, const RegionOutput& y,
                   RegionInputs* out);

}  // namespace reluflow

#endif
