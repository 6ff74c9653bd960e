// float16 for PoCL on a CPU, which does not offer it: clang's own type, whose sums and products are rounded as IEEE 754
// says, in the place of OpenCL's `half`. Set before the kernels that TVM wrote, once or before each.
#ifndef exact_half_is_there
#define exact_half_is_there
typedef _Float16 exact_half;
#define half exact_half
typedef half half2 __attribute__((ext_vector_type(2)));
typedef half half4 __attribute__((ext_vector_type(4)));
#define ALSO __attribute__((overloadable))
#define convert_half(x) ((half)(x))
#define convert_half4(x) __builtin_convertvector((x), half4)
float ALSO convert_float(half x) { return (float)x; }
float4 ALSO convert_float4(half4 x) { return __builtin_convertvector(x, float4); }
half ALSO max(half a, half b) { return a > b ? a : b; }
half ALSO min(half a, half b) { return a < b ? a : b; }
// clang-format off
#define LOAD_AND_STORE(space)                                                                                          \
  half4 ALSO vload4(size_t i, const space half *p) { p += 4 * i; return (half4)(p[0], p[1], p[2], p[3]); }              \
  void ALSO vstore4(half4 x, size_t i, space half *p) { p += 4 * i; p[0] = x.x; p[1] = x.y; p[2] = x.z; p[3] = x.w; }
// clang-format on
LOAD_AND_STORE(__global)
LOAD_AND_STORE(__local)
LOAD_AND_STORE(__private)
#endif
