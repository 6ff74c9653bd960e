// The part of OpenCL 3.0 that ggml's backend calls, so that no package of headers is needed to build it.
//
// Names, numbers and layouts are those of the Khronos OpenCL API specification. The functions are defined in
// ggml_opencl_loader.cpp, which finds a device's library when it is first asked.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CL_API_CALL
#define CL_CALLBACK

typedef int8_t cl_char;
typedef uint8_t cl_uchar;
typedef int16_t cl_short;
typedef uint16_t cl_ushort;
typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef int64_t cl_long;
typedef uint64_t cl_ulong;
typedef uint16_t cl_half;
typedef float cl_float;
typedef double cl_double;

typedef cl_uint cl_bool;
typedef cl_ulong cl_bitfield;
typedef cl_ulong cl_properties;
typedef cl_uint cl_version;
typedef cl_bitfield cl_device_type;
typedef cl_bitfield cl_mem_flags;
typedef cl_bitfield cl_map_flags;
typedef cl_bitfield cl_command_queue_properties;
typedef cl_bitfield cl_device_svm_capabilities;
typedef cl_properties cl_mem_properties;
typedef intptr_t cl_context_properties;
typedef cl_uint cl_platform_info;
typedef cl_uint cl_device_info;
typedef cl_uint cl_program_info;
typedef cl_uint cl_program_build_info;
typedef cl_uint cl_kernel_info;
typedef cl_uint cl_kernel_work_group_info;
typedef cl_uint cl_kernel_sub_group_info;
typedef cl_uint cl_profiling_info;
typedef cl_uint cl_buffer_create_type;
typedef cl_uint cl_mem_object_type;
typedef cl_uint cl_channel_order;
typedef cl_uint cl_channel_type;

typedef struct _cl_platform_id *cl_platform_id;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_context *cl_context;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_mem *cl_mem;
typedef struct _cl_program *cl_program;
typedef struct _cl_kernel *cl_kernel;
typedef struct _cl_event *cl_event;

typedef struct _cl_image_format {
  cl_channel_order image_channel_order;
  cl_channel_type image_channel_data_type;
} cl_image_format;

typedef struct _cl_image_desc {
  cl_mem_object_type image_type;
  size_t image_width;
  size_t image_height;
  size_t image_depth;
  size_t image_array_size;
  size_t image_row_pitch;
  size_t image_slice_pitch;
  cl_uint num_mip_levels;
  cl_uint num_samples;
  union {
    cl_mem buffer;
    cl_mem mem_object;
  };
} cl_image_desc;

typedef struct _cl_buffer_region {
  size_t origin;
  size_t size;
} cl_buffer_region;

typedef struct _cl_name_version {
  cl_version version;
  char name[64];
} cl_name_version;

typedef union {
  cl_float s[2];
} cl_float2;

typedef union {
  cl_float s[4];
} cl_float4;

typedef union {
  cl_half s[4];
} cl_half4;

#define CL_VERSION_MAJOR(version) ((version) >> 22)
#define CL_VERSION_MINOR(version) (((version) >> 12) & 0x3FF)

#define CL_TRUE 1
#define CL_FALSE 0

#define CL_SUCCESS 0
#define CL_DEVICE_NOT_FOUND -1
#define CL_OUT_OF_RESOURCES -5
#define CL_OUT_OF_HOST_MEMORY -6
#define CL_INVALID_VALUE -30
#define CL_INVALID_QUEUE_PROPERTIES -35
#define CL_INVALID_WORK_GROUP_SIZE -54
#define CL_INVALID_OPERATION -59

#define CL_PLATFORM_VERSION 0x0901
#define CL_PLATFORM_NAME 0x0902
#define CL_PLATFORM_VENDOR 0x0903

