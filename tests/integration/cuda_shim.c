// A CUDA driver without a GPU: memory is the host's, kernels are looked up in the cubin and counted, not run.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
enum { MAJOR = 75, MINOR = 76, CUBIN = 190 };

struct context {
  int unused;
};
struct module {
  const unsigned char *code;
};
struct function {
  char name[256];
};
static struct context only;
static struct context *current;
static long modules, launches, bytes_held, timers;
static size_t code_bytes;

static long asked(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value == NULL ? otherwise : atol(value);
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("SE_CUDA_COUNTS");
  FILE *file = path == NULL ? NULL : fopen(path, "w");
  if (file == NULL) return;
  fprintf(file, "{\"modules\": %ld, \"launches\": %ld, \"held\": %ld, \"timers\": %ld}\n", modules, launches,
          bytes_held, timers);
  fclose(file);
}

int cuInit(unsigned flags) { return (int)flags; }
int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
int cuDeviceGet(int *device, int number) { return *device = number, SUCCESS; }
int cuDeviceGetName(char *name, int size, int device) {
  snprintf(name, (size_t)size, "No GPU %d", device);
  return SUCCESS;
}
int cuDeviceGetAttribute(int *value, int key, int device) {
  *value = key == MAJOR ? 8 : key == MINOR ? 6 : device;
  return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = (size_t)asked("SE_CUDA_MEMORY", 1L << 33) + (size_t)device;
  return SUCCESS;
}
int cuDevicePrimaryCtxRetain(struct context **context, int device) { return *context = &only, device; }
int cuCtxSetCurrent(struct context *context) { return current = context, SUCCESS; }
int cuCtxSynchronize(void) { return current == &only ? SUCCESS : LAUNCH_FAILED; }
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  if (bytes_held + (long)bytes > asked("SE_CUDA_ALLOCATABLE", 1L << 33)) return OUT_OF_MEMORY;
  size_t *memory = malloc(bytes + 64);
  *memory = bytes;
  bytes_held += (long)bytes;
  *address = (uint64_t)(uintptr_t)memory + 64;
  return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
  size_t *memory = (size_t *)(uintptr_t)(address - 64);
  bytes_held -= (long)*memory;
  free(memory);
  return SUCCESS;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  memcpy((void *)(uintptr_t)to, from, bytes);
  return SUCCESS;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  memcpy(to, (const void *)(uintptr_t)from, bytes);
  return launches > asked("SE_CUDA_LOST_AFTER", 1L << 40) ? LAUNCH_FAILED : SUCCESS;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
  return stream == NULL ? SUCCESS : INVALID_IMAGE;
}
int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
  memset((void *)(uintptr_t)to, value, bytes);
  return SUCCESS;
}
// An ELF file for CUDA, as long as its tables of segments and sections say.
int cuModuleLoadData(struct module **module, const void *image) {
  const unsigned char *code = image;
  uint16_t machine, count, size;
  uint64_t sections;
  uint32_t flags;
  if (memcmp(code, "\177ELF\2\1", 6) != 0) return INVALID_IMAGE;
  memcpy(&machine, code + 18, 2);
  memcpy(&sections, code + 40, 8);
  memcpy(&flags, code + 48, 4);
  memcpy(&size, code + 58, 2);
  memcpy(&count, code + 60, 2);
  // The byte of the architecture, in machine code of CUDA 12's kind (7) and of CUDA 13's.
  const uint32_t architecture = (code[8] == 7 ? flags : flags >> 8) & 255;
  if (machine != CUBIN || architecture != (uint32_t)asked("SE_CUDA_ARCHITECTURE", 86)) return INVALID_IMAGE;
  code_bytes = sections + (size_t)size * count;
  for (int i = 0; i < count; ++i) {
    uint64_t at, bytes;
    memcpy(&at, code + sections + (size_t)(i * size) + 24, 8);
    memcpy(&bytes, code + sections + (size_t)(i * size) + 32, 8);
    uint32_t type;
    memcpy(&type, code + sections + (size_t)(i * size) + 4, 4);
    if (type != 8 && at + bytes > code_bytes) code_bytes = at + bytes;
  }
  *module = malloc(sizeof **module);
  (*module)->code = code;
  ++modules;
  return SUCCESS;
}
int cuModuleUnload(struct module *module) {
  free(module);
  return SUCCESS;
}
int cuModuleGetFunction(struct function **function, struct module *module, const char *name) {
  const size_t length = strlen(name) + 1;
  for (size_t i = 0; i + length <= code_bytes; ++i) {
    if (memcmp(module->code + i, name, length) != 0) continue;
    *function = malloc(sizeof **function);
    snprintf((*function)->name, sizeof(*function)->name, "%s", name);
    return SUCCESS;
  }
  return NOT_FOUND;
}
int cuLaunchKernel(struct function *function, unsigned x, unsigned y, unsigned z, unsigned threads_x,
                   unsigned threads_y, unsigned threads_z, unsigned bytes, void *stream, void **arguments, void **more) {
  const int is_sound = current == &only && function->name[0] != '\0' && x * y * z > 0 && bytes == 0 &&
                       stream == NULL && more == NULL && threads_x * threads_y * threads_z <= 1024;
  // All kernels take memory first: the address of something that was allocated.
  if (!is_sound || *(uint64_t *)arguments[0] < 4096) return LAUNCH_FAILED;
  ++launches;
  return SUCCESS;
}
int cuEventCreate(void **event, unsigned flags) { return *event = &only, ++timers, (int)flags; }
int cuEventRecord(void *event, void *stream) { return event == &only && stream == NULL ? SUCCESS : LAUNCH_FAILED; }
int cuEventSynchronize(void *event) { return event == &only ? SUCCESS : LAUNCH_FAILED; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
  *milliseconds = 0.25F;
  return from == to ? SUCCESS : LAUNCH_FAILED;
}
int cuEventDestroy_v2(void *event) { return event == &only ? SUCCESS : LAUNCH_FAILED; }
int cuGetErrorName(int code, const char **name) {
  *name = code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : code == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
                                                                                    : "CUDA_ERROR";
  return SUCCESS;
}
