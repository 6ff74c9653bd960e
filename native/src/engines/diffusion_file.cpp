// Reads and writes files of image models through stable-diffusion.cpp's table of tensor names.
#include "engines/diffusion_file.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "base/status.h"
#include "engines/diffusers_names.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model.h"
#include "name_conversion.h"

// Defined in model.cpp without a header.
bool is_unused_tensor(const std::string &name);
void convert_tensor(void *source, ggml_type source_type, void *target, ggml_type target_type, int rows, int row_size);
void f8_e4m3_to_f16_vec(uint8_t *source, uint16_t *target, int64_t count);
void f8_e5m2_to_f16_vec(uint8_t *source, uint16_t *target, int64_t count);
void f64_to_f32_vec(double *source, float *target, int64_t count);
void i64_to_i32_vec(int64_t *source, int32_t *target, int64_t count);

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr const char *kAgain = "download or convert the model again";
constexpr size_t kAlignment = GGUF_DEFAULT_ALIGNMENT;

// The names of the files that a ModelLoader has read are its own.
class Loader : public ModelLoader {
 public:
  const std::string &file_of(const TensorStorage &tensor) const { return file_paths_.at(tensor.file_index); }
  const TensorStorage *find(const std::string &name) {
    const auto found = tensor_storage_map.find(name);
    return found == tensor_storage_map.end() ? nullptr : &found->second;
  }
  bool has_prefix(const std::string &prefix) {
    return std::any_of(tensor_storage_map.begin(), tensor_storage_map.end(),
                       [&](const auto &entry) { return entry.first.starts_with(prefix); });
  }

