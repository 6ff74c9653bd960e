// Renames and joins tensors of diffusers' folders.
#include "engines/diffusers_names.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

constexpr const char *kAgain = "download the model again";
const std::string kDiffusionModel = "model.diffusion_model.";

using Words = std::vector<std::string>;

Words split(const std::string &name) {
  Words words;
  std::istringstream stream(name);
  for (std::string word; std::getline(stream, word, '.');) words.push_back(word);
  return words;
}

std::string joined(const Words &words) {
  std::string name;
  for (const std::string &word : words) name += (name.empty() ? "" : ".") + word;
  return name;
}

// Replaces the prefix `before` of `name` by `after`; false if it does not have that prefix.
bool replace_begin(std::string &name, const std::string &before, const std::string &after) {
  if (!name.starts_with(before)) return false;
  name = after + name.substr(before.size());
  return true;
}

// Of language models, also inside vision-language models; empty: not needed for image generation.
std::string language_model_name(std::string name) {
  for (const char *part : {"visual.", "vision_tower.", "multi_modal_projector.", "model.visual.", "model.vision_tower.",
                           "model.multi_modal_projector."}) {
    if (name.starts_with(part)) return "";
  }
  if (replace_begin(name, "model.language_model.", "model.") || replace_begin(name, "language_model.", "")) return name;
  for (const char *part : {"embed_tokens.", "layers.", "norm."}) {
    if (name.starts_with(part)) return "model." + name;
  }
  return name;
}

std::string clip_name(const std::string &name) {
  for (const char *part : {"embeddings.", "encoder.", "final_layer_norm."}) {
    if (name.starts_with(part)) return "text_model." + name;
  }
  return name;
}

// In a residual block of Wan's VAE, which is a list of layers.
std::string residual_name(const std::string &layer) {
  static const std::map<std::string, std::string> names = {{"norm1", "residual.0"},
                                                           {"conv1", "residual.2"},
                                                           {"norm2", "residual.3"},
                                                           {"conv2", "residual.6"},
                                                           {"conv_shortcut", "shortcut"}};
  const auto found = names.find(layer);
  return found == names.end() ? layer : found->second;
}

// From diffusers' names for the VAE of Qwen-Image to Wan's, which is the same: blocks are numbered consecutively.
std::string wan_name(const std::string &name) {
  static const std::map<std::string, std::string> ends = {
      {"conv_in", "conv1"}, {"norm_out", "head.0"}, {"conv_out", "head.2"}};
  Words words = split(name);
  if (words[0] == "quant_conv" || words[0] == "post_quant_conv") {
    words[0] = words[0] == "quant_conv" ? "conv1" : "conv2";
    return joined(words);
  }
  if (words.size() < 3) return name;
  size_t taken = 2;
  std::string place;
  if (const auto found = ends.find(words[1]); found != ends.end()) {
    place = found->second;
  } else if (words[1] == "down_blocks") {
    place = "downsamples." + words[2];
    taken = 3;
  } else if (words.size() > 4 && words[1] == "mid_block") {
    place = words[2] == "attentions" ? "middle.1" : words[3] == "0" ? "middle.0" : "middle.2";
    taken = 4;
  } else if (words.size() > 5 && words[1] == "up_blocks" && words[2].size() == 1 && words[4].size() == 1) {
    // Three residual blocks and the upsampling.
    const int at = words[3] == "upsamplers" ? 3 : words[4][0] - '0';
    place = "upsamples." + std::to_string(4 * (words[2][0] - '0') + at);
    taken = 5;
  } else {
    return name;
  }
  std::string renamed = words[0] + "." + place;
  for (size_t i = taken; i < words.size(); ++i) renamed += "." + residual_name(words[i]);
  return renamed;
}

// Applies `rename` to the rest of the names that begin with `prefix`; those that become empty are dropped.
template <typename Rename>
void rename(String2TensorStorage &tensors, const std::string &prefix, Rename &&rename) {
  String2TensorStorage renamed;
  for (auto &[name, tensor] : tensors) {
    std::string now = name;
    if (name.starts_with(prefix)) {
      const std::string rest = rename(name.substr(prefix.size()));
      if (rest.empty()) continue;
      now = prefix + rest;
    }
    tensor.name = now;
    renamed[now] = std::move(tensor);
  }
  std::swap(tensors, renamed);
}

// The name of the joined tensor and the index of the piece: stable-diffusion.cpp numbers them from the second on.
std::pair<std::string, size_t> piece_of(const std::string &name) {
  const size_t dot = name.rfind('.');
  const bool is_numbered = dot != std::string::npos && dot + 2 == name.size() && name[dot + 1] >= '1' &&
                           name[dot + 1] <= '3' &&
                           (name.substr(0, dot).ends_with(".weight") || name.substr(0, dot).ends_with(".bias"));
  if (!is_numbered) return {name, 0};
  return {name.substr(0, dot), static_cast<size_t>(name[dot + 1] - '0')};
}

