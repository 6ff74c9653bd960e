// Reads bundle manifests, schema version 1 (docs/bundle.md).
#include "formats/bundle.h"

#include <algorithm>
#include <array>
#include <regex>
#include <set>

#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kSchemaVersion = 1;
constexpr uint64_t kLargestManifest = 16 << 20;
constexpr uint64_t kMost32 = INT32_MAX;
constexpr uint64_t kSampleRate = 16000;

// What sphere_edge/bundle/manifest.py demands of a file's path, a bundle's name and a kind of GPU.
void check_pattern(JsonObject &object, const std::string &key, const char *pattern) {
  const std::string text = object.string(key);
  if (text.size() > 1000 || !std::regex_match(text, std::regex(pattern))) {
    // Escaped, because it may hold anything.
    const std::string escaped = Json(text).dump();
    object.fail("has an impossible " + ticked(key) + ": " + ticked(escaped.substr(1, escaped.size() - 2)));
  }
}

constexpr char kPathPattern[] = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}";
constexpr char kNamePattern[] = "[a-z0-9][a-z0-9._-]{0,95}";

std::string one_of(JsonObject &object, const std::string &key, std::initializer_list<const char *> choices) {
  const std::string value = object.string(key);
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    object.fail("has an unknown " + ticked(key) + ": " + ticked(value));
  }
  return value;
}

std::vector<std::string> strings(JsonObject &object, const std::string &key) {
  std::vector<std::string> values;
  for (const Json &value : object.array(key)) {
    if (!value.is_string()) object.fail("has something else than strings in " + ticked(key));
    values.push_back(value.get<std::string>());
  }
  return values;
}

void read_target(JsonObject target, Bundle &bundle) {
  bundle.triple = target.string("triple");
  bundle.cpu_features = strings(target, "cpu_features");
  bundle.backend = one_of(target, "backend", {"cpu", "opencl", "metal", "cuda", "vulkan"});
  // Needed only to build a runtime with ggml's CUDA.
  if (target.names("gpu_architecture")) check_pattern(target, "gpu_architecture", "sm_[0-9]{2,3}");
  target.finish();
}

void read_sampling(JsonObject sampling, SamplingDefaults &defaults) {
  defaults.temperature = static_cast<float>(sampling.number("temperature", 0, 1e6));
  defaults.top_k = static_cast<int32_t>(sampling.count("top_k", 0, kMost32));
  defaults.top_p = static_cast<float>(sampling.number("top_p", 1e-6, 1));
  defaults.min_p = static_cast<float>(sampling.number("min_p", 0, 1));
  defaults.repeat_penalty = static_cast<float>(sampling.number("repeat_penalty", 1e-6, 1e6));
  sampling.finish();
}

void read_text(JsonObject text, Bundle &bundle) {
  bundle.vocab_size = static_cast<uint32_t>(text.count("vocab_size", 1, kMost32));
  bundle.context_tokens = static_cast<uint32_t>(text.count("context_tokens", 1, kMost32));
  bundle.kv_dtype = one_of(text, "kv_dtype", {"float32", "float16"});
  read_sampling(text.object("sampling"), bundle.sampling);
  if (!text.names("chat_template")) text.fail("has no `chat_template`");
  if (text.has("chat_template")) bundle.chat_template = text.string("chat_template");
  text.skip("chat_template");
  text.finish();
}

// AudioManager reads the same facts from the model's own file.
void check_audio(JsonObject audio) {
  audio.count("sample_rate", kSampleRate, kSampleRate);
  for (const char *key : {"mel_bins", "vocab_size", "languages", "audio_layers", "text_layers", "width"}) {
    audio.count(key, 1, kMost32);
  }
  audio.finish();
}

ImageDefaults read_image(JsonObject image) {
  ImageDefaults defaults;
  defaults.width = static_cast<uint32_t>(image.count("width", 1, 1 << 16));
  defaults.height = static_cast<uint32_t>(image.count("height", 1, 1 << 16));
  defaults.steps = static_cast<uint32_t>(image.count("steps", 1, 1 << 16));
  defaults.cfg_scale = static_cast<float>(image.number("cfg_scale", 0, 100));
  defaults.guidance = static_cast<float>(image.number("guidance", 0, 100));
  if (image.names("flow_shift")) defaults.flow_shift = static_cast<float>(image.number("flow_shift", 1e-6, 100));
  image.finish();
  return defaults;
}

