#include "ops/region/region_concat.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/text.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

constexpr size_t kFirst = 2;      // the first tensor among the inputs
constexpr size_t kMostParts = 8;  // tensors that are joined, at most
constexpr int64_t kPiece = 256;   // pixels that a thread takes at once, at least
constexpr char kNames[] = "ABCDEFGH";

/// A tensor that is joined.
struct Part {
  const char* data;
  size_t bytes;  ///< of the channels of a pixel
};

/// Reads the tensors that are given; `dims` become those of what they make.
Status read_parts(Call& call, std::vector<Tensor>* parts, std::vector<int64_t>* dims) {
  for (size_t i = 0; i < kMostParts; ++i) {
    std::optional<Tensor> part;
    RELUFLOW_RETURN_IF_BAD(call.input(kFirst + i, &part));
    const std::string name(1, kNames[i]);
    if (!part && i == 0) return Status("A is missing; give the tensors to be joined.");
    if (!part) continue;
    if (part->dims.size() < 2) {
      return Status(name + " has shape " + text_of(part->dims) +
                    ", but an axis of inputs and one of channels are wanted; give a tensor of at "
                    "least two axes.");
    }
    std::vector<int64_t> wanted = part->dims;
    if (!dims->empty()) {
      wanted = *dims;
      wanted.back() = part->dims.back();
      dims->back() += part->dims.back();
    } else {
      *dims = wanted;
    }
    if (part->dims != wanted) {
      return Status(name + " has shape " + text_of(part->dims) + " and A " +
                    text_of(parts->front().dims) +
                    ", but tensors that differ in their channels alone are wanted; give such "
                    "tensors.");
    }
    parts->push_back(std::move(*part));
  }
  return {};
}

/// Writes the channels of all parts for pixels [begin, end).
void join(const std::vector<Part>& parts, size_t pixel, int64_t begin, int64_t end, char* out) {
  char* to = out + static_cast<size_t>(begin) * pixel;
  for (const Part& part : parts) {
    const char* from = part.data + static_cast<size_t>(begin) * part.bytes;
    char* at = to;
    for (int64_t p = begin; p < end; ++p, at += pixel, from += part.bytes) {
      std::memcpy(at, from, part.bytes);
    }
    to += part.bytes;
  }
}

}  // namespace

template <int Type>
Status RegionConcat<Type>::create(const NodeInfo&, std::unique_ptr<RegionConcat>* out) {
  *out = std::make_unique<RegionConcat>();
  return {};
}

template <int Type>
Status RegionConcat<Type>::compute(Call& call) const {
  std::vector<Tensor> tensors;
  std::vector<int64_t> dims;
  RELUFLOW_RETURN_IF_BAD(read_parts(call, &tensors, &dims));
  RegionInputs inputs;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 0, {Type, Channels::kLast, dims}, &inputs));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  inputs.start(call, y);
  constexpr size_t kValue = Type == abi::kInt16 ? sizeof(int16_t) : 1;
  std::vector<Part> parts;
  for (const Tensor& t : tensors) {
    if (t.dims.back() == 0) continue;
    parts.push_back(
        {static_cast<const char*>(t.data), static_cast<size_t>(t.dims.back()) * kValue});
  }
  const size_t pixel = static_cast<size_t>(dims.back()) * kValue;
  if (pixel == 0) return {};
  auto* to = static_cast<char*>(y);
  if (const Region* region = inputs.pixels()) {
    for_each_run(call, *region, kPiece, [&](const PixelRun& run) {
      const int64_t begin = region->first(run);
      join(parts, pixel, begin, begin + run.length, to);
    });
    return {};
  }
  dims.pop_back();
  const int64_t pixels = product(dims).value();
  parallel_for(call, static_cast<size_t>((pixels + kPiece - 1) / kPiece), [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i) * kPiece;
    join(parts, pixel, begin, std::min(pixels, begin + kPiece), to);
  });
  return {};
}

template class RegionConcat<abi::kUint8>;
template class RegionConcat<abi::kInt16>;

}  // namespace reluflow
