/* A program that links the native library, in C99.
 *
 *   linked                         prints the version, the operators, and the hash of two samples
 *   linked LIBONNXRUNTIME MODEL    opens a converted model: the operators come from the program
 *
 * A program that links ONNX Runtime too calls OrtGetApiBase() instead of host_base(). */
#include <stdio.h>

#include "../ort_host.h"
#include "reluflow/calls.h"
#include "reluflow/operators.h"

enum { FAILED = 2 };

#define PRINT_OPERATOR(name, version) printf("%s %s %d\n", RELUFLOW_DOMAIN, #name, version);

/* Hashes two samples of three units, of which some are active. */
static int print_hashes(void) {
  static const float x[6] = {1, -1, 0, 2, 3, -2}; /* [1, 3 units, 2 samples] */
  static const uint64_t words[6] = {1, 2, 4, 8, 16, 32};
  uint64_t keys[4] = {0};
  int64_t active[3] = {0};
  ReluflowHash hash = {0};
  const char* reason = NULL;
  hash.x = x;
  hash.units = 3;
  hash.inner = 2;
  hash.words = words;
  hash.end = 2;
  hash.keys = keys;
  hash.active = active;
  reason = reluflow_hash_v1(&hash);
  if (reason != NULL) {
    fprintf(stderr, "linked: cannot hash: %s\n", reason);
    return FAILED;
  }
  for (int i = 0; i < 2; ++i) {
    printf("sample %d: %d %d\n", i, (int)keys[2 * i], (int)keys[2 * i + 1]);
  }
  return 0;
}

/* Returns whether a call failed; prints why. */
static int failed(const OrtApi* api, OrtStatus* status, const char* doing) {
  if (status == NULL) return 0;
  fprintf(stderr, "linked: cannot %s: %s\n", doing, api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return 1;
}

static int open_model(const char* runtime, const char* model) {
  const char* reason = "";
  const OrtApiBase* base = host_base(runtime, &reason);
  const OrtApi* api = base == NULL ? NULL : host_api(base, &reason);
  OrtEnv* env = NULL;
  OrtSessionOptions* options = NULL;
  OrtSession* session = NULL;
  int bad = 0;
  if (api == NULL) {
    fprintf(stderr, "linked: cannot load ONNX Runtime '%s': %s\n", runtime, reason);
    return FAILED;
  }
  bad = failed(api, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "linked", &env), "start") ||
        failed(api, api->CreateSessionOptions(&options), "start") ||
        failed(api, RegisterCustomOps(options, base), "add the operators") ||
        failed(api, api->CreateSession(env, model, options, &session), "load the model");
  if (!bad) printf("%s opens\n", model);
  if (session != NULL) api->ReleaseSession(session);
  if (options != NULL) api->ReleaseSessionOptions(options);
  if (env != NULL) api->ReleaseEnv(env);
  return bad ? FAILED : 0;
}

int main(int argc, char** argv) {
  if (argc == 3) return open_model(argv[1], argv[2]);
  if (argc != 1) {
    fprintf(stderr, "linked: cannot start: give nothing, or LIBONNXRUNTIME MODEL.\n");
    return FAILED;
  }
  printf("reluflow %s\n", RELUFLOW_VERSION);
  RELUFLOW_OPERATORS(PRINT_OPERATOR)
  return print_hashes();
}
