// Read before llama.cpp's image encoders in the batches that compile them: what a file's tensors would end the process
// for, as they are used in a computation, becomes an exception.
#pragma once

// Their own headers first, so that only uses of the names are replaced.
#include <ggml-backend.h>
#include <ggml.h>

#include <cstddef>

namespace se {

// In vision_checks.cpp, of what links this. All of them throw std::runtime_error.

// A tensor that the computation takes for granted is not in the file.
[[noreturn]] void fail_without_tensor(const char *operation);
// Types and views of all operations are what the CPU computes.
void check_vision_graph(ggml_cgraph *graph);
// Rows that are looked up by numbers which are known before are there.
void check_vision_lookups(ggml_cgraph *graph);
[[noreturn]] void fail_without_memory();

// Parameters in which the arguments' types are not looked for, as in a call of the function itself.
template <typename T>
struct Same {
  using Type = T;
};

class NeededTensors {
 public:
  NeededTensors(const char *operation, int count) : operation_(operation), left_(count) {}
  template <typename T>
  void look_at(const T &) {}
  void look_at(ggml_tensor *const &tensor) { look_at_tensor(tensor); }
  void look_at(const ggml_tensor *const &tensor) { look_at_tensor(tensor); }

 private:
  void look_at_tensor(const ggml_tensor *tensor) {
    if (left_-- > 0 && tensor == nullptr) fail_without_tensor(operation_);
  }

  const char *operation_;
  int left_;
};

// Calls `function`, the first `count` of whose tensors must be there.
template <typename Result, typename... Parameters>
Result with_tensors(int count, const char *operation, Result (*function)(Parameters...),
                    typename Same<Parameters>::Type... arguments) {
  NeededTensors needed(operation, count);
  (needed.look_at(arguments), ...);
  return function(arguments...);
}

inline bool reserve_checked(ggml_backend_sched_t scheduler, ggml_cgraph *graph) {
  check_vision_graph(graph);
  if (!ggml_backend_sched_reserve(scheduler, graph)) fail_without_memory();
  return true;
}

inline bool alloc_checked(ggml_backend_sched_t scheduler, ggml_cgraph *graph) {
  check_vision_graph(graph);
  if (!ggml_backend_sched_alloc_graph(scheduler, graph)) fail_without_memory();
  return true;
}

inline ggml_status compute_checked(ggml_backend_sched_t scheduler, ggml_cgraph *graph) {
  check_vision_lookups(graph);
  return ggml_backend_sched_graph_compute(scheduler, graph);
}

inline ggml_backend_buffer_t weights_checked(ggml_context *context, ggml_backend_buffer_type_t type) {
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, type);
  if (buffer == nullptr) fail_without_memory();
  return buffer;
}

}  // namespace se

#define ggml_backend_sched_reserve(...) se::reserve_checked(__VA_ARGS__)
#define ggml_backend_sched_alloc_graph(...) se::alloc_checked(__VA_ARGS__)
#define ggml_backend_sched_graph_compute(...) se::compute_checked(__VA_ARGS__)
#define ggml_backend_alloc_ctx_tensors_from_buft(...) se::weights_checked(__VA_ARGS__)

#define SE_WITH_ALL(function, ...) se::with_tensors(9, #function, function, __VA_ARGS__)
// The others may be null.
#define SE_WITH_ONE(function, ...) se::with_tensors(1, #function, function, __VA_ARGS__)
#define SE_WITH_TWO(function, ...) se::with_tensors(2, #function, function, __VA_ARGS__)
#define SE_WITH_THREE(function, ...) se::with_tensors(3, #function, function, __VA_ARGS__)

