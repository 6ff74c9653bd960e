// What an image encoder's file must say and hold.
#include "formats/image_encoder_file.h"

#include <map>
#include <set>
#include <vector>

#include "base/status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

// How many places the encoder looks up in its table of them. Others add all of the table, which is compared then.
uint64_t positions_looked_up(const GgufHeader &header) {
  constexpr uint64_t kResamplerSide = 70;
  // The most tokens of Gemma 4, each of three patches a side, in one row.
  constexpr uint64_t kGemmaSide = 1120 * 3;
  const std::string projector = image_projector(header);
  if (projector == "resampler" || projector == "minicpmv4_6") return kResamplerSide * kResamplerSide;
  if (projector == "gemma4v" || projector == "gemma4uv") return kGemmaSide;
  if (projector != "mlp" && projector != "ldp" && projector != "ldpv2" && projector != "adapter") return 0;
  const uint64_t side = *header.count("clip.vision.image_size") / *header.count("clip.vision.patch_size");
  return side * side + header.shapes.count("v.class_embd");
}

// Where llama.cpp merges two by two patches whatever the file says: it would write behind its list of places.
bool merges_two_by_two(const std::string &projector) {
  static const std::set<std::string> all = {"qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "ling3vl", "glm4v",
                                            "glm5v",          "paddleocr",        "exaone4_5",      "youtuvl"};
  return all.contains(projector);
}

// Of which llama.cpp reads the shape without asking whether they are there.
std::vector<std::string> measured_tensors(const GgufHeader &header) {
  static const std::string table = "v.position_embd.weight";
  static const std::map<std::string, std::vector<std::string>> kOfProjector = {
      {"mlp", {"mm.0.weight", "mm.0.bias"}},
      {"internvl", {"v.class_embd"}},
      {"nemotron_v2_vl", {"v.class_embd"}},
      {"deepseekocr", {table}},
      {"kimik25", {table}},
      {"kimivl", {table}},
      {"lfm2", {table}},
      {"ling3vl", {table}},
      {"muse-glimmer", {table}},
      {"paddleocr", {table}},
      {"phi4", {table}},
      {"mimovl", {"v.blk.0.attn_qkv.weight"}},
  };
  const std::string projector = image_projector(header);
  const auto found = kOfProjector.find(projector);
  std::vector<std::string> names = found == kOfProjector.end() ? std::vector<std::string>() : found->second;
  if (projector == "mlp") names.push_back(header.shapes.contains("mm.3.weight") ? "mm.3.bias" : "mm.2.weight");
  return names;
}

}  // namespace

std::string image_projector(const GgufHeader &header) {
  const std::string projector = header.string("clip.projector_type");
  return projector.empty() ? header.string("clip.vision.projector_type") : projector;
}

void check_image_encoder(const GgufHeader &header, const fs::path &path) {
  if (header.architecture != kImageEncoder || header.count("clip.has_vision_encoder") != 1U) {
    throw Error(SE_UNSUPPORTED,
                ticked(path.string()) + " is not an image encoder: its architecture is " + ticked(header.architecture),
                "give the model's mmproj file");
  }
  const auto refuse = [&](const std::string &problem) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is not a usable image encoder: " + problem);
  };
  if (header.parameters == 0) refuse("it holds no weights");
  // The greatest that are not absurd. All are divided by somewhere.
  const std::map<std::string, uint64_t> needed = {{"image_size", 1 << 13},
                                                  {"patch_size", 1 << 10},
                                                  {"embedding_length", 1 << 16},
                                                  {"block_count", 1 << 10},
                                                  {"attention.head_count", 1 << 10}};
  const std::map<std::string, uint64_t> optional = {
      {"attention.head_count_kv", 1 << 10}, {"attention.head_dim", 1 << 12},   {"projector.scale_factor", 1 << 6},
      {"spatial_merge_size", 1 << 6},       {"preproc_image_size", 1 << 14},   {"preproc_max_tiles", 1 << 6},
      {"preproc_min_tiles", 1 << 6},        {"projector.query_side", 1 << 10}, {"projector.window_side", 1 << 10},
      {"image_max_pixels", 1 << 28},        {"image_min_pixels", 1 << 28},     {"window_size", 1 << 16}};
  // Some encoders have no layers at all.
  const bool has_layers = header.count("clip.vision.block_count") != 0U;
  const auto check = [&](const std::string &key, uint64_t most, bool is_needed) {
    const auto value = header.count("clip.vision." + key);
    if (!has_layers && value == 0U && (key == "block_count" || key == "attention.head_count")) return;
    if (!value && is_needed) refuse("it has no " + ticked(key));
    if (value && (*value == 0 || *value > most)) refuse("its " + ticked(key) + " is impossible");
  };
  if (!has_layers && image_projector(header) == "mimovl") refuse("its `block_count` is impossible");
  const uint64_t merged = header.count("clip.vision.spatial_merge_size").value_or(2);
  if (merged != 2 && merges_two_by_two(image_projector(header))) refuse("its `spatial_merge_size` is impossible");
  for (const auto &[key, most] : needed) check(key, most, true);
  for (const auto &[key, most] : optional) check(key, most, false);
  if (header.count("clip.vision.patch_size") > header.count("clip.vision.image_size")) {
    refuse("its patches are larger than its images");
  }
  for (const std::string &name : measured_tensors(header)) {
    if (!header.shapes.contains(name)) refuse("it has no tensor " + ticked(name));
  }
  // Looked up while it computes, where a failure ends the process.
  const auto table = header.shapes.find("v.position_embd.weight");
  const uint64_t rows = table == header.shapes.end() || table->second.size() < 2 ? 0 : table->second[1];
  if (rows < positions_looked_up(header)) refuse("it has " + ticked(rows) + " positions, too few for its images");
}

}  // namespace se