#define CL_DEVICE_TYPE_GPU (1 << 2)
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFF
#define CL_DEVICE_TYPE 0x1000
#define CL_DEVICE_MAX_WORK_GROUP_SIZE 0x1004
#define CL_DEVICE_MAX_MEM_ALLOC_SIZE 0x1010
#define CL_DEVICE_IMAGE2D_MAX_WIDTH 0x1011
#define CL_DEVICE_IMAGE2D_MAX_HEIGHT 0x1012
#define CL_DEVICE_MEM_BASE_ADDR_ALIGN 0x1019
#define CL_DEVICE_GLOBAL_MEM_SIZE 0x101F
#define CL_DEVICE_NAME 0x102B
#define CL_DRIVER_VERSION 0x102D
#define CL_DEVICE_VERSION 0x102F
#define CL_DEVICE_EXTENSIONS 0x1030
#define CL_DEVICE_PLATFORM 0x1031
#define CL_DEVICE_OPENCL_C_VERSION 0x103D
#define CL_DEVICE_IMAGE_MAX_BUFFER_SIZE 0x1040
#define CL_DEVICE_SVM_CAPABILITIES 0x1053
#define CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT 0x1065
#define CL_DEVICE_OPENCL_C_ALL_VERSIONS 0x1066
#define CL_DEVICE_SVM_COARSE_GRAIN_BUFFER (1 << 0)
#define CL_DEVICE_SVM_FINE_GRAIN_BUFFER (1 << 1)
#define CL_DEVICE_SVM_FINE_GRAIN_SYSTEM (1 << 2)
#define CL_DEVICE_SVM_ATOMICS (1 << 3)

#define CL_CONTEXT_PLATFORM 0x1084
#define CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE (1 << 0)
#define CL_QUEUE_PROFILING_ENABLE (1 << 1)

#define CL_MEM_READ_WRITE (1 << 0)
#define CL_MEM_WRITE_ONLY (1 << 1)
#define CL_MEM_READ_ONLY (1 << 2)
#define CL_MEM_USE_HOST_PTR (1 << 3)
#define CL_MEM_ALLOC_HOST_PTR (1 << 4)
#define CL_MEM_COPY_HOST_PTR (1 << 5)
#define CL_MEM_HOST_WRITE_ONLY (1 << 7)
#define CL_MEM_HOST_READ_ONLY (1 << 8)
#define CL_MAP_WRITE_INVALIDATE_REGION (1 << 2)
#define CL_BUFFER_CREATE_TYPE_REGION 0x1220

#define CL_R 0x10B0
#define CL_RG 0x10B2
#define CL_RGBA 0x10B5
#define CL_UNSIGNED_INT32 0x10DC
#define CL_HALF_FLOAT 0x10DD
#define CL_FLOAT 0x10DE
#define CL_MEM_OBJECT_IMAGE2D 0x10F1
#define CL_MEM_OBJECT_IMAGE3D 0x10F2
#define CL_MEM_OBJECT_IMAGE1D_BUFFER 0x10F6

#define CL_PROGRAM_NUM_DEVICES 0x1162
#define CL_PROGRAM_BINARY_SIZES 0x1165
#define CL_PROGRAM_BINARIES 0x1166
#define CL_PROGRAM_BUILD_LOG 0x1183
#define CL_KERNEL_FUNCTION_NAME 0x1190
#define CL_KERNEL_WORK_GROUP_SIZE 0x11B0
#define CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE 0x11B3
#define CL_KERNEL_PRIVATE_MEM_SIZE 0x11B4
#define CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE 0x2033
#define CL_PROFILING_COMMAND_QUEUED 0x1280
#define CL_PROFILING_COMMAND_SUBMIT 0x1281
#define CL_PROFILING_COMMAND_START 0x1282
#define CL_PROFILING_COMMAND_END 0x1283
#define CL_PROFILING_COMMAND_COMPLETE 0x1284

