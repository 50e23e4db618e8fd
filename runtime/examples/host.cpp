// Runs a PSB-converted model at four precisions with plain ONNX Runtime, in C++17.
//
//   host_cpp LIBONNXRUNTIME LIBRELUFLOW MODEL INPUT
// INPUT holds one input of the model as raw float32. Every line of the output is one run:
// the number of samples (0 is nearest mode), then the model's first output.
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort_host.h"

namespace {

/// An object of ONNX Runtime and the function that releases it.
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

/// Where a function of ONNX Runtime puts the object that it makes; lives for one call.
template <class T>
struct Out {
  explicit Out(Owned<T>& taker) : owner(taker) {}
  operator T**() { return &made; }
  ~Out() { owner.reset(made); }
  Owned<T>& owner;
  T* made = nullptr;
};

[[noreturn]] void fail(const std::string& doing, const std::string& reason) {
  throw std::runtime_error("cannot " + doing + ": " + reason);
}

class Host {
 public:
  Host(const OrtApi* api, const std::string& library, const std::string& model) : api_(api) {
    void* handle = nullptr;  // the library must outlive the session: never closed
    check(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "host_cpp", Out(env_)), "start");
    check(api->CreateSessionOptions(Out(options_)), "start");
    check(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, Out(memory_)), "start");
    check(api->RegisterCustomOpsLibrary(options_.get(), library.c_str(), &handle),
          "load the library '" + library + "'");
    check(api->CreateSession(env_.get(), model.c_str(), options_.get(), Out(session_)),
          "load the model '" + model + "'");
    input_ = name(api->SessionGetInputName);
    output_ = name(api->SessionGetOutputName);
    dims_ = input_shape();
  }

  /// Runs the model once and returns its first output, flat.
  std::vector<float> run(std::vector<float>& x, int64_t samples, int64_t seed) const {
    const auto in =
        tensor(x.data(), x.size() * sizeof(float), dims_, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
    const auto n = tensor(&samples, sizeof samples, {}, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
    const auto s = tensor(&seed, sizeof seed, {}, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
    const char* names[] = {input_.c_str(), "samples", "seed", output_.c_str()};
    const OrtValue* inputs[] = {in.get(), n.get(), s.get()};
    Owned<OrtValue> y{nullptr, api_->ReleaseValue};
    check(api_->Run(session_.get(), nullptr, names, inputs, 3, names + 3, 1, Out(y)),
          "compute with " + std::to_string(samples) + " samples");
    Owned<OrtTensorTypeAndShapeInfo> info{nullptr, api_->ReleaseTensorTypeAndShapeInfo};
    size_t count = 0;
    float* data = nullptr;
    check(api_->GetTensorTypeAndShape(y.get(), Out(info)), "read the output");
    check(api_->GetTensorShapeElementCount(info.get(), &count), "read the output");
    check(api_->GetTensorMutableData(y.get(), reinterpret_cast<void**>(&data)), "read the output");
    return {data, data + count};
  }

  /// Reads one input of the model from a file of raw float32.
  std::vector<float> read(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    size_t count = 1;
    for (int64_t d : dims_) count *= static_cast<size_t>(d);
    const auto n_bytes = static_cast<std::streamsize>(count * sizeof(float));
    std::vector<float> x(count + 1);  // one more, to detect a longer file
    file.read(reinterpret_cast<char*>(x.data()), n_bytes + 1);
    if (file.gcount() != n_bytes) fail("read '" + path + "'", "it is no file of one float32 input");
    x.resize(count);
    return x;
  }

 private:
  void check(OrtStatus* status, const std::string& doing) const {
    const Owned<OrtStatus> owned{status, api_->ReleaseStatus};
    if (status != nullptr) fail(doing, api_->GetErrorMessage(status));
  }

  std::string name(decltype(OrtApi::SessionGetInputName) get) const {
    OrtAllocator* allocator = nullptr;  // ONNX Runtime's own, not released
    char* text = nullptr;
    check(api_->GetAllocatorWithDefaultOptions(&allocator), "read a name");
    check(get(session_.get(), 0, allocator, &text), "read a name");
    const auto free = [&](char* name) {
      api_->ReleaseStatus(api_->AllocatorFree(allocator, name));
    };
    return std::unique_ptr<char, decltype(free)>(text, free).get();
  }

  std::vector<int64_t> input_shape() const {
    Owned<OrtTypeInfo> type{nullptr, api_->ReleaseTypeInfo};
    const OrtTensorTypeAndShapeInfo* info = nullptr;  // belongs to the type
    size_t rank = 0;
    check(api_->SessionGetInputTypeInfo(session_.get(), 0, Out(type)), "read the input's shape");
    check(api_->CastTypeInfoToTensorInfo(type.get(), &info), "read the input's shape");
    if (info == nullptr) fail("read the input's shape", "it is no tensor");
    check(api_->GetDimensionsCount(info, &rank), "read the input's shape");
    std::vector<int64_t> dims(rank);
    check(api_->GetDimensions(info, dims.data(), rank), "read the input's shape");
    for (int64_t& d : dims) d = d < 0 ? 1 : d;  // a free dimension, such as the batch
    return dims;
  }

  Owned<OrtValue> tensor(void* data, size_t n_bytes, const std::vector<int64_t>& dims,
                         ONNXTensorElementDataType type) const {
    Owned<OrtValue> value{nullptr, api_->ReleaseValue};
    check(api_->CreateTensorWithDataAsOrtValue(memory_.get(), data, n_bytes, dims.data(),
                                               dims.size(), type, Out(value)),
          "make an input");
    return value;
  }

  const OrtApi* api_;
  Owned<OrtEnv> env_{nullptr, api_->ReleaseEnv};
  Owned<OrtSessionOptions> options_{nullptr, api_->ReleaseSessionOptions};
  Owned<OrtMemoryInfo> memory_{nullptr, api_->ReleaseMemoryInfo};
  Owned<OrtSession> session_{nullptr, api_->ReleaseSession};
  std::string input_, output_;  // names
  std::vector<int64_t> dims_;
};
}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) fail("start", "give LIBONNXRUNTIME LIBRELUFLOW MODEL INPUT");
  const char* reason = "";
  const OrtApi* api = host_open(argv[1], &reason);
  if (api == nullptr) fail("load ONNX Runtime '" + std::string(argv[1]) + "'", reason);
  const Host host(api, argv[2], argv[3]);
  std::vector<float> x = host.read(argv[4]);
  for (int64_t samples : {1, 4, 16, 0}) {
    const std::vector<float> values = host.run(x, samples, 7);
    std::printf("samples %d:", static_cast<int>(samples));
    for (float y : values) std::printf(" %.9g", y);  // nine digits identify any float32
    std::putchar('\n');
  }
} catch (const std::exception& error) {
  std::string line = error.what();
  for (char& c : line) c = c == '\n' ? ' ' : c;
  while (line.back() == '.' || line.back() == ' ') line.pop_back();
  std::fprintf(stderr, "host_cpp: %s.\n", line.c_str());
  return 2;
}
