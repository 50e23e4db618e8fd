// Makes a descriptor of the C ABI from an operator written as two plain functions.
//
// An operator is a struct with
//   static constexpr const char* kName;
//   static constexpr Port kInputs[], kOutputs[];
//   static Status create(const NodeInfo&, std::unique_ptr<Op>*);
//   Status compute(Call&) const;
#ifndef RELUFLOW_HOST_OP_ADAPTER_H
#define RELUFLOW_HOST_OP_ADAPTER_H

#include <exception>
#include <iterator>
#include <memory>
#include <new>

#include "host/host.h"

namespace reluflow {

/// Type and kind of one input or output.
struct Port {
  int type;
  int kind;
};

/// What the host holds as a kernel: the operator and the host's table.
template <class Op>
struct Kernel {
  const OrtApi* api = nullptr;
  OrtMemoryInfo* memory = nullptr;
  std::unique_ptr<Op> op;

  ~Kernel() {
    if (memory) abi::get(api, abi::kReleaseMemoryInfo)(memory);
  }
};

/// Runs a function that returns a Status; no exception leaves it.
template <class Function>
Status guarded(Function&& function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Status("memory is missing for this operator; give a smaller batch.");
  } catch (const std::exception& error) {
    return Status(std::string("this operator failed unexpectedly: ") + error.what());
  } catch (...) {
    return Status("this operator failed unexpectedly.");
  }
}

template <class Op>
OrtStatus* create_kernel(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info,
                         void** out) {
  *out = nullptr;
  const Status status = guarded([&]() -> Status {
    auto kernel = std::make_unique<Kernel<Op>>();
    kernel->api = api;
    RELUFLOW_RETURN_IF_BAD(
        take_status(api, abi::get(api, abi::kCreateCpuMemoryInfo)(1, 0, &kernel->memory)));
    const Status made = Op::create(NodeInfo(api, info), &kernel->op);
    if (!made.ok()) return Status(std::string(Op::kName) + ": " + made.message());
    *out = kernel.release();
    return {};
  });
  return give_status(api, status);
}

template <class Op>
OrtStatus* compute(void* pointer, OrtKernelContext* context) {
  const Kernel<Op>& kernel = *static_cast<Kernel<Op>*>(pointer);
  const Status status = guarded([&]() -> Status {
    Call call(kernel.api, context, kernel.memory);
    const Status done = kernel.op->compute(call);
    return done.ok() ? Status() : Status(std::string(Op::kName) + ": " + done.message());
  });
  return give_status(kernel.api, status);
}

/// The descriptor of an operator.
template <class Op>
OrtCustomOp describe() {
  OrtCustomOp d{};
  d.version = abi::kApiVersion;
  d.GetName = [](const OrtCustomOp*) { return Op::kName; };
  d.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  d.GetInputType = [](const OrtCustomOp*, size_t i) { return Op::kInputs[i].type; };
  d.GetInputTypeCount = [](const OrtCustomOp*) { return std::size(Op::kInputs); };
  d.GetOutputType = [](const OrtCustomOp*, size_t i) { return Op::kOutputs[i].type; };
  d.GetOutputTypeCount = [](const OrtCustomOp*) { return std::size(Op::kOutputs); };
  d.KernelDestroy = [](void* kernel) { delete static_cast<Kernel<Op>*>(kernel); };
  d.GetInputCharacteristic = [](const OrtCustomOp*, size_t i) { return Op::kInputs[i].kind; };
  d.GetOutputCharacteristic = [](const OrtCustomOp*, size_t i) { return Op::kOutputs[i].kind; };
  d.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return 0; };
  d.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 0; };
  d.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
  d.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 0; };
  d.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
  d.CreateKernelV2 = create_kernel<Op>;
  d.KernelComputeV2 = compute<Op>;
  d.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  return d;
}

}  // namespace reluflow

#endif