CompiledText read_compiled(JsonObject tvm) {
  CompiledText compiled;
  compiled.parameters = strings(tvm, "parameters");
  const Json &layers = tvm.array("cache");
  for (size_t i = 0; i < layers.size(); ++i) {
    JsonObject layer(layers[i], tvm.path() + ".cache[" + std::to_string(i) + "]", SE_MODEL_CORRUPT);
    const auto extent = [&](const char *key) { return static_cast<int64_t>(layer.count(key, 1, 1 << 20)); };
    compiled.cache.push_back({extent("kv_heads"), extent("key_dim"), extent("value_dim")});
    layer.finish();
  }
  if (compiled.parameters.empty() || compiled.cache.empty()) tvm.fail("names no parameters or no cache");
  compiled.prefill_tokens = static_cast<uint32_t>(tvm.count("prefill_tokens", 1, 1 << 20));
  compiled.score_tokens = static_cast<uint32_t>(tvm.count("score_tokens", 1, 1 << 20));
  if (tvm.names("embedding_size")) {
    compiled.embedding_size = static_cast<uint32_t>(tvm.count("embedding_size", 1, 1 << 20));
  }
  if (tvm.names("decode_sequences")) {
    compiled.decode_sequences = static_cast<uint32_t>(tvm.count("decode_sequences", 1, 1 << 10));
  }
  if (tvm.names("gpu")) {
    JsonObject gpu = tvm.object("gpu");
    compiled.gpu = GpuCode{one_of(gpu, "backend", {"opencl", "metal", "cuda"}), gpu.string("library"),
                           one_of(gpu, "arithmetic", {"float16", "float32"}) == "float16"};
    check_pattern(gpu, "library", kPathPattern);
    gpu.finish();
  }
  if (tvm.names("rope_switch")) {
    JsonObject rope = tvm.object("rope_switch");
    const auto tokens = static_cast<uint32_t>(rope.count("tokens", 1, kMost32));
    compiled.rope_switch = RopeSwitch{tokens, rope.string("parameter"), rope.string("beyond")};
    rope.finish();
  }
  tvm.finish();
  return compiled;
}

constexpr const char *kRightCode = "build the app with the lib/ of this very bundle";

// A library of the bundle in another folder, such as an app's: there names begin with `lib`, and those of several
// bundles differ by the beginnings of their hashes.
fs::path code_outside(const fs::path &code_folder, const BundleFile &file) {
  const fs::path name = fs::path(file.relative).filename();
  const std::string own = "lib" + name.stem().string() + "-" + file.sha256.substr(0, 12) + name.extension().string();
  std::error_code error;
  for (const std::string &candidate : {own, name.string()}) {
    if (fs::exists(code_folder / candidate, error)) return code_folder / candidate;
  }
  return code_folder / ("lib" + name.string());
}

void check_code(const BundleFile &file) {
  const MappedFile content(file.path);
  if (sha256(content.bytes()) == file.sha256) return;
  throw Error(SE_MODEL_CORRUPT, ticked(file.path.string()) + " is not the code of this bundle: it has another hash",
              kRightCode);
}

BundleFile read_file_entry(const Json &value, size_t index, const fs::path &folder) {
  JsonObject entry(value, "bundle.json.files[" + std::to_string(index) + "]", SE_MODEL_CORRUPT);
  BundleFile file;
  file.relative = entry.string("path");
  check_pattern(entry, "path", kPathPattern);
  file.sha256 = entry.string("sha256");
  if (!is_sha256(file.sha256)) entry.fail("has no sha256");
  file.path = path_inside(folder, file.relative, file.sha256);
  file.bytes = entry.count("bytes");
  file.role = one_of(entry, "role",
                     {"weights", "model", "mmproj", "library", "tokenizer", "license", "reference", "voice-detector"});
  entry.finish();
  return file;
}

// What is only for people: checked, so that both readers refuse the same manifests.
void check_quality(JsonObject quality) {
  for (const char *key : {"reference", "text"}) quality.string(key);
  quality.count("predictions", 1);
  for (const char *key : {"reference_perplexity", "perplexity"}) quality.number(key, 1e-6, 1e30);
  for (const char *key : {"kl_divergence", "kl_divergence_p99"}) quality.number(key, 0, 1e30);
  quality.number("top1_agreement", 0, 1);
  quality.finish();
}

void check_provenance(JsonObject provenance) {
  provenance.string("source");
  if (!provenance.names("revision")) provenance.fail("has no `revision`");
  if (provenance.has("revision")) provenance.string("revision");
  provenance.skip("revision");
  if (!is_sha256(provenance.string("source_sha256"))) provenance.fail("has no sha256 as its `source_sha256`");
  for (const auto &[name, version] : provenance.map("tools").items()) {
    if (!version.is_string()) provenance.fail("has something else than strings in `tools`");
  }
  provenance.finish();
}

// The SHA-256 of everything but the id, as docs/bundle.md says.
void check_id(const Json &document, JsonObject &manifest) {
  Json rest = document;
  rest.erase("id");
  if (sha256(canonical_json(rest)) != document.at("id").get<std::string>()) {
    manifest.fail("is damaged: its content does not give its id");
  }
}

