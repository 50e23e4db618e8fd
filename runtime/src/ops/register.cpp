// The exported function. A new operator takes one line below.
#include "host/op_adapter.h"
#include "ops/fixed/fixed_average.h"
#include "ops/fixed/fixed_elementwise.h"
#include "ops/fixed/fixed_ends.h"
#include "ops/fixed/fixed_pool.h"
#include "ops/fixed/fixed_resize.h"
#include "ops/fixed16/fixed_conv16.h"
#include "ops/fixed16/fixed_ends16.h"
#include "ops/fixed16/fixed_pool16.h"
#include "ops/pattern_hash.h"
#include "ops/products/fixed_conv.h"
#include "ops/products/from_fixed_products.h"
#include "ops/psb/psb_conv.h"
#include "ops/psb/psb_matmul.h"
#include "ops/region/region_concat.h"

namespace reluflow {

namespace {

constexpr const char* kDomain = "ai.reluflow";

const OrtCustomOp* const* operators(size_t* count) {
  static const OrtCustomOp psb_conv = describe<PsbConv>();
  static const OrtCustomOp psb_matmul = describe<PsbMatMul>();
  static const OrtCustomOp pattern_hash = describe<PatternHash>();
  static const OrtCustomOp fixed_conv = describe<FixedConv>();
  static const OrtCustomOp from_fixed_conv = describe<FromFixedConv>();
  static const OrtCustomOp from_fixed_matmul = describe<FromFixedMatMul>();
  static const OrtCustomOp to_fixed = describe<ToFixed>();
  static const OrtCustomOp from_fixed = describe<FromFixed>();
  static const OrtCustomOp fixed_max_pool = describe<FixedMaxPool>();
  static const OrtCustomOp fixed_global_pool = describe<FixedGlobalPool>();
  static const OrtCustomOp fixed_average = describe<FixedAveragePool>();
  static const OrtCustomOp fixed_global_average = describe<FixedGlobalAveragePool>();
  static const OrtCustomOp fixed_add = describe<FixedAdd>();
  static const OrtCustomOp fixed_mul = describe<FixedMul>();
  static const OrtCustomOp fixed_table = describe<FixedTable>();
  static const OrtCustomOp fixed_resize = describe<FixedResize>();
  static const OrtCustomOp fixed_conv16 = describe<FixedConv16>();
  static const OrtCustomOp to_fixed16 = describe<ToFixed16>();
  static const OrtCustomOp from_fixed16 = describe<FromFixed16>();
  static const OrtCustomOp fixed_max_pool16 = describe<FixedMaxPool16>();
  static const OrtCustomOp fixed_global_pool16 = describe<FixedGlobalPool16>();
  static const OrtCustomOp fixed_resize16 = describe<FixedResize16>();
  static const OrtCustomOp region_concat = describe<RegionConcat<abi::kUint8>>();
  static const OrtCustomOp region_concat16 = describe<RegionConcat<abi::kInt16>>();
  static const OrtCustomOp* const all[] = {
      &psb_conv,          &psb_matmul,       &pattern_hash,
      &fixed_conv,        &from_fixed_conv,  &from_fixed_matmul,
      &to_fixed,          &from_fixed,       &fixed_max_pool,
      &fixed_global_pool, &fixed_average,    &fixed_global_average,
      &fixed_add,         &fixed_mul,        &fixed_resize,
      &fixed_table,       &fixed_conv16,     &to_fixed16,
      &from_fixed16,      &fixed_max_pool16, &fixed_global_pool16,
      &region_concat,     &region_concat16,  &fixed_resize16};
  *count = std::size(all);
  return all;
}

/// The domain with all operators. It lives as long as the process, as sessions hold on to it.
Status shared_domain(const OrtApi* api, OrtCustomOpDomain** out) {
  static OrtCustomOpDomain* domain = nullptr;
  static const Status made = [api] {
    RELUFLOW_RETURN_IF_BAD(
        take_status(api, abi::get(api, abi::kCreateCustomOpDomain)(kDomain, &domain)));
    size_t count = 0;
    const OrtCustomOp* const* ops = operators(&count);
    for (size_t i = 0; i < count; ++i) {
      RELUFLOW_RETURN_IF_BAD(
          take_status(api, abi::get(api, abi::kCustomOpDomainAdd)(domain, ops[i])));
    }
    return Status();
  }();
  *out = domain;
  return made;
}

OrtStatus* refuse_old_host(const OrtApiBase* base) {
  const OrtApi* oldest = base->GetApi(1);
  if (oldest == nullptr) return nullptr;
  const std::string message =
      std::string("reluflow needs ONNX Runtime 1.17 or newer, but this is ") +
      base->GetVersionString() + "; install a newer one.";
  return abi::get(oldest, abi::kCreateStatus)(abi::kNotImplemented, message.c_str());
}

}  // namespace

}  // namespace reluflow

#ifdef _WIN32
#define RELUFLOW_EXPORT __declspec(dllexport)
#else
#define RELUFLOW_EXPORT __attribute__((visibility("default")))
#endif

/// Called by ONNX Runtime after it has loaded the library.
extern "C" RELUFLOW_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                        const OrtApiBase* base) {
  using namespace reluflow;
  const OrtApi* api = base->GetApi(abi::kApiVersion);
  if (api == nullptr) return refuse_old_host(base);
  return give_status(api, guarded([&]() -> Status {
                       OrtCustomOpDomain* domain = nullptr;
                       RELUFLOW_RETURN_IF_BAD(shared_domain(api, &domain));
                       return take_status(api,
                                          abi::get(api, abi::kAddCustomOpDomain)(options, domain));
                     }));
}