TensorStorage whole_of(const std::string &name, const std::vector<TensorStorage> &pieces) {
  // Queries, keys and values, in single blocks of FLUX with what the feed-forward layer begins with.
  const size_t expected = name.find(".linear1.") == std::string::npos ? 3 : 4;
  TensorStorage whole = pieces.front();
  const int rows = whole.n_dims - 1;
  int64_t sum = 0;
  for (const TensorStorage &piece : pieces) {
    const bool fits =
        piece.n_dims == whole.n_dims && piece.type == whole.type && (rows < 1 || piece.ne[0] == whole.ne[0]);
    if (piece.name.empty() || !fits || rows < 0 || rows > 1) {
      throw Error(SE_MODEL_CORRUPT, "the pieces of the tensor " + ticked(name) + " are not all there, or differ",
                  kAgain);
    }
    sum += piece.ne[rows];
  }
  if (pieces.size() != expected) {
    throw Error(SE_MODEL_CORRUPT, "the tensor " + ticked(name) + " lacks one of its pieces", kAgain);
  }
  whole.name = name;
  whole.ne[rows] = sum;
  return whole;
}

// diffusers stores scale before shift where the original checkpoints store it after: in the last layer, and for the
// text in SD 3's last block, which has only these two.
bool swaps_halves(const String2TensorStorage &tensors, const std::string &name, SDVersion version) {
  if (version == VERSION_Z_IMAGE) return false;
  if (name.starts_with(kDiffusionModel + "final_layer.adaLN_modulation.1.")) return true;
  const size_t end = name.rfind('.');
  if (!name.substr(0, end).ends_with(".context_block.adaLN_modulation.1")) return false;
  const auto weight = tensors.find(name.substr(0, end) + ".weight");
  return weight != tensors.end() && weight->second.ne[1] == 2 * weight->second.ne[0];
}

// A tensor without a name of stable-diffusion.cpp would silently be missing from the model.
void check_renamed(const String2TensorStorage &tensors) {
  for (const auto &[name, tensor] : tensors) {
    if (!name.starts_with(kDiffusionModel)) continue;
    for (const char *mark : {".transformer_blocks.", ".single_transformer_blocks.", ".to_q.", ".to_k.", ".to_v.",
                             ".all_x_embedder.", ".all_final_layer.", ".norm_out.", ".time_text_embed."}) {
      if (name.find(mark) == std::string::npos) continue;
      throw Error(SE_UNSUPPORTED,
                  "the model has a tensor that its family has not: " + ticked(name.substr(kDiffusionModel.size(), 96)),
                  "take the model as its first publisher's single file");
    }
  }
}

}  // namespace

void rename_transformers(String2TensorStorage &tensors) {
  rename(tensors, "text_encoders.llm.", language_model_name);
  for (const char *prefix : {"text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer.",
                             "cond_stage_model.transformer.", "cond_stage_model.1.transformer."}) {
    rename(tensors, prefix, clip_name);
  }
  if (tensors.find("vae.decoder.mid_block.resnets.0.norm1.gamma") != tensors.end()) rename(tensors, "vae.", wan_name);
}

SDVersion version_of_diffusers(const String2TensorStorage &tensors) {
  static const std::array<std::pair<const char *, SDVersion>, 3> marks = {{
      {"single_transformer_blocks.0.attn.to_q.weight", VERSION_FLUX},
      {"pos_embed.proj.weight", VERSION_SD3},
      {"all_x_embedder.2-1.weight", VERSION_Z_IMAGE},
  }};
  for (const auto &[mark, version] : marks) {
    if (tensors.find(kDiffusionModel + mark) != tensors.end()) return version;
  }
  return VERSION_COUNT;
}

std::map<std::string, Composition> compose(String2TensorStorage &tensors, SDVersion version) {
  check_renamed(tensors);
  std::map<std::string, Composition> found;
  for (const auto &[name, tensor] : tensors) {
    const auto [whole, index] = piece_of(name);
    if (!whole.starts_with(kDiffusionModel)) continue;
    std::vector<TensorStorage> &pieces = found[whole].pieces;
    pieces.resize(std::max(pieces.size(), index + 1));
    pieces[index] = tensor;
  }
  std::erase_if(found, [&](const auto &entry) {
    return entry.second.pieces.size() == 1 && !swaps_halves(tensors, entry.first, version);
  });
  String2TensorStorage composed;
  for (auto &[name, tensor] : tensors) {
    const auto [whole, index] = piece_of(name);
    const auto composition = found.find(whole);
    if (composition == found.end()) {
      composed[name] = tensor;
    } else if (composition->second.pieces.size() > 1) {
      composed[whole] = whole_of(whole, composition->second.pieces);
    } else {
      composition->second.swaps_halves = true;
      composed[name] = tensor;
    }
  }
  std::swap(tensors, composed);
  return found;
}

}  // namespace se
