/* Runs a PSB-converted model at four precisions with plain ONNX Runtime, in C99.
 *
 *   host_c LIBONNXRUNTIME LIBRELUFLOW MODEL INPUT
 *
 * INPUT holds one input of the model as raw float32. Every line of the output is one run:
 * the number of samples (0 is nearest mode), then the model's first output. */
#include <stdio.h>
#include <stdlib.h>

#include "ort_host.h"

enum { FAILED = 2, MAX_RANK = 8 };

typedef struct {
  const OrtApi* api;
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtMemoryInfo* memory;
  OrtAllocator* allocator; /* ONNX Runtime's own, not released */
  OrtTypeInfo* type;
  char *input, *output; /* names */
  int64_t dims[MAX_RANK];
  size_t rank, count;
  float* x;
} Host;

/* Prints one sentence, whatever line ends and full stops the reason has. */
static int complain(const char* doing, const char* what, const char* reason) {
  size_t length = strlen(reason), i;
  while (length > 0 && strchr(".\n ", reason[length - 1]) != NULL) --length;
  fprintf(stderr, "host_c: cannot %s '%s': ", doing, what);
  for (i = 0; i < length; ++i) fputc(reason[i] == '\n' ? ' ' : reason[i], stderr);
  fputs(".\n", stderr);
  return FAILED;
}

/* Returns whether a call failed; prints why. */
static int failed(const Host* host, OrtStatus* status, const char* doing, const char* what) {
  if (status == NULL) return 0;
  complain(doing, what, host->api->GetErrorMessage(status));
  host->api->ReleaseStatus(status);
  return 1;
}

#define TRY(call, doing, what)                                     \
  do {                                                             \
    if (failed(host, host->api->call, doing, what)) return FAILED; \
  } while (0)

static int open_model(Host* host, const char* library, const char* model) {
  void* handle = NULL; /* the library must outlive the session: never closed */
  TRY(CreateEnv(ORT_LOGGING_LEVEL_FATAL, "host_c", &host->env), "start", "ONNX Runtime");
  TRY(CreateSessionOptions(&host->options), "start", "ONNX Runtime");
  TRY(RegisterCustomOpsLibrary(host->options, library, &handle), "load the library", library);
  TRY(CreateSession(host->env, model, host->options, &host->session), "load the model", model);
  TRY(CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &host->memory), "open", model);
  TRY(GetAllocatorWithDefaultOptions(&host->allocator), "open", model);
  TRY(SessionGetInputName(host->session, 0, host->allocator, &host->input), "open", model);
  TRY(SessionGetOutputName(host->session, 0, host->allocator, &host->output), "open", model);
  return 0;
}

/* Reads the input's shape from the model and its values from the file. */
static int read_input(Host* host, const char* path) {
  const OrtTensorTypeAndShapeInfo* info = NULL; /* belongs to the type */
  FILE* file = NULL;
  size_t i, got;
  TRY(SessionGetInputTypeInfo(host->session, 0, &host->type), "read the shape of", host->input);
  TRY(CastTypeInfoToTensorInfo(host->type, &info), "read the shape of", host->input);
  if (info == NULL) return complain("feed", host->input, "it is no tensor");
  TRY(GetDimensionsCount(info, &host->rank), "read the shape of", host->input);
  if (host->rank > MAX_RANK) return complain("feed", host->input, "its rank is above 8");
  TRY(GetDimensions(info, host->dims, host->rank), "read the shape of", host->input);
  host->count = 1;
  for (i = 0; i < host->rank; ++i) {
    if (host->dims[i] < 0) host->dims[i] = 1; /* a free dimension, such as the batch */
    host->count *= (size_t)host->dims[i];
  }
  host->x = malloc((host->count + 1) * sizeof(float)); /* one more, to notice a longer file */
  if (host->x == NULL) return complain("feed", host->input, "there is no memory for it");
  file = fopen(path, "rb");
  got = file == NULL ? 0 : fread(host->x, sizeof(float), host->count + 1, file);
  if (file != NULL) fclose(file);
  if (got != host->count) return complain("read", path, "it is no file of one float32 input");
  return 0;
}

static int print_output(const Host* host, int64_t samples, OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info = NULL;
  OrtStatus* status;
  float* y = NULL;
  size_t count = 0, i;
  TRY(GetTensorTypeAndShape(value, &info), "read", host->output);
  status = host->api->GetTensorShapeElementCount(info, &count);
  host->api->ReleaseTensorTypeAndShapeInfo(info);
  if (failed(host, status, "read", host->output)) return FAILED;
  TRY(GetTensorMutableData(value, (void**)&y), "read", host->output);
  printf("samples %d:", (int)samples);
  for (i = 0; i < count; ++i) printf(" %.9g", y[i]); /* nine digits tell float32 apart */
  putchar('\n');
  return 0;
}

/* Runs the model once; in[] and out are the caller's to release, whatever happens. */
static int run(Host* host, int64_t samples, int64_t seed, OrtValue* in[3], OrtValue** out) {
  const char* names[3] = {host->input, "samples", "seed"};
  const char* output = host->output;
  TRY(CreateTensorWithDataAsOrtValue(host->memory, host->x, host->count * sizeof(float), host->dims,
                                     host->rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in[0]),
      "feed", names[0]);
  TRY(CreateTensorWithDataAsOrtValue(host->memory, &samples, sizeof samples, NULL, 0,
                                     ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &in[1]),
      "feed", names[1]);
  TRY(CreateTensorWithDataAsOrtValue(host->memory, &seed, sizeof seed, NULL, 0,
                                     ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &in[2]),
      "feed", names[2]);
  TRY(Run(host->session, NULL, names, (const OrtValue* const*)in, 3, &output, 1, out), "compute",
      output);
  return print_output(host, samples, *out);
}

static void release_name(const Host* host, char* name) {
  if (name == NULL) return;
  host->api->ReleaseStatus(host->api->AllocatorFree(host->allocator, name));
}

static void close_host(Host* host) {
  release_name(host, host->input);
  release_name(host, host->output);
  host->api->ReleaseTypeInfo(host->type); /* releasing NULL does nothing */
  host->api->ReleaseMemoryInfo(host->memory);
  host->api->ReleaseSession(host->session);
  host->api->ReleaseSessionOptions(host->options);
  host->api->ReleaseEnv(host->env);
  free(host->x);
}

int main(int argc, char** argv) {
  static const int64_t precisions[] = {1, 4, 16, 0};
  const char* reason = "";
  Host host = {0};
  int code, i, j;
  if (argc != 5) return complain("start", argv[0], "give LIBONNXRUNTIME LIBRELUFLOW MODEL INPUT");
  host.api = host_open(argv[1], &reason);
  if (host.api == NULL) return complain("load ONNX Runtime", argv[1], reason);
  code = open_model(&host, argv[2], argv[3]);
  if (code == 0) code = read_input(&host, argv[4]);
  for (i = 0; i < 4 && code == 0; ++i) {
    OrtValue *in[3] = {NULL, NULL, NULL}, *out = NULL;
    code = run(&host, precisions[i], 7, in, &out);
    for (j = 0; j < 3; ++j) host.api->ReleaseValue(in[j]);
    host.api->ReleaseValue(out);
  }
  close_host(&host);
  return code;
}
