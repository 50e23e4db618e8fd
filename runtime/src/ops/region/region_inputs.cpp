#include "ops/region/region_inputs.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/text.h"

namespace reluflow {

namespace {

constexpr size_t kLeastAxes = 2;             // of Y: inputs and channels
constexpr size_t kCopied = size_t{1} << 18;  // bytes that one item of work copies

size_t bytes_of(int type) {
  return type == abi::kFloat ? sizeof(float) : type == abi::kInt16 ? sizeof(int16_t) : 1;
}

/// The shape of a mask of Y's pixels.
std::vector<int64_t> pixel_dims(const RegionOutput& y) {
  std::vector<int64_t> dims = y.dims;
  if (y.channels == Channels::kFirst) {
    dims.erase(dims.begin() + 1);
  } else {
    dims.pop_back();
  }
  return dims;
}

PixelGrid grid_of(const std::vector<int64_t>& pixels) {
  PixelGrid grid{pixels[0], 1, 1};
  for (size_t i = 1; i < pixels.size(); ++i) {
    grid.rows *= grid.columns;
    grid.columns = pixels[i];
  }
  return grid;
}

/// Reads an input; without elements it stands for nothing.
Status read(Call& call, size_t index, std::optional<Tensor>* out) {
  RELUFLOW_RETURN_IF_BAD(call.input(index, out));
  if (*out && (*out)->count() == 0) out->reset();
  return {};
}

Status check_region(const Tensor& region, const std::vector<int64_t>& pixels) {
  if (region.type != abi::kBool && region.type != abi::kUint8) {
    return Status("region has element type " + std::to_string(region.type) +
                  ", but bool or uint8 is wanted; give a mask of Y's pixels.");
  }
  if (region.dims == pixels) return {};
  return Status("region has shape " + text_of(region.dims) + ", but " + text_of(pixels) +
                " is wanted; give a mask of Y's pixels.");
}

Status check_base(const Tensor& base, bool has_region, const RegionOutput& y) {
  if (base.dims != y.dims) {
    return Status("base has shape " + text_of(base.dims) + ", but that of Y, " + text_of(y.dims) +
                  ", is wanted; give the values of Y outside the region.");
  }
  if (has_region) return {};
  return Status("base has shape " + text_of(base.dims) +
                ", but there is no region; give a region, or no base.");
}

}  // namespace

Status open_region(Call& call, size_t index, const RegionOutput& y, RegionInputs* out) {
  return open_region(call, index, index + 1, y, out);
}

Status open_region(Call& call, size_t index, size_t base_index, const RegionOutput& y,
                   RegionInputs* out) {
  std::optional<Tensor> region;
  std::optional<Tensor> base;
  RELUFLOW_RETURN_IF_BAD(read(call, index, &region));
  RELUFLOW_RETURN_IF_BAD(read(call, base_index, &base));
  if (!region && !base) return {};
  if (y.dims.size() < kLeastAxes) {
    return Status("Y has shape " + text_of(y.dims) +
                  ", but a region wants an axis of inputs and one of channels; give no region.");
  }
  const std::vector<int64_t> pixels = pixel_dims(y);
  if (base) RELUFLOW_RETURN_IF_BAD(check_base(*base, region.has_value(), y));
  if (!region) return {};
  RELUFLOW_RETURN_IF_BAD(check_region(*region, pixels));
  const Region& given = out->region.emplace(region->as<const uint8_t>(), grid_of(pixels));
  if (given.count() == given.grid().count()) {
    out->region.reset();
    return {};
  }
  if (!base) return {};
  out->base = base->data;
  out->bytes = static_cast<size_t>(base->count()) * bytes_of(y.type);
  return {};
}

void RegionInputs::start(Runner& runner, void* y) const {
  if (base == nullptr || base == y) return;
  const auto* from = static_cast<const char*>(base);
  auto* to = static_cast<char*>(y);
  parallel_for(runner, (bytes + kCopied - 1) / kCopied, [&](size_t i) {
    const size_t at = i * kCopied;
    std::memcpy(to + at, from + at, std::min(kCopied, bytes - at));
  });
}

}  // namespace reluflow
