// A bundle folder: its bundle.json read strictly, its files found and their sizes compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace se {

struct BundleFile {
  std::filesystem::path path;  // joined to the folder
  std::string relative;
  uint64_t bytes;
  std::string role;
  std::string sha256;
};

struct SamplingDefaults {
  float temperature = 0.8F;
  int32_t top_k = 40;
  float top_p = 0.95F;
  float min_p = 0.05F;
  float repeat_penalty = 1.0F;
};

struct CacheLayer {
  int64_t kv_heads;
  int64_t key_dim;
  int64_t value_dim;
};

// Code for a GPU in addition to that for the CPU.
struct GpuCode {
  std::string backend;
  std::string library;  // its path in the bundle; a folder of object files if the app links them in
  bool half;            // computes in float16
};

// LongRoPE has two rotations, one for texts of up to `tokens` tokens and one for longer ones.
struct RopeSwitch {
  uint32_t tokens;
  std::string parameter;  // which of the parameters
  std::string beyond;     // the tensor that replaces it for longer texts
};

// How the tvm engine calls the compiled module: `tvm` of the manifest.
struct CompiledText {
  std::vector<std::string> parameters;
  std::vector<CacheLayer> cache;
  uint32_t prefill_tokens;
  uint32_t score_tokens;
  uint32_t embedding_size = 0;    // numbers of a row of `embed`; 0: the module has no such function
  uint32_t decode_sequences = 0;  // most of a decode_batch; 0: the module has no such function
  std::optional<GpuCode> gpu;
  std::optional<RopeSwitch> rope_switch;
};

// The defaults of an image model: `image` of the manifest.
struct ImageDefaults {
  uint32_t width;
  uint32_t height;
  uint32_t steps;
  float cfg_scale;
  float guidance;
  float flow_shift = 0;  // 0: the family's
};

struct Bundle {
  std::filesystem::path folder;
  std::string id;
  std::string name;
  std::string task;
  std::string engine;
  std::string family;
  std::string quantization;
  std::string profile;
  uint64_t parameters;
  std::string triple;
  std::string backend;
  std::vector<std::string> cpu_features;
  uint32_t vocab_size = 0;
  uint32_t context_tokens = 0;
  std::string kv_dtype;
  SamplingDefaults sampling;
  std::optional<std::string> chat_template;
  std::optional<CompiledText> compiled;
  std::optional<ImageDefaults> image;
  uint64_t predicted_peak_bytes = 0;
  std::vector<BundleFile> files;

  // For managers that do not know the bundle's engine.
  Error other_engine() const;
  // UNSUPPORTED if there is no compiled code for a backend.
  void require_code(const std::string &backend) const;
  // Whether the compiled code is object files that an app has linked in, as iOS requires.
  bool is_linked_in() const;
  // The shared library for a backend; UNSUPPORTED if there is none, MODEL_CORRUPT if its file is missing.
  const BundleFile &library(const std::string &backend) const;

  bool has(const std::string &role) const;
  // The only file with this role; MODEL_CORRUPT if there is none or more than one.
  const BundleFile &file(const std::string &role) const;
};

// Reads `folder`/bundle.json. MODEL_CORRUPT: damaged, a file missing or of another size, a path that leaves the bundle;
// FORMAT_MISMATCH: another schema or runtime; NOT_FOUND: no bundle there. Hashes are checked by `sphere-edge verify`,
// but that of compiled code in `code_folder`, if this is given, is checked here.
Bundle read_bundle(const std::filesystem::path &folder, const std::filesystem::path &code_folder = {});

// The two halves of it: the text of bundle.json, and what that says.
std::string read_manifest(const std::filesystem::path &folder);
Bundle parse_bundle(const std::filesystem::path &folder, const std::string &text,
                    const std::filesystem::path &code_folder);

// Whether it is one in lower-case hexadecimal.
bool is_sha256(const std::string &text);

// The same for a bundle of `task`; FORMAT_MISMATCH for one of another task or a folder of model sources.
Bundle read_bundle_for(const std::filesystem::path &folder, const std::string &task,
                       const std::filesystem::path &code_folder = {});

// FORMAT_MISMATCH unless this machine has the architecture and the CPU features that the bundle was compiled for.
void check_runs_here(const Bundle &bundle);

}  // namespace se
