// A host that is just enough of ONNX Runtime to load the library's operators and run them.
#ifndef RELUFLOW_FAKE_HOST_H
#define RELUFLOW_FAKE_HOST_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reluflow/operators.h"
#include "reluflow/ort_abi.h"

namespace fake {

struct Value {
  int type = 0;
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;
};

template <class T>
Value value(int type, std::vector<int64_t> dims, const std::vector<T>& data) {
  Value v{type, std::move(dims), {}};
  const uint8_t* from = reinterpret_cast<const uint8_t*>(data.data());
  v.bytes.assign(from, from + data.size() * sizeof(T));
  return v;
}

/// A node: attributes by name, inputs in order (null where left out), which of them are constant.
struct Node {
  std::map<std::string, int64_t> ints;
  std::map<std::string, float> floats;
  std::map<std::string, std::string> strings;
  std::map<std::string, std::vector<int64_t>> lists;
  std::vector<const Value*> inputs;
  std::vector<bool> constant;
};

/// The host: how new it is, and what the library registered.
struct Host {
  uint32_t newest_api = 32;
  bool is_threaded = true;  ///< whether work runs on a second thread too
  std::vector<const OrtCustomOp*> ops;

  /// The message of the library's refusal, or nothing.
  std::string load();
  /// Creates a kernel of the operator `name`, runs it, destroys it; the message of a refusal, or
  /// nothing.
  std::string run(const std::string& name, const Node& node, std::vector<Value>* outputs);
};

/// How many statuses and tensor infos are alive: 0 when nothing leaks.
int alive();

}  // namespace fake

#endif
