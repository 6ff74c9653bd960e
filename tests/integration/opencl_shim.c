// An OpenCL library between ours and the real one, which counts what is asked for and fails where SE_CL_* says so.
//
// Calls that are not here go to the real library, which this one is linked with: dlsym looks there too.
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = -4, OUT_OF_RESOURCES = -5 };
enum { IMAGE_SUPPORT = 0x1016, IMAGE_MAX_BUFFER_SIZE = 0x1040, INVALID_IMAGE_SIZE = -40 };
enum { MAX_MEM_ALLOC_SIZE = 0x1010, DRIVER_VERSION = 0x102D, HOST_UNIFIED_MEMORY = 0x1035, MEM_SIZE = 0x1102 };
enum { MEM_ASSOCIATED_MEMOBJECT = 0x1107, MISALIGNED_SUB_BUFFER_OFFSET = -13 };
enum { KERNEL_FUNCTION_NAME = 0x1190, INVALID_WORK_GROUP_SIZE = -54 };
enum { ALLOC_HOST_PTR = 1 << 4, EXTENSIONS = 0x1030, MOST_PREFIX = 1 << 14 };
static const char HALF[] = "cl_khr_fp16";

static long enabled, buffers, parts, host_buffers, sources, binaries, launches, writes, reads, maps, images, bytes_held;

// The real function of the same name.
#define REAL(type, name) ((type)real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static long asked(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value == NULL ? otherwise : atol(value);
}

static int is_lost(void) { return launches > asked("SE_CL_LOST_AFTER", 1L << 40); }

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("SE_CL_COUNTS");
  FILE *file = path == NULL ? NULL : fopen(path, "w");
  if (file == NULL) return;
  fprintf(file,
          "{\"enabled\": %ld, \"buffers\": %ld, \"host_buffers\": %ld, \"sources\": %ld, \"binaries\": %ld, "
          "\"launches\": %ld, \"writes\": %ld, \"reads\": %ld, \"maps\": %ld, \"images\": %ld, \"parts\": %ld}\n",
          enabled, buffers, host_buffers, sources, binaries, launches, writes, reads, maps, images, parts);
  fclose(file);
}

// Pixel phones hand out OpenCL only after this call.
void enableOpenCL(void) { ++enabled; }

int32_t clGetDeviceInfo(void *device, uint32_t key, size_t size, void *value, size_t *out_size) {
  const char *driver = getenv("SE_CL_DRIVER");
  if (key == DRIVER_VERSION && driver != NULL) {
    if (out_size != NULL) *out_size = strlen(driver) + 1;
    if (value != NULL) strncpy(value, driver, size);
    return 0;
  }
  if (key == EXTENSIONS && getenv("SE_CL_HALF") != NULL) {
    // Arithmetic in float16 is offered: the file that SE_CL_HALF names brings it.
    if (out_size != NULL) *out_size = strlen(HALF) + 1;
    if (value != NULL) strncpy(value, HALF, size);
    return 0;
  }
  const int32_t status = REAL(int32_t(*)(void *, uint32_t, size_t, void *, size_t *), clGetDeviceInfo)(
      device, key, size, value, out_size);
  if (status != 0 || value == NULL) return status;
  if (key == MAX_MEM_ALLOC_SIZE) *(uint64_t *)value = (uint64_t)asked("SE_CL_LARGEST", (long)*(uint64_t *)value);
  if (key == HOST_UNIFIED_MEMORY) *(uint32_t *)value = (uint32_t)asked("SE_CL_UNIFIED", *(uint32_t *)value);
  if (key == IMAGE_SUPPORT) *(uint32_t *)value = (uint32_t)asked("SE_CL_IMAGES", *(uint32_t *)value);
  if (key == IMAGE_MAX_BUFFER_SIZE) *(uint64_t *)value = (uint64_t)asked("SE_CL_TEXELS", (long)*(uint64_t *)value);
  return status;
}

void *clCreateImage(void *context, uint64_t flags, const void *format, const void *description, void *host,
                    int32_t *status) {
  if (images == asked("SE_CL_MOST_IMAGES", 1L << 40)) {
    *status = INVALID_IMAGE_SIZE;
    return NULL;
  }
  ++images;
  return REAL(void *(*)(void *, uint64_t, const void *, const void *, void *, int32_t *), clCreateImage)(
      context, flags, format, description, host, status);
}

void *clCreateBuffer(void *context, uint64_t flags, size_t size, void *host, int32_t *status) {
  ++buffers;
  if (flags & ALLOC_HOST_PTR) ++host_buffers;
  if (bytes_held + (long)size > asked("SE_CL_MEMORY", 1L << 50)) {
    *status = OUT_OF_MEMORY;
    return NULL;
  }
  bytes_held += (long)size;
  return REAL(void *(*)(void *, uint64_t, size_t, void *, int32_t *), clCreateBuffer)(context, flags, size, host,
                                                                                      status);
}