  // All tensors get stable-diffusion.cpp's names; those of files that people publish may be diffusers'.
  void name_tensors(bool may_be_of_diffusers) {
    if (may_be_of_diffusers) {
      rename_transformers(tensor_storage_map);
      version_ = version_of_diffusers(tensor_storage_map);
    }
    convert_tensors_name();
    if (version_ != VERSION_COUNT) compositions_ = compose(tensor_storage_map, version_);
    // From here on its own names determine the version.
    version_ = VERSION_COUNT;
  }
  // What has to be read for `tensor`; nullptr: itself.
  const Composition *composition(const TensorStorage &tensor) const {
    const auto found = compositions_.find(tensor.name);
    return found == compositions_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Composition> compositions_;
};

struct Family {
  const char *name;
  // Tensors without which stable-diffusion.cpp would use a null pointer; it checks the others itself.
  std::vector<const char *> parts;
  std::vector<std::string> tokenizer_files;
  uint32_t size_multiple;
  uint32_t patch;
};

constexpr const char *kClip = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight";
constexpr const char *kClip2 = "cond_stage_model.1.transformer.text_model.embeddings.token_embedding.weight";
constexpr const char *kClipL = "text_encoders.clip_l.transformer.text_model.embeddings.token_embedding.weight";
constexpr const char *kClipG = "text_encoders.clip_g.transformer.text_model.embeddings.token_embedding.weight";
constexpr const char *kT5 = "text_encoders.t5xxl.transformer.shared.weight";
constexpr const char *kLanguageModel = "text_encoders.llm.model.embed_tokens.weight";

const std::vector<std::string> kClipFiles = {"clip_merges"};
const std::vector<std::string> kClipT5Files = {"clip_merges", "t5_json"};
const std::vector<std::string> kQwenFiles = {"qwen2_merges"};
const std::vector<std::string> kMistralFiles = {"mistral_merges", "mistral_vocab"};

const std::map<SDVersion, Family> &families() {
  static const std::map<SDVersion, Family> all = {
      {VERSION_SD1, {"sd1", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SD1_INPAINT, {"sd1-inpaint", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SD1_TINY_UNET, {"sd1-tiny", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SD2, {"sd2", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SD2_INPAINT, {"sd2-inpaint", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SD2_TINY_UNET, {"sd2-tiny", {kClip}, kClipFiles, 64, 8}},
      {VERSION_SDXL, {"sdxl", {kClip, kClip2}, kClipFiles, 64, 16}},
      {VERSION_SDXL_INPAINT, {"sdxl-inpaint", {kClip, kClip2}, kClipFiles, 64, 16}},
      {VERSION_SDXL_VEGA, {"sdxl-vega", {kClip, kClip2}, kClipFiles, 64, 16}},
      {VERSION_SDXL_SSD1B, {"sdxl-ssd1b", {kClip, kClip2}, kClipFiles, 64, 16}},
      {VERSION_SD3, {"sd3", {kClipL, kClipG}, kClipT5Files, 16, 16}},
      {VERSION_FLUX, {"flux", {kClipL, kT5}, kClipT5Files, 16, 16}},
      {VERSION_FLUX_FILL, {"flux-fill", {kClipL, kT5}, kClipT5Files, 16, 16}},
      {VERSION_FLUX2, {"flux2", {kLanguageModel}, kMistralFiles, 16, 16}},
      {VERSION_FLUX2_KLEIN, {"flux2-klein", {kLanguageModel}, kQwenFiles, 16, 16}},
      {VERSION_QWEN_IMAGE, {"qwen-image", {kLanguageModel}, kQwenFiles, 16, 16}},
      {VERSION_Z_IMAGE, {"z-image", {kLanguageModel}, kQwenFiles, 16, 16}},
      {VERSION_OVIS_IMAGE, {"ovis-image", {kLanguageModel}, kQwenFiles, 16, 16}},
      {VERSION_ERNIE_IMAGE, {"ernie-image", {kLanguageModel}, kMistralFiles, 16, 16}},
  };
  return all;
}

// Families that stable-diffusion.cpp knows but that are not supported here, with the reason.
const std::map<SDVersion, const char *> &unsupported() {
  static const std::map<SDVersion, const char *> all = {
      {VERSION_SD1_PIX2PIX, "InstructPix2Pix, which edits images"},
      {VERSION_SDXL_PIX2PIX, "InstructPix2Pix of SDXL, which edits images"},
      {VERSION_SDXS_512_DS, "SDXS, whose VAE is of another kind"},
      {VERSION_SDXS_09, "SDXS, whose VAE is of another kind"},
      {VERSION_SVD, "Stable Video Diffusion, which makes videos"},
      {VERSION_FLUX_CONTROLS, "FLUX.1 with a control image"},
      {VERSION_FLEX_2, "Flex.2, which takes a control image"},
      {VERSION_CHROMA_RADIANCE, "Chroma Radiance, which generates pixels without a VAE"},
      {VERSION_WAN2, "Wan 2.1, which makes videos"},
      {VERSION_WAN2_2_I2V, "Wan 2.2, which makes videos"},
      {VERSION_WAN2_2_TI2V, "Wan 2.2, which makes videos"},
      {VERSION_ANIMA, "Anima, whose text encoder is of another kind"},
  };
  return all;
}

// A FLUX model with this tensor is a Chroma: one text encoder less.
constexpr const char *kChromaMark = "model.diffusion_model.distilled_guidance_layer.in_proj.weight";
const Family kChroma = {"chroma", {kT5}, kClipT5Files, 16, 16};

const Family &family_of(Loader &loader, const std::string &what) {
  const SDVersion version = loader.get_sd_version();
  if (version == VERSION_COUNT) {
    throw Error(SE_MODEL_CORRUPT, what + " is not a known image model, or lacks some of its parts",
                "package diffusion model, text encoders and VAE together");
  }
  if (version == VERSION_FLUX && loader.find(kChromaMark) != nullptr) return kChroma;
  const auto found = families().find(version);
  if (found == families().end()) {
    const auto known = unsupported().find(version);
    throw Error(SE_UNSUPPORTED,
                what + " is " + (known == unsupported().end() ? "of a family" : known->second) + ": not supported",
                "take a text-to-image model");
  }
  return found->second;
}

void check_parts(Loader &loader, const Family &family, const std::string &what) {
  const auto refuse = [&](const std::string &part) {
    throw Error(SE_MODEL_CORRUPT, what + " is a model of the family " + ticked(family.name) + " without its " + part,
                "package all of the model's parts together");
  };
  if (!loader.has_prefix("model.diffusion_model.")) refuse("diffusion model");
  if (!loader.has_prefix("first_stage_model.decoder.")) refuse("VAE");
  for (const char *part : family.parts) {
    if (loader.find(part) == nullptr) refuse("text encoder (" + ticked(part) + ")");
  }
}

// Extent `axis` of the first of `names` that is there; 0 if none is.
uint32_t extent(Loader &loader, std::initializer_list<const char *> names, int axis) {
  for (const char *name : names) {
    if (const TensorStorage *tensor = loader.find(name)) return static_cast<uint32_t>(tensor->ne[axis]);
  }
  return 0;
}

DiffusionFacts facts_of(Loader &loader, const Family &family) {
  DiffusionFacts facts;
  facts.family = family.name;
  facts.inpaints = facts.family.ends_with("-inpaint") || facts.family == "flux-fill";
  facts.has_encoder = loader.has_prefix("first_stage_model.encoder.");
  facts.has_guidance = loader.has_prefix("model.diffusion_model.guidance_in.");
  facts.size_multiple = family.size_multiple;
  facts.patch = family.patch;
  facts.vae_width = std::max(extent(loader, {"first_stage_model.decoder.up.0.block.0.conv1.weight"}, 2), 32U);
  facts.width = extent(loader, {"model.diffusion_model.input_blocks.0.0.weight"}, 3);
  if (facts.width == 0) {
    facts.width = std::max(
        {extent(loader, {"model.diffusion_model.x_embedder.proj.weight"}, 3),
         extent(loader, {"model.diffusion_model.img_in.weight", "model.diffusion_model.x_embedder.weight"}, 1), 64U});
    facts.heads = std::max(facts.width / (facts.family == "sd3" ? 64U : 128U), 1U);
  } else {
    facts.heads = facts.family.starts_with("sd1") ? 8 : facts.family.starts_with("sd2") ? 5 : 10;
    facts.width *= family.patch / 8;
  }
  return facts;
}

// Our own readers find everything that can be wrong with a file: stable-diffusion.cpp's trust it.
void check_file(const fs::path &path) {
  if (has_gguf_magic(path)) {
    read_gguf_tensors(path);
    return;
  }
  WeightFiles({path});
}

// Upstream counts blocks by the numbers in names, and makes as many.
void check_numbers(const std::string &name) {
  for (size_t begin = 0; begin < name.size(); begin = std::min(name.find('.', begin), name.size() - 1) + 1) {
    size_t digits = 0;
    while (begin + digits < name.size() && name[begin + digits] >= '0' && name[begin + digits] <= '9') ++digits;
    if (digits > 3) throw Error(SE_MODEL_CORRUPT, "no image model has a tensor " + ticked(name.substr(0, 64)), kAgain);
  }
}

Loader load(const std::vector<DiffusionPart> &parts, bool may_be_of_diffusers) {
  Loader loader;
  for (const DiffusionPart &part : parts) {
    check_file(part.path);
    if (!loader.init_from_file(part.path.string(), part.prefix)) {
      throw Error(SE_MODEL_CORRUPT, "stable-diffusion.cpp cannot read " + ticked(part.path.string()), kAgain);
    }
  }
  loader.name_tensors(may_be_of_diffusers);
  for (const auto &[name, tensor] : loader.get_tensor_storage_map()) check_numbers(name);
  return loader;
}

ggml_type type_named(const std::string &name) {
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    if (ggml_blck_size(type) != 0 && name == ggml_type_name(type)) return type;
  }
  throw Error(SE_INVALID_ARGUMENT, "no such type: " + ticked(name), "q8_0, q4_0 and q4_K are common ones");
}

// What a tensor becomes: only matrices are quantized, except those that stable-diffusion.cpp excludes.
ggml_type target_type(Loader &loader, const TensorStorage &tensor, std::optional<ggml_type> wanted) {
  const bool is_matrix = tensor.n_dims == 2 && tensor.ne[1] > 1;
  const bool is_of_vae = tensor.name.starts_with("first_stage_model.") || tensor.name.starts_with("tae.");
  if (!wanted || !is_matrix || is_of_vae || !loader.tensor_should_be_converted(tensor, *wanted)) return tensor.type;
  return *wanted;
}

// The files of a model, each opened once.
class Files {
 public:
  explicit Files(const Loader &loader) : loader_(loader) {}

  // All bytes of a tensor; pieces that are joined follow each other.
  std::vector<uint8_t> read(const TensorStorage &tensor) {
    const Composition *composition = loader_.composition(tensor);
    if (composition == nullptr) return read_piece(tensor);
    std::vector<uint8_t> all;
    for (const TensorStorage &piece : composition->pieces) {
      const std::vector<uint8_t> bytes = read_piece(piece);
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    if (composition->swaps_halves) std::rotate(all.begin(), all.begin() + all.size() / 2, all.end());
    return all;
  }

 private:
  std::vector<uint8_t> read_piece(const TensorStorage &tensor) {
    const std::string &path = loader_.file_of(tensor);
    auto [stream, is_new] = streams_.try_emplace(path);
    if (is_new) stream->second.open(path, std::ios::binary);
    std::vector<uint8_t> bytes(static_cast<size_t>(std::max(tensor.nbytes(), tensor.nbytes_to_read())));
    stream->second.seekg(static_cast<std::streamoff>(tensor.offset));
    stream->second.read(reinterpret_cast<char *>(bytes.data()), tensor.nbytes_to_read());
    if (!stream->second) throw Error(SE_MODEL_CORRUPT, "the tensor " + ticked(tensor.name) + " cannot be read", kAgain);
    const int64_t count = tensor.nelements();
    if (tensor.is_f8_e4m3) f8_e4m3_to_f16_vec(bytes.data(), reinterpret_cast<uint16_t *>(bytes.data()), count);
    if (tensor.is_f8_e5m2) f8_e5m2_to_f16_vec(bytes.data(), reinterpret_cast<uint16_t *>(bytes.data()), count);
    if (tensor.is_f64) {
      f64_to_f32_vec(reinterpret_cast<double *>(bytes.data()), reinterpret_cast<float *>(bytes.data()), count);
    }
    if (tensor.is_i64) {
      i64_to_i32_vec(reinterpret_cast<int64_t *>(bytes.data()), reinterpret_cast<int32_t *>(bytes.data()), count);
    }
    bytes.resize(static_cast<size_t>(tensor.nbytes()));
    return bytes;
  }

  const Loader &loader_;
  std::map<std::string, std::ifstream> streams_;
};

// One file being written: the list of tensors first, their bytes in the same order after it.
class Writer {
 public:
  Writer(const fs::path &path, size_t tensors) : path_(path) {
    context_.reset(ggml_init({tensors * ggml_tensor_overhead(), nullptr, true}));
    gguf_.reset(gguf_init_empty());
    if (!context_ || !gguf_) throw std::bad_alloc();
    gguf_set_val_str(gguf_.get(), "general.architecture", "diffusion");
  }

  void add(const TensorStorage &storage, ggml_type type) {
    if (storage.name.size() >= GGML_MAX_NAME) {
      throw Error(SE_UNSUPPORTED, "the name of the tensor " + ticked(storage.name) + " is too long");
    }
    ggml_tensor *tensor = ggml_new_tensor(context_.get(), type, storage.n_dims, storage.ne);
    ggml_set_name(tensor, storage.name.c_str());
    gguf_add_tensor(gguf_.get(), tensor);
    total_ += ggml_nbytes(tensor);
  }

  void begin() {
    if (!gguf_write_to_file(gguf_.get(), path_.string().c_str(), true)) fail();
    stream_.open(path_, std::ios::binary | std::ios::app);
  }

  void write(const void *bytes, size_t count) {
    static constexpr char padding[kAlignment] = {};
    stream_.write(static_cast<const char *>(bytes), static_cast<std::streamsize>(count));
    stream_.write(padding, static_cast<std::streamsize>((kAlignment - count % kAlignment) % kAlignment));
    if (!stream_) fail();
    done_ += count;
  }

  void finish() {
    stream_.close();
    if (!stream_) fail();
  }

  uint64_t done() const { return done_; }
  uint64_t total() const { return total_; }

 private:
  [[noreturn]] void fail() const {
    throw Error(SE_STORAGE, ticked(path_.string()) + " cannot be written", "check the free disk space");
  }

  fs::path path_;
  std::unique_ptr<ggml_context, void (*)(ggml_context *)> context_{nullptr, ggml_free};
  std::unique_ptr<gguf_context, void (*)(gguf_context *)> gguf_{nullptr, gguf_free};
  std::ofstream stream_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

void check_lora(const fs::path &file) { check_file(file); }

std::vector<std::string> tokenizer_files_of(const std::string &family) {
  if (family == kChroma.name) return kChroma.tokenizer_files;
  for (const auto &[version, known] : families()) {
    if (family == known.name) return known.tokenizer_files;
  }
  return {};
}

DiffusionFacts inspect_diffusion(const fs::path &file) {
  if (!has_gguf_magic(file)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(file.string()) + " is not a GGUF file",
                "make a bundle of it: sphere-edge package");
  }
  const GgufHeader header = read_gguf_tensors(file);
  Loader loader = load({{file, ""}}, false);
  const std::string what = ticked(file.string());
  const Family &family = family_of(loader, what);
  check_parts(loader, family, what);
  DiffusionFacts facts = facts_of(loader, family);
  facts.commonest_type = header.commonest_type;
  facts.tensor_bytes = header.tensor_bytes;
  facts.parameters = header.parameters;
  return facts;
}

void convert_diffusion(const std::vector<DiffusionPart> &parts, const std::string &type, const fs::path &output,
                       const std::function<bool(uint64_t done, uint64_t total)> &on_progress) {
  std::optional<ggml_type> wanted;
  if (!type.empty()) wanted = type_named(type);
  for (const DiffusionPart &part : parts) {
    // It would be emptied before it is read.
    std::error_code none;
    require(!fs::equivalent(part.path, output, none), ticked(output.string()) + " is a file of the model itself",
            "write to another file");
  }
  Loader loader = load(parts, true);
  const std::string what = parts.size() == 1 ? ticked(parts.front().path.string()) : "the model";
  check_parts(loader, family_of(loader, what), what);
  std::vector<const TensorStorage *> tensors;
  for (const auto &[name, tensor] : loader.get_tensor_storage_map()) {
    if (!is_unused_tensor(name)) tensors.push_back(&tensor);
  }
  // Upstream infers sizes as it meets the tensors, those of blocks from those outside, so these have to come first.
  std::stable_partition(tensors.begin(), tensors.end(), [](const TensorStorage *tensor) {
    return tensor->name.find("layers.") == std::string::npos && tensor->name.find("blocks.") == std::string::npos;
  });
  Writer writer(output, tensors.size());
  for (const TensorStorage *tensor : tensors) writer.add(*tensor, target_type(loader, *tensor, wanted));
  writer.begin();
  Files files(loader);
  for (const TensorStorage *tensor : tensors) {
    std::vector<uint8_t> bytes = files.read(*tensor);
    const ggml_type target = target_type(loader, *tensor, wanted);
    const int64_t row = tensor->ne[0];
    const int64_t rows = tensor->nelements() / row;
    std::vector<uint8_t> converted;
    if (target != tensor->type) {
      converted.resize(ggml_row_size(target, row) * static_cast<size_t>(rows));
      convert_tensor(bytes.data(), tensor->type, converted.data(), target, static_cast<int>(rows),
                     static_cast<int>(row));
      writer.write(converted.data(), converted.size());
    } else {
      writer.write(bytes.data(), bytes.size());
    }
    if (on_progress && !on_progress(writer.done(), writer.total())) {
      throw Error(SE_CANCELLED, "the conversion was cancelled");
    }
  }
  writer.finish();
}

}  // namespace se