void check_files(const Bundle &bundle, const fs::path &code_folder) {
  std::error_code ignored;
  if (!code_folder.empty() && !fs::is_directory(code_folder, ignored)) {
    throw Error(SE_NOT_FOUND, "there is no folder " + ticked(code_folder.string()) + " with compiled code",
                "give the folder that the bundle's lib/ was copied to");
  }
  std::set<std::string> seen;
  for (const BundleFile &file : bundle.files) {
    const std::string name = "bundle file " + ticked(file.relative);
    // Phones' shared storage and macOS ignore case.
    std::string path = file.relative;
    for (char &letter : path) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 'a' - 'A') : letter;
    if (path == "bundle.json" || path == "bundle.sig.json" || !seen.insert(path).second) {
      throw Error(SE_MODEL_CORRUPT, name + " is listed twice");
    }
    const bool is_outside = file.role == "library" && !code_folder.empty();
    const std::string where = is_outside ? " in " + ticked(code_folder.string()) : "";
    const char *hint = is_outside ? kRightCode : "package or push the model again";
    std::error_code error;
    const uint64_t bytes = fs::is_regular_file(file.path, error) ? fs::file_size(file.path, error) : 0;
    if (error || !fs::is_regular_file(file.path)) {
      throw Error(SE_MODEL_CORRUPT, name + " is missing" + where, hint);
    }
    if (bytes != file.bytes) {
      throw Error(SE_MODEL_CORRUPT, name + where + " has " + ticked(bytes) + " bytes instead of " + ticked(file.bytes),
                  hint);
    }
  }
}

void check_versions(JsonObject &manifest) {
  const uint64_t schema = manifest.count("schema_version");
  if (schema != kSchemaVersion) {
    throw Error(SE_FORMAT_MISMATCH,
                "the bundle has schema version " + ticked(std::to_string(schema)) + " and this runtime reads " +
                    ticked(std::to_string(kSchemaVersion)),
                "package the model again with the sphere-edge that this runtime belongs to");
  }
  const uint64_t abi = manifest.count("runtime_abi");
  if (abi != SE_RUNTIME_ABI) {
    throw Error(SE_FORMAT_MISMATCH,
                "the bundle was made for runtime ABI " + ticked(std::to_string(abi)) + " and this runtime has " +
                    ticked(std::to_string(SE_RUNTIME_ABI)),
                "package the model again with the sphere-edge that this runtime belongs to");
  }
}

}  // namespace

