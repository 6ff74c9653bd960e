// Types and views of a computation that ggml checks only while it computes, where a failure ends the process.
#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "engines/vision_steps.h"

namespace se {
namespace {

using Types = std::initializer_list<ggml_type>;

constexpr Types kFloats = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16};
constexpr Types kPlain = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_I32};

bool is_one_of(const ggml_tensor *tensor, Types types) {
  return std::find(types.begin(), types.end(), tensor->type) != types.end();
}

bool is_weight(const ggml_tensor *tensor) { return is_one_of(tensor, kFloats) || ggml_is_quantized(tensor->type); }

bool fits_in(const ggml_tensor *view) {
  return view->view_src == nullptr || view->view_offs + ggml_nbytes(view) <= ggml_nbytes(view->view_src);
}

// See ggml_compute_forward_* of ggml's CPU backend, which others follow.
bool is_computed(const ggml_tensor *node) {
  const ggml_tensor *first = node->src[0], *second = node->src[1];
  switch (node->op) {
    case GGML_OP_NONE:
    case GGML_OP_VIEW:
    case GGML_OP_RESHAPE:
    case GGML_OP_PERMUTE:
    case GGML_OP_TRANSPOSE:
      return true;
    case GGML_OP_MUL_MAT:
    case GGML_OP_MUL_MAT_ID:
      return is_weight(first) &&
             (second->type == GGML_TYPE_F32 || (second->type == first->type && is_one_of(first, kFloats)) ||
              (second->type == GGML_TYPE_BF16 && first->type == GGML_TYPE_F32));
    case GGML_OP_GET_ROWS:
      return (is_weight(first) || first->type == GGML_TYPE_I32) && second->type == GGML_TYPE_I32;
    case GGML_OP_CPY:
    case GGML_OP_CONT:
    case GGML_OP_DUP:
      return is_one_of(first, kPlain) ||
             (ggml_is_quantized(first->type) && ggml_is_contiguous(first) && node->type == GGML_TYPE_F32);
    case GGML_OP_ADD:
    case GGML_OP_SUB:
    case GGML_OP_MUL:
    case GGML_OP_DIV:
      return is_one_of(first, kFloats) && (second->type == GGML_TYPE_F32 || second->type == first->type);
    case GGML_OP_IM2COL:
      return node->type == GGML_TYPE_F16 ? is_one_of(second, {GGML_TYPE_F32, GGML_TYPE_F16})
                                         : node->type == GGML_TYPE_F32 && second->type == GGML_TYPE_F32;
    case GGML_OP_CONV_2D:
    case GGML_OP_CONV_2D_DW:
      return is_one_of(first, {GGML_TYPE_F32, GGML_TYPE_F16}) && second->type == GGML_TYPE_F32;
    case GGML_OP_NORM:
    case GGML_OP_RMS_NORM:
    case GGML_OP_SOFT_MAX:
    case GGML_OP_UPSCALE:
    case GGML_OP_PAD:
    case GGML_OP_SCALE:
    case GGML_OP_SUM_ROWS:
    case GGML_OP_MEAN:
    case GGML_OP_CUMSUM:
    case GGML_OP_ARGSORT:
    case GGML_OP_WIN_PART:
    case GGML_OP_WIN_UNPART:
    case GGML_OP_SSM_CONV:
    case GGML_OP_POOL_1D:
    case GGML_OP_POOL_2D:
      return first->type == GGML_TYPE_F32;
    case GGML_OP_ROPE:
      return is_one_of(first, {GGML_TYPE_F32, GGML_TYPE_F16}) && second->type == GGML_TYPE_I32;
    default:
      for (const ggml_tensor *source : node->src) {
        if (source != nullptr && !is_one_of(source, kPlain)) return false;
      }
      return true;
  }
}

// Where the numbers come from, if they are put in and not computed.
const ggml_tensor *given_numbers(const ggml_tensor *tensor) {
  while (tensor->view_src != nullptr) tensor = tensor->view_src;
  return tensor->op == GGML_OP_NONE && tensor->type == GGML_TYPE_I32 ? tensor : nullptr;
}

}  // namespace

void fail_without_tensor(const char *operation) {
  throw std::runtime_error(std::string("it lacks a tensor, which is needed for ") + operation);
}

void fail_without_memory() { throw std::runtime_error("there is not enough memory for it"); }

void check_vision_graph(ggml_cgraph *graph) {
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor *node = ggml_graph_node(graph, i);
    const bool is_whole = std::all_of(std::begin(node->src), std::end(node->src),
                                      [](const ggml_tensor *source) { return source == nullptr || fits_in(source); });
    if (!fits_in(node) || !is_whole) {
      throw std::runtime_error(std::string("a tensor is smaller than its use in ") + ggml_op_desc(node));
    }
    if (!is_computed(node)) {
      throw std::runtime_error(std::string("a tensor has a type that cannot be used in ") + ggml_op_desc(node));
    }
  }
}

void check_vision_lookups(ggml_cgraph *graph) {
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor *node = ggml_graph_node(graph, i);
    if (node->op != GGML_OP_GET_ROWS) continue;
    const ggml_tensor *numbers = given_numbers(node->src[1]);
    if (numbers == nullptr || numbers->buffer == nullptr) continue;
    std::vector<int32_t> rows(static_cast<size_t>(ggml_nelements(numbers)));
    ggml_backend_tensor_get(numbers, rows.data(), 0, rows.size() * sizeof(int32_t));
    const int64_t most = node->src[0]->ne[1];
    if (std::any_of(rows.begin(), rows.end(), [most](int32_t row) { return row < 0 || row >= most; })) {
      throw std::runtime_error("its table of positions has " + std::to_string(most) + " rows, too few for this image");
    }
  }
}

}  // namespace se