#define ggml_add(...) SE_WITH_ALL(ggml_add, __VA_ARGS__)
#define ggml_argmax(...) SE_WITH_ALL(ggml_argmax, __VA_ARGS__)
#define ggml_argsort(...) SE_WITH_ALL(ggml_argsort, __VA_ARGS__)
#define ggml_build_forward_expand(...) SE_WITH_ALL(ggml_build_forward_expand, __VA_ARGS__)
#define ggml_cast(...) SE_WITH_ALL(ggml_cast, __VA_ARGS__)
#define ggml_clamp(...) SE_WITH_ALL(ggml_clamp, __VA_ARGS__)
#define ggml_col2im_1d(...) SE_WITH_ALL(ggml_col2im_1d, __VA_ARGS__)
#define ggml_concat(...) SE_WITH_ALL(ggml_concat, __VA_ARGS__)
#define ggml_cont(...) SE_WITH_ALL(ggml_cont, __VA_ARGS__)
#define ggml_cont_2d(...) SE_WITH_ALL(ggml_cont_2d, __VA_ARGS__)
#define ggml_cont_3d(...) SE_WITH_ALL(ggml_cont_3d, __VA_ARGS__)
#define ggml_cont_4d(...) SE_WITH_ALL(ggml_cont_4d, __VA_ARGS__)
#define ggml_conv_1d(...) SE_WITH_ALL(ggml_conv_1d, __VA_ARGS__)
#define ggml_conv_1d_dw(...) SE_WITH_ALL(ggml_conv_1d_dw, __VA_ARGS__)
#define ggml_conv_1d_ph(...) SE_WITH_ALL(ggml_conv_1d_ph, __VA_ARGS__)
#define ggml_conv_2d(...) SE_WITH_ALL(ggml_conv_2d, __VA_ARGS__)
#define ggml_conv_2d_direct(...) SE_WITH_ALL(ggml_conv_2d_direct, __VA_ARGS__)
#define ggml_conv_2d_dw(...) SE_WITH_ALL(ggml_conv_2d_dw, __VA_ARGS__)
#define ggml_conv_2d_dw_direct(...) SE_WITH_ALL(ggml_conv_2d_dw_direct, __VA_ARGS__)
#define ggml_cos(...) SE_WITH_ALL(ggml_cos, __VA_ARGS__)
#define ggml_cumsum(...) SE_WITH_ALL(ggml_cumsum, __VA_ARGS__)
#define ggml_div(...) SE_WITH_ALL(ggml_div, __VA_ARGS__)
#define ggml_elu(...) SE_WITH_ALL(ggml_elu, __VA_ARGS__)
#define ggml_fill(...) SE_WITH_ALL(ggml_fill, __VA_ARGS__)
#define ggml_geglu_erf_split(...) SE_WITH_ALL(ggml_geglu_erf_split, __VA_ARGS__)
#define ggml_geglu_quick_split(...) SE_WITH_ALL(ggml_geglu_quick_split, __VA_ARGS__)
#define ggml_geglu_split(...) SE_WITH_ALL(ggml_geglu_split, __VA_ARGS__)
#define ggml_gelu(...) SE_WITH_ALL(ggml_gelu, __VA_ARGS__)
#define ggml_gelu_erf(...) SE_WITH_ALL(ggml_gelu_erf, __VA_ARGS__)
#define ggml_gelu_inplace(...) SE_WITH_ALL(ggml_gelu_inplace, __VA_ARGS__)
#define ggml_gelu_quick(...) SE_WITH_ALL(ggml_gelu_quick, __VA_ARGS__)
#define ggml_get_rows(...) SE_WITH_ALL(ggml_get_rows, __VA_ARGS__)
#define ggml_hardsigmoid(...) SE_WITH_ALL(ggml_hardsigmoid, __VA_ARGS__)
#define ggml_hardswish(...) SE_WITH_ALL(ggml_hardswish, __VA_ARGS__)
#define ggml_im2col(...) SE_WITH_ALL(ggml_im2col, __VA_ARGS__)
#define ggml_interpolate(...) SE_WITH_ALL(ggml_interpolate, __VA_ARGS__)
#define ggml_log(...) SE_WITH_ALL(ggml_log, __VA_ARGS__)
#define ggml_mean(...) SE_WITH_ALL(ggml_mean, __VA_ARGS__)
#define ggml_mul(...) SE_WITH_ALL(ggml_mul, __VA_ARGS__)
#define ggml_mul_mat(...) SE_WITH_ALL(ggml_mul_mat, __VA_ARGS__)
#define ggml_mul_mat_id(...) SE_WITH_ALL(ggml_mul_mat_id, __VA_ARGS__)
#define ggml_nbytes(...) SE_WITH_ALL(ggml_nbytes, __VA_ARGS__)
#define ggml_nelements(...) SE_WITH_ALL(ggml_nelements, __VA_ARGS__)
#define ggml_norm(...) SE_WITH_ALL(ggml_norm, __VA_ARGS__)
#define ggml_pad(...) SE_WITH_ALL(ggml_pad, __VA_ARGS__)
#define ggml_pad_ext(...) SE_WITH_ALL(ggml_pad_ext, __VA_ARGS__)
#define ggml_pad_reflect_1d(...) SE_WITH_ALL(ggml_pad_reflect_1d, __VA_ARGS__)
#define ggml_permute(...) SE_WITH_ALL(ggml_permute, __VA_ARGS__)
#define ggml_pool_1d(...) SE_WITH_ALL(ggml_pool_1d, __VA_ARGS__)
#define ggml_pool_2d(...) SE_WITH_ALL(ggml_pool_2d, __VA_ARGS__)
#define ggml_relu(...) SE_WITH_ALL(ggml_relu, __VA_ARGS__)
#define ggml_relu_inplace(...) SE_WITH_ALL(ggml_relu_inplace, __VA_ARGS__)
#define ggml_repeat(...) SE_WITH_ALL(ggml_repeat, __VA_ARGS__)
#define ggml_repeat_4d(...) SE_WITH_ALL(ggml_repeat_4d, __VA_ARGS__)
#define ggml_reshape_1d(...) SE_WITH_ALL(ggml_reshape_1d, __VA_ARGS__)
#define ggml_reshape_2d(...) SE_WITH_ALL(ggml_reshape_2d, __VA_ARGS__)
#define ggml_reshape_3d(...) SE_WITH_ALL(ggml_reshape_3d, __VA_ARGS__)
#define ggml_reshape_4d(...) SE_WITH_ALL(ggml_reshape_4d, __VA_ARGS__)
#define ggml_rms_norm(...) SE_WITH_ALL(ggml_rms_norm, __VA_ARGS__)
#define ggml_roll(...) SE_WITH_ALL(ggml_roll, __VA_ARGS__)
#define ggml_scale(...) SE_WITH_ALL(ggml_scale, __VA_ARGS__)
#define ggml_scale_bias(...) SE_WITH_ALL(ggml_scale_bias, __VA_ARGS__)
#define ggml_set_rows(...) SE_WITH_ALL(ggml_set_rows, __VA_ARGS__)
#define ggml_sigmoid(...) SE_WITH_ALL(ggml_sigmoid, __VA_ARGS__)
#define ggml_silu(...) SE_WITH_ALL(ggml_silu, __VA_ARGS__)
#define ggml_sin(...) SE_WITH_ALL(ggml_sin, __VA_ARGS__)
#define ggml_soft_max(...) SE_WITH_ALL(ggml_soft_max, __VA_ARGS__)
#define ggml_sqr(...) SE_WITH_ALL(ggml_sqr, __VA_ARGS__)
#define ggml_sqrt(...) SE_WITH_ALL(ggml_sqrt, __VA_ARGS__)
#define ggml_ssm_conv(...) SE_WITH_ALL(ggml_ssm_conv, __VA_ARGS__)
#define ggml_step(...) SE_WITH_ALL(ggml_step, __VA_ARGS__)
#define ggml_sub(...) SE_WITH_ALL(ggml_sub, __VA_ARGS__)
#define ggml_sum(...) SE_WITH_ALL(ggml_sum, __VA_ARGS__)
#define ggml_sum_rows(...) SE_WITH_ALL(ggml_sum_rows, __VA_ARGS__)
#define ggml_swiglu_clamp(...) SE_WITH_ALL(ggml_swiglu_clamp, __VA_ARGS__)
#define ggml_swiglu_split(...) SE_WITH_ALL(ggml_swiglu_split, __VA_ARGS__)
#define ggml_swiglu_swapped(...) SE_WITH_ALL(ggml_swiglu_swapped, __VA_ARGS__)
#define ggml_tanh(...) SE_WITH_ALL(ggml_tanh, __VA_ARGS__)
#define ggml_top_k(...) SE_WITH_ALL(ggml_top_k, __VA_ARGS__)
#define ggml_transpose(...) SE_WITH_ALL(ggml_transpose, __VA_ARGS__)
#define ggml_tri(...) SE_WITH_ALL(ggml_tri, __VA_ARGS__)
#define ggml_upscale(...) SE_WITH_ALL(ggml_upscale, __VA_ARGS__)
#define ggml_view_1d(...) SE_WITH_ALL(ggml_view_1d, __VA_ARGS__)
#define ggml_view_2d(...) SE_WITH_ALL(ggml_view_2d, __VA_ARGS__)
#define ggml_view_3d(...) SE_WITH_ALL(ggml_view_3d, __VA_ARGS__)
#define ggml_view_4d(...) SE_WITH_ALL(ggml_view_4d, __VA_ARGS__)
#define ggml_win_part(...) SE_WITH_ALL(ggml_win_part, __VA_ARGS__)
#define ggml_win_unpart(...) SE_WITH_ALL(ggml_win_unpart, __VA_ARGS__)
#define ggml_flash_attn_ext_add_sinks(...) SE_WITH_ONE(ggml_flash_attn_ext_add_sinks, __VA_ARGS__)
#define ggml_soft_max_add_sinks(...) SE_WITH_ONE(ggml_soft_max_add_sinks, __VA_ARGS__)
#define ggml_soft_max_ext(...) SE_WITH_ONE(ggml_soft_max_ext, __VA_ARGS__)
#define ggml_rope_ext(...) SE_WITH_TWO(ggml_rope_ext, __VA_ARGS__)
#define ggml_rope_multi(...) SE_WITH_TWO(ggml_rope_multi, __VA_ARGS__)
#define ggml_flash_attn_ext(...) SE_WITH_THREE(ggml_flash_attn_ext, __VA_ARGS__)