bool is_sha256(const std::string &text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool Bundle::has(const std::string &role) const {
  return std::any_of(files.begin(), files.end(), [&](const BundleFile &file) { return file.role == role; });
}

const BundleFile &Bundle::file(const std::string &role) const {
  const BundleFile *found = nullptr;
  for (const BundleFile &file : files) {
    if (file.role != role) continue;
    if (found != nullptr) throw Error(SE_MODEL_CORRUPT, "the bundle has two files of the role " + ticked(role));
    found = &file;
  }
  if (found == nullptr) throw Error(SE_MODEL_CORRUPT, "the bundle has no file of the role " + ticked(role));
  return *found;
}

Error Bundle::other_engine() const {
  return {SE_UNSUPPORTED, "the engine " + ticked(engine) + " does not run models of the task " + ticked(task)};
}

void Bundle::require_code(const std::string &backend) const {
  if (backend == "cpu" || (compiled && compiled->gpu && compiled->gpu->backend == backend)) return;
  throw Error(SE_UNSUPPORTED, "the bundle has no code for the backend " + ticked(backend),
              "package the model for a profile with that backend");
}

bool Bundle::is_linked_in() const {
  return std::any_of(files.begin(), files.end(),
                     [](const BundleFile &file) { return file.role == "library" && file.relative.ends_with(".o"); });
}

const BundleFile &Bundle::library(const std::string &backend) const {
  require_code(backend);
  const BundleFile *found = nullptr;
  for (const BundleFile &file : files) {
    const bool is_gpus = compiled && compiled->gpu && file.relative == compiled->gpu->library;
    if (file.role != "library" || is_gpus != (backend != "cpu")) continue;
    if (found != nullptr) throw Error(SE_MODEL_CORRUPT, "the bundle has two libraries for " + ticked(backend));
    found = &file;
  }
  if (found == nullptr) throw Error(SE_MODEL_CORRUPT, "the bundle has no library for " + ticked(backend));
  return *found;
}

std::string read_manifest(const fs::path &folder) { return read_file(folder / "bundle.json", kLargestManifest); }

Bundle read_bundle(const fs::path &folder, const fs::path &code_folder) {
  return parse_bundle(folder, read_manifest(folder), code_folder);
}

Bundle parse_bundle(const fs::path &folder, const std::string &text, const fs::path &code_folder) {
  const std::string path = ticked((folder / "bundle.json").string());
  const Json document = parse_unambiguous_json(text, path, SE_MODEL_CORRUPT);
  JsonObject manifest(document, "bundle.json", SE_MODEL_CORRUPT);
  check_versions(manifest);
  Bundle bundle;
  bundle.folder = folder;
  bundle.id = manifest.string("id");
  if (!is_sha256(bundle.id)) manifest.fail("has no sha256 as its `id`");
  bundle.name = manifest.string("name");
  check_pattern(manifest, "name", kNamePattern);
  bundle.task = one_of(manifest, "task", {"text", "audio", "image"});
  bundle.engine = one_of(manifest, "engine", {"tvm", "llama", "whisper", "diffusion"});
  bundle.family = manifest.string("family");
  bundle.quantization = manifest.string("quantization");
  bundle.parameters = manifest.count("parameters", 1);
  bundle.profile = manifest.string("profile");
  read_target(manifest.object("target"), bundle);
  if (manifest.has("text")) read_text(manifest.object("text"), bundle);
  if (manifest.has("tvm")) bundle.compiled = read_compiled(manifest.object("tvm"));
  if (manifest.names("audio")) check_audio(manifest.object("audio"));
  if (manifest.names("image")) bundle.image = read_image(manifest.object("image"));
  if (manifest.names("quality")) check_quality(manifest.object("quality"));
  for (const char *key : {"text", "tvm"}) {
    if (!manifest.names(key)) manifest.fail("has no " + ticked(key));
    manifest.skip(key);
  }
  JsonObject memory = manifest.object("memory");
  for (const char *key : {"weights_bytes", "kv_cache_bytes", "workspace_bytes"}) memory.count(key);
  bundle.predicted_peak_bytes = memory.count("peak_bytes");
  memory.finish();
  const Json &files = manifest.array("files");
  for (size_t i = 0; i < files.size(); ++i) bundle.files.push_back(read_file_entry(files[i], i, folder));
  check_provenance(manifest.object("provenance"));
  manifest.finish();
  check_id(document, manifest);
  if (bundle.task == "text" && bundle.context_tokens == 0) manifest.fail("has no `text`");
  if (bundle.engine == "tvm" && !bundle.compiled) manifest.fail("has no `tvm`");
  if (bundle.task == "image" && !bundle.image) manifest.fail("has no `image`");
  for (BundleFile &file : bundle.files) {
    const bool is_outside = file.role == "library" && !code_folder.empty();
    if (is_outside) file.path = code_outside(code_folder, file);
  }
  check_files(bundle, code_folder);
  for (const BundleFile &file : bundle.files) {
    if (file.role == "library" && !code_folder.empty()) check_code(file);
  }
  return bundle;
}

Bundle read_bundle_for(const fs::path &folder, const std::string &task, const fs::path &code_folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) throw Error(SE_NOT_FOUND, "no such folder: " + ticked(folder.string()));
  if (!fs::exists(folder / "bundle.json", error)) {
    const bool is_model = fs::exists(folder / "config.json", error);
    throw Error(is_model ? SE_FORMAT_MISMATCH : SE_NOT_FOUND, "no bundle.json in " + ticked(folder.string()),
                is_model ? "turn the model folder into a bundle first: sphere-edge package " + folder.string() +
                               " --profile host"
                         : "");
  }
  Bundle bundle = read_bundle(folder, code_folder);
  if (bundle.task != task) {
    throw Error(SE_FORMAT_MISMATCH, "the bundle is for " + ticked(bundle.task) + ", not for " + ticked(task),
                "open it with the manager of that task");
  }
  return bundle;
}

void check_runs_here(const Bundle &bundle) {
  const std::string architecture = cpu_architecture();
  const std::string wanted = bundle.triple.substr(0, bundle.triple.find('-'));
  const bool same = wanted == architecture || (wanted == "arm64" && architecture == "aarch64");
  const std::string hint = "package the model for this machine's profile (`--profile host` when it is this computer)";
  if (!same) {
    throw Error(SE_FORMAT_MISMATCH,
                "the bundle was compiled for " + ticked(wanted) + " and this machine is " + ticked(architecture), hint);
  }
  const std::vector<std::string> have = cpu_features();
  for (const std::string &feature : bundle.cpu_features) {
    if (std::find(have.begin(), have.end(), feature) == have.end()) {
      throw Error(SE_FORMAT_MISMATCH,
                  "the bundle needs the CPU feature " + ticked(feature) + ", which this machine lacks", hint);
    }
  }
}

}  // namespace se
