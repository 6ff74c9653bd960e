/* Calls one compiled kernel without TVM's runtime: tensors come from stdin and go back to stdout.

   stdin:  int32 count, then for each tensor int32 code, bits, ndim, int64 shape[ndim], its bytes
   stdout: the bytes of each tensor after the call */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tvm/ffi/c_api.h>

typedef struct {
  void *sync_handle;
  int32_t num_task;
} Environment;
typedef int (*Task)(int task, Environment *environment, void *data);

extern int __tvm_ffi_main(void *self, TVMFFIAny *arguments, int32_t count, TVMFFIAny *result);
/* A kernel has only those that it uses. */
#define OPTIONAL __attribute__((weak)) extern
OPTIONAL int (*__TVMBackendParallelLaunch)(Task task, void *data, int count);
OPTIONAL void *(*__TVMBackendAllocWorkspace)(int device, int id, uint64_t size, int code, int bits);
OPTIONAL int (*__TVMBackendFreeWorkspace)(int device, int id, void *memory);

/* More tasks than most loops here have iterations: some get none, as on a phone with many cores. */
static int launch(Task task, void *data, int count) {
  Environment environment = {NULL, count ? count : 5};
  for (int i = 0; i < environment.num_task; ++i) {
    if (task(i, &environment, data) != 0) return -1;
  }
  return 0;
}

static void *allocate(int device, int id, uint64_t size, int code, int bits) {
  (void)device, (void)id, (void)code, (void)bits;
  return aligned_alloc(64, (size + 63) / 64 * 64);
}

static int release(int device, int id, void *memory) {
  (void)device, (void)id;
  free(memory);
  return 0;
}

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; ++i) fputs(parts[i], stderr);
}

static void get(void *to, size_t size) {
  if (size > 0 && fread(to, 1, size, stdin) != size) abort();
}

static size_t size_of(const DLTensor *tensor) {
  size_t size = tensor->dtype.bits / 8;
  for (int i = 0; i < tensor->ndim; ++i) size *= (size_t)tensor->shape[i];
  return size;
}

int main(void) {
  int32_t count = 0;
  get(&count, sizeof count);
  DLTensor *tensors = calloc((size_t)count, sizeof *tensors);
  TVMFFIAny *arguments = calloc((size_t)count, sizeof *arguments);
  for (int i = 0; i < count; ++i) {
    int32_t head[3];
    get(head, sizeof head);
    DLTensor *tensor = &tensors[i];
    tensor->dtype = (DLDataType){(uint8_t)head[0], (uint8_t)head[1], 1};
    tensor->device = (DLDevice){kDLCPU, 0};
    tensor->ndim = head[2];
    tensor->shape = calloc((size_t)head[2], sizeof(int64_t));
    get(tensor->shape, (size_t)head[2] * sizeof(int64_t));
    tensor->data = allocate(0, 0, size_of(tensor), 0, 0);
    get(tensor->data, size_of(tensor));
    arguments[i].type_index = kTVMFFIDLTensorPtr;
    arguments[i].v_ptr = tensor;
  }
  if (&__TVMBackendParallelLaunch != NULL) __TVMBackendParallelLaunch = launch;
  if (&__TVMBackendAllocWorkspace != NULL) __TVMBackendAllocWorkspace = allocate;
  if (&__TVMBackendFreeWorkspace != NULL) __TVMBackendFreeWorkspace = release;
  TVMFFIAny result = {0};
  if (__tvm_ffi_main(NULL, arguments, count, &result) != 0) return 1;
  for (int i = 0; i < count; ++i) fwrite(tensors[i].data, 1, size_of(&tensors[i]), stdout);
  return 0;
}
