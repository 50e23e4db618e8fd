// Nodes with any attributes, inputs and shapes, through the C ABI: refused in a sentence, or run.
#include <string>

#include "fuzz/bytes.h"
#include "support/fake_host.h"

namespace {

namespace abi = reluflow::abi;

constexpr const char* kInts[] = {
    "p_bits", "x_bits", "y_bits",    "x_exponent", "y_exponent",       "z_exponent", "group",
    "stream", "units",  "unit_axis", "block",      "fills_quads",      "x_zero",     "y_zero",
    "z_zero", "seed",   "y_min",     "y_max",      "count_include_pad"};
constexpr const char* kFloats[] = {"clip_min", "clip_max", "threshold"};
constexpr const char* kStrings[] = {"activation", "auto_pad", "sampler",    "rounding",
                                    "draws",      "product",  "coordinates"};
constexpr const char* kLists[] = {"weight_shape", "kernel_shape", "pads", "strides", "dilations"};
constexpr const char* kTexts[] = {"relu",       "clip",    "none",       "NOTSET",   "SAME_UPPER",
                                  "SAME_LOWER", "VALID",   "systematic", "binomial", "nearest",
                                  "half",       "carried", "run",        "product",  "default",
                                  "",           "\xff"};
constexpr int kTypes[] = {abi::kFloat, abi::kUint8, abi::kInt8, abi::kInt64, abi::kInt16};
constexpr size_t kMostElements = 1 << 12;
constexpr size_t kUsualElements = 1 << 8;

size_t bytes_of(int type) {
  if (type == abi::kFloat) return 4;
  if (type == abi::kInt64) return 8;
  return type == abi::kInt16 ? 2 : 1;
}

void add_attributes(fuzz::Bytes& bytes, fake::Node* node) {
  const int64_t count = bytes.range(0, 12);
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t kind = bytes.byte();
    const char* int_name = bytes.pick(kInts);
    if (kind % 8 < 3) {
      node->ints[int_name] = bytes.size() - (kind & 128 ? 4 : 0);
    } else if (kind % 8 < 4) {
      node->floats[bytes.pick(kFloats)] = bytes.number<float>();
    } else if (kind % 8 < 5) {
      node->strings[bytes.pick(kStrings)] = bytes.pick(kTexts);
    } else if (kind % 8 < 7) {
      std::vector<int64_t>& list = node->lists[bytes.pick(kLists)];
      list.resize(static_cast<size_t>(bytes.range(0, 5)));
      for (int64_t& each : list) each = bytes.size();
    } else {  // of a type that nobody asked for
      node->strings[int_name] = bytes.pick(kTexts);
    }
  }
}

/// A tensor of the type that the operator declares, as hosts see to it before they load a graph.
/// Sizes come from a few numbers that all tensors of the node share, so that they may fit.
fake::Value tensor(fuzz::Bytes& bytes, const std::vector<int64_t>& sizes, int declared,
                   size_t most) {
  fake::Value value;
  value.type = declared == abi::kUndefined ? bytes.pick(kTypes) : declared;
  size_t count = 1;
  const int64_t rank = bytes.range(0, 5);
  for (int64_t i = 0; i < rank; ++i) {
    int64_t size = sizes[bytes.byte() % sizes.size()];
    if (size < 0 || static_cast<size_t>(size) * count > most) size = 1;
    value.dims.push_back(size);
    count *= static_cast<size_t>(size);
  }
  value.bytes = bytes.fill(count * bytes_of(value.type));
  return value;
}

/// Lets `weight_shape` and the planes of the second input fit, as in a converted model.
void fit_planes(fuzz::Bytes& bytes, fake::Node* node, std::vector<fake::Value>* values) {
  std::vector<int64_t>& shape = node->lists["weight_shape"];
  shape.assign(bytes.flag() ? 4 : 2, 1);
  int64_t count = 1;
  for (int64_t& each : shape) count *= each = bytes.range(1, 5);
  constexpr int64_t kBits[] = {1, 2, 3, 4, 6, 8, 16};
  const int64_t p_bits = node->ints["p_bits"] = bytes.pick(kBits);
  fake::Value& planes = (*values)[1];
  if (planes.type != abi::kUint8) return;
  planes.dims = {p_bits + 5, (count + 7) / 8};
  planes.bytes = bytes.fill(static_cast<size_t>(planes.dims[0] * planes.dims[1]));
  if (count % 8) {
    for (int64_t row = 0; row < planes.dims[0]; ++row)
      planes.bytes[static_cast<size_t>((row + 1) * planes.dims[1] - 1)] &=
          static_cast<uint8_t>((1 << count % 8) - 1);
  }
  fake::Value& emax = (*values)[2];
  if (emax.type != abi::kInt8) return;
  emax.dims = {shape[0]};
  emax.bytes.assign(static_cast<size_t>(shape[0]), static_cast<uint8_t>(bytes.range(0, 3)));
  fake::Value& x = (*values)[0];
  if (shape.size() == 4) {
    x.dims = {bytes.range(0, 2), shape[1], bytes.range(0, 7), bytes.range(0, 7)};
  } else {
    x.dims = {bytes.range(0, 4), shape[1]};
  }
  size_t elements = 1;
  for (const int64_t each : x.dims) elements *= static_cast<size_t>(each);
  x.bytes = bytes.fill(elements * bytes_of(x.type));
}

fake::Host& host() {
  static fake::Host instance;
  static const std::string refusal = instance.load();
  instance.is_threaded = false;
  fuzz::require(refusal.empty(), "the library loads");
  return instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  const OrtCustomOp* op = host().ops[bytes.byte() % host().ops.size()];
  fake::Node node;
  add_attributes(bytes, &node);
  std::vector<int64_t> sizes(4);
  for (int64_t& each : sizes) each = bytes.range(0, 16);
  std::vector<fake::Value> values;
  const size_t most = bytes.byte() % 16 == 0 ? kMostElements : kUsualElements;
  const int64_t count = bytes.range(1, static_cast<int64_t>(op->GetInputTypeCount(op)));
  values.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values.push_back(tensor(bytes, sizes, op->GetInputType(op, static_cast<size_t>(i)), most));
  if (count > 2 && bytes.byte() % 2) fit_planes(bytes, &node, &values);
  const uint32_t absent = bytes.byte(), constant = bytes.byte();
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_absent = (absent >> i & 1u) != 0;
    node.inputs.push_back(is_absent ? nullptr : &values[i]);
    node.constant.push_back(!is_absent && (constant >> i & 1u) != 0);
  }
  std::vector<fake::Value> outputs;
  host().run(op->GetName(op), node, &outputs);
  fuzz::require(fake::alive() == 0, "nothing of the host is left behind");
  return 0;
}