void *clCreateSubBuffer(void *whole, uint64_t flags, uint32_t type, const void *region, int32_t *status) {
  if (asked("SE_CL_PARTS", 1) == 0) {
    *status = MISALIGNED_SUB_BUFFER_OFFSET;
    return NULL;
  }
  ++parts;
  return REAL(void *(*)(void *, uint64_t, uint32_t, const void *, int32_t *), clCreateSubBuffer)(whole, flags, type,
                                                                                                region, status);
}

int32_t clReleaseMemObject(void *memory) {
  size_t size = 0;
  void *whole = NULL;
  int32_t (*info)(void *, uint32_t, size_t, void *, size_t *) = real("clGetMemObjectInfo");
  info(memory, MEM_SIZE, sizeof size, &size, NULL);
  info(memory, MEM_ASSOCIATED_MEMOBJECT, sizeof whole, &whole, NULL);
  // A part of a buffer, or an image over it, is no memory of its own.
  if (whole == NULL) bytes_held -= (long)size;
  return REAL(int32_t(*)(void *), clReleaseMemObject)(memory);
}

void *clCreateProgramWithSource(void *context, uint32_t count, const char **texts, const size_t *sizes,
                                int32_t *status) {
  ++sources;
  const char *path = getenv("SE_CL_HALF");
  FILE *file = path == NULL || count != 1 ? NULL : fopen(path, "r");
  static char prefix[MOST_PREFIX];
  const char *all[2] = {prefix, texts[0]};
  size_t lengths[2] = {0, sizes[0]};
  if (file != NULL) {
    lengths[0] = fread(prefix, 1, sizeof prefix, file);
    fclose(file);
    count = 2;
    texts = all;
    sizes = lengths;
  }
  return REAL(void *(*)(void *, uint32_t, const char **, const size_t *, int32_t *), clCreateProgramWithSource)(
      context, count, texts, sizes, status);
}

void *clCreateProgramWithBinary(void *context, uint32_t count, void *const *devices, const size_t *sizes,
                                const unsigned char **codes, int32_t *each, int32_t *status) {
  ++binaries;
  return REAL(void *(*)(void *, uint32_t, void *const *, const size_t *, const unsigned char **, int32_t *, int32_t *),
              clCreateProgramWithBinary)(context, count, devices, sizes, codes, each, status);
}

int32_t clEnqueueNDRangeKernel(void *queue, void *kernel, uint32_t dimensions, const size_t *offset,
                               const size_t *global, const size_t *local, uint32_t waits, void *const *events,
                               void **event) {
  ++launches;
  if (is_lost()) return OUT_OF_RESOURCES;
  char name[256] = "";
  int32_t (*info)(void *, uint32_t, size_t, void *, size_t *) = real("clGetKernelInfo");
  info(kernel, KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
  const char *refused = getenv("SE_CL_REFUSED");
  if (refused != NULL && strstr(name, refused) != NULL) return INVALID_WORK_GROUP_SIZE;
  return REAL(int32_t(*)(void *, void *, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t,
                         void *const *, void **),
              clEnqueueNDRangeKernel)(queue, kernel, dimensions, offset, global, local, waits, events, event);
}

int32_t clEnqueueWriteBuffer(void *queue, void *memory, uint32_t blocking, size_t offset, size_t size,
                             const void *from, uint32_t waits, void *const *events, void **event) {
  ++writes;
  return REAL(int32_t(*)(void *, void *, uint32_t, size_t, size_t, const void *, uint32_t, void *const *, void **),
              clEnqueueWriteBuffer)(queue, memory, blocking, offset, size, from, waits, events, event);
}

int32_t clEnqueueReadBuffer(void *queue, void *memory, uint32_t blocking, size_t offset, size_t size, void *to,
                            uint32_t waits, void *const *events, void **event) {
  ++reads;
  if (is_lost()) return OUT_OF_RESOURCES;
  return REAL(int32_t(*)(void *, void *, uint32_t, size_t, size_t, void *, uint32_t, void *const *, void **),
              clEnqueueReadBuffer)(queue, memory, blocking, offset, size, to, waits, events, event);
}

void *clEnqueueMapBuffer(void *queue, void *memory, uint32_t blocking, uint64_t flags, size_t offset, size_t size,
                         uint32_t waits, void *const *events, void **event, int32_t *status) {
  ++maps;
  return REAL(void *(*)(void *, void *, uint32_t, uint64_t, size_t, size_t, uint32_t, void *const *, void **,
                        int32_t *),
              clEnqueueMapBuffer)(queue, memory, blocking, flags, offset, size, waits, events, event, status);
}