// Every function that ggml calls, once: result, name, parameters, arguments.
//
// SE_CL_STATUS: those that return a status. SE_CL_OBJECT: those that return an object, and a status through `error`.
#define SE_CL_FUNCTIONS(SE_CL_STATUS, SE_CL_OBJECT)                                                                    \
  SE_CL_STATUS(GetPlatformIDs, (cl_uint count, cl_platform_id * out, cl_uint * found), (count, out, found))            \
  SE_CL_STATUS(GetPlatformInfo, (cl_platform_id of, cl_platform_info what, size_t size, void *out, size_t *needed),    \
               (of, what, size, out, needed))                                                                          \
  SE_CL_STATUS(GetDeviceIDs, (cl_platform_id of, cl_device_type type, cl_uint count, cl_device_id * out, cl_uint * n), \
               (of, type, count, out, n))                                                                              \
  SE_CL_STATUS(GetDeviceInfo, (cl_device_id of, cl_device_info what, size_t size, void *out, size_t *needed),          \
               (of, what, size, out, needed))                                                                          \
  SE_CL_OBJECT(cl_context, CreateContext,                                                                              \
               (const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,                   \
                void (*notify)(const char *, const void *, size_t, void *), void *user, cl_int *error),                \
               (properties, count, devices, notify, user, error))                                                      \
  SE_CL_OBJECT(cl_command_queue, CreateCommandQueue,                                                                   \
               (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int * error),      \
               (context, device, properties, error))                                                                   \
  SE_CL_OBJECT(cl_mem, CreateBuffer, (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error), \
               (context, flags, size, host, error))                                                                    \
  SE_CL_OBJECT(cl_mem, CreateBufferWithProperties,                                                                     \
               (cl_context context, const cl_mem_properties *properties, cl_mem_flags flags, size_t size, void *host,  \
                cl_int *error),                                                                                        \
               (context, properties, flags, size, host, error))                                                        \
  SE_CL_OBJECT(cl_mem, CreateSubBuffer,                                                                                \
               (cl_mem of, cl_mem_flags flags, cl_buffer_create_type type, const void *region, cl_int *error),         \
               (of, flags, type, region, error))                                                                       \
  SE_CL_OBJECT(cl_mem, CreateImage,                                                                                    \
               (cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *shape,     \
                void *host, cl_int *error),                                                                            \
               (context, flags, format, shape, host, error))                                                           \
  SE_CL_STATUS(ReleaseMemObject, (cl_mem what), (what))                                                                \
  SE_CL_OBJECT(cl_program, CreateProgramWithSource,                                                                    \
               (cl_context context, cl_uint count, const char **texts, const size_t *sizes, cl_int *error),            \
               (context, count, texts, sizes, error))                                                                  \
  SE_CL_OBJECT(cl_program, CreateProgramWithBinary,                                                                    \
               (cl_context context, cl_uint count, const cl_device_id *devices, const size_t *sizes,                   \
                const unsigned char **binaries, cl_int *statuses, cl_int *error),                                      \
               (context, count, devices, sizes, binaries, statuses, error))                                            \
  SE_CL_STATUS(BuildProgram,                                                                                           \
               (cl_program program, cl_uint count, const cl_device_id *devices, const char *options,                   \
                void (*notify)(cl_program, void *), void *user),                                                       \
               (program, count, devices, options, notify, user))                                                       \
  SE_CL_STATUS(GetProgramInfo, (cl_program of, cl_program_info what, size_t size, void *out, size_t *needed),          \
               (of, what, size, out, needed))                                                                          \
  SE_CL_STATUS(                                                                                                        \
      GetProgramBuildInfo,                                                                                             \
      (cl_program of, cl_device_id device, cl_program_build_info what, size_t size, void *out, size_t *needed),        \
      (of, device, what, size, out, needed))                                                                           \
  SE_CL_STATUS(ReleaseProgram, (cl_program what), (what))                                                              \
  SE_CL_OBJECT(cl_kernel, CreateKernel, (cl_program program, const char *name, cl_int *error), (program, name, error)) \
  SE_CL_STATUS(SetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value),                        \
               (kernel, index, size, value))                                                                           \
  SE_CL_STATUS(GetKernelInfo, (cl_kernel of, cl_kernel_info what, size_t size, void *out, size_t *needed),             \
               (of, what, size, out, needed))                                                                          \
  SE_CL_STATUS(                                                                                                        \
      GetKernelWorkGroupInfo,                                                                                          \
      (cl_kernel of, cl_device_id device, cl_kernel_work_group_info what, size_t size, void *out, size_t *needed),     \
      (of, device, what, size, out, needed))                                                                           \
  SE_CL_STATUS(GetKernelSubGroupInfo,                                                                                  \
               (cl_kernel of, cl_device_id device, cl_kernel_sub_group_info what, size_t given_size,                   \
                const void *given, size_t size, void *out, size_t *needed),                                            \
               (of, device, what, given_size, given, size, out, needed))                                               \
  SE_CL_STATUS(ReleaseKernel, (cl_kernel what), (what))                                                                \
  SE_CL_STATUS(EnqueueReadBuffer,                                                                                      \
               (cl_command_queue queue, cl_mem from, cl_bool blocking, size_t offset, size_t size, void *into,         \
                cl_uint count, const cl_event *events, cl_event *event),                                               \
               (queue, from, blocking, offset, size, into, count, events, event))                                      \
  SE_CL_STATUS(EnqueueWriteBuffer,                                                                                     \
               (cl_command_queue queue, cl_mem into, cl_bool blocking, size_t offset, size_t size, const void *from,   \
                cl_uint count, const cl_event *events, cl_event *event),                                               \
               (queue, into, blocking, offset, size, from, count, events, event))                                      \
  SE_CL_STATUS(EnqueueCopyBuffer,                                                                                      \
               (cl_command_queue queue, cl_mem from, cl_mem into, size_t from_offset, size_t into_offset, size_t size, \
                cl_uint count, const cl_event *events, cl_event *event),                                               \
               (queue, from, into, from_offset, into_offset, size, count, events, event))                              \
  SE_CL_STATUS(EnqueueFillBuffer,                                                                                      \
               (cl_command_queue queue, cl_mem into, const void *pattern, size_t pattern_size, size_t offset,          \
                size_t size, cl_uint count, const cl_event *events, cl_event *event),                                  \
               (queue, into, pattern, pattern_size, offset, size, count, events, event))                               \
  SE_CL_OBJECT(void *, EnqueueMapBuffer,                                                                               \
               (cl_command_queue queue, cl_mem what, cl_bool blocking, cl_map_flags flags, size_t offset, size_t size, \
                cl_uint count, const cl_event *events, cl_event *event, cl_int *error),                                \
               (queue, what, blocking, flags, offset, size, count, events, event, error))                              \
  SE_CL_STATUS(                                                                                                        \
      EnqueueUnmapMemObject,                                                                                           \
      (cl_command_queue queue, cl_mem what, void *mapped, cl_uint count, const cl_event *events, cl_event *event),     \
      (queue, what, mapped, count, events, event))                                                                     \
  SE_CL_STATUS(EnqueueNDRangeKernel,                                                                                   \
               (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,                    \
                const size_t *global, const size_t *local, cl_uint count, const cl_event *events, cl_event *event),    \
               (queue, kernel, dimensions, offset, global, local, count, events, event))                               \
  SE_CL_STATUS(EnqueueMarkerWithWaitList,                                                                              \
               (cl_command_queue queue, cl_uint count, const cl_event *events, cl_event *event),                       \
               (queue, count, events, event))                                                                          \
  SE_CL_STATUS(EnqueueBarrierWithWaitList,                                                                             \
               (cl_command_queue queue, cl_uint count, const cl_event *events, cl_event *event),                       \
               (queue, count, events, event))                                                                          \
  SE_CL_STATUS(WaitForEvents, (cl_uint count, const cl_event *events), (count, events))                                \
  SE_CL_STATUS(GetEventProfilingInfo, (cl_event of, cl_profiling_info what, size_t size, void *out, size_t *needed),   \
               (of, what, size, out, needed))                                                                          \
  SE_CL_STATUS(ReleaseEvent, (cl_event what), (what))                                                                  \
  SE_CL_STATUS(Flush, (cl_command_queue queue), (queue))                                                               \
  SE_CL_STATUS(Finish, (cl_command_queue queue), (queue))

#ifdef __cplusplus
extern "C" {
#endif

#define SE_CL_DECLARE_STATUS(name, parameters, arguments) cl_int cl##name parameters;
#define SE_CL_DECLARE_OBJECT(result, name, parameters, arguments) result cl##name parameters;
SE_CL_FUNCTIONS(SE_CL_DECLARE_STATUS, SE_CL_DECLARE_OBJECT)
#undef SE_CL_DECLARE_STATUS
#undef SE_CL_DECLARE_OBJECT

#ifdef __cplusplus
}
#endif
