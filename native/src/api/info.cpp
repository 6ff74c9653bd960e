// Collects facts about machine and models without loading an engine.
#include "api/info.h"

#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "engines/gguf_engine.h"
#include "formats/bundle.h"
#include "formats/image_encoder_file.h"
#include "formats/whisper_file.h"
#include "tvm/opencl_device.h"

namespace se {
namespace fs = std::filesystem;
namespace {

// Names in files need not be UTF-8, as JSON is.
std::string text_of(const OrderedJson &facts) {
  return facts.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson describe(const Bundle &bundle) {
  uint64_t bytes = 0;
  for (const BundleFile &file : bundle.files) bytes += file.bytes;
  return {{"format", "bundle"},
          {"id", bundle.id},
          {"name", bundle.name},
          {"task", bundle.task},
          {"engine", bundle.engine},
          {"family", bundle.family},
          {"quantization", bundle.quantization},
          {"profile", bundle.profile},
          {"parameters", bundle.parameters},
          {"context_tokens", bundle.context_tokens},
          {"vocab_size", bundle.vocab_size},
          {"triple", bundle.triple},
          {"cpu_features", bundle.cpu_features},
          {"backend", bundle.backend},
          {"predicted_peak_bytes", bundle.predicted_peak_bytes},
          {"file_bytes", bytes}};
}

OrderedJson describe(const GgufHeader &header) {
  return {{"format", "gguf"},
          {"name", header.string("general.name")},
          {"task", "text"},
          {"engine", "llama"},
          {"family", header.architecture},
          {"quantization", header.commonest_type},
          {"parameters", header.parameters},
          {"context_tokens", header.hyperparameter("context_length").value_or(0)},
          {"vocab_size", header.vocabulary_size()},
          {"has_chat_template", header.strings.contains("tokenizer.chat_template")},
          {"file_bytes", header.file_bytes}};
}

OrderedJson describe(const GgufHeader &header, const ImageEncoderFacts &facts) {
  return {{"format", "gguf"},
          {"name", header.string("general.name")},
          {"task", "image-encoder"},
          {"engine", "llama"},
          {"family", header.architecture},
          {"projector", facts.projector},
          {"quantization", header.commonest_type},
          {"parameters", header.parameters},
          {"embedding_size", facts.embedding_size},
          {"weights_bytes", facts.weights_bytes},
          {"workspace_bytes", facts.workspace_bytes},
          {"file_bytes", header.file_bytes}};
}

OrderedJson describe(const WhisperHeader &header) {
  return {{"format", "whisper"},
          {"task", "audio"},
          {"engine", "whisper"},
          {"family", "whisper"},
          {"quantization", header.commonest_type},
          {"parameters", header.parameters},
          {"multilingual", header.multilingual()},
          {"languages", header.languages()},
          {"mel_bins", header.mel_bins},
          {"vocab_size", header.vocab_size},
          {"file_bytes", header.file_bytes}};
}

}  // namespace

std::string system_info_json() {
  std::vector<std::string> engines;
  if (!gguf_backends().empty()) engines.push_back("llama");
  std::vector<std::string> managers = {"text"};
  // Backends that it has code for; whether there is a device is known when a model is opened.
  std::vector<std::string> backends = {"cpu"};
#if defined(SE_WITH_TVM)
  engines.push_back("tvm");
#if !defined(SE_STATIC)
#if defined(__APPLE__)
  backends.push_back("metal");
#else
  backends.insert(backends.end(), {"opencl", "cuda"});
#endif
#endif
#endif
  if (audio_is_built_in()) {
    engines.push_back("whisper");
    managers.push_back("audio");
  }
  if (images_are_built_in()) {
    engines.push_back("diffusion");
    managers.push_back("image");
  }
  return OrderedJson{{"version", se_version()},
                     {"runtime_abi", SE_RUNTIME_ABI},
                     {"architecture", cpu_architecture()},
                     {"cpu_features", cpu_features()},
                     {"performance_cores", performance_cores()},
                     {"memory_total_bytes", memory_total_bytes()},
                     {"memory_available_bytes", memory_available_bytes()},
                     {"managers", managers},
                     {"engines", engines},
                     {"backends", backends},
                     {"gguf_backends", gguf_backends()}}
      .dump();
}

std::string gpu_info_json() {
  OrderedJson gpus = OrderedJson::array(), refusals = OrderedJson::array();
  const auto refuse = [&](const std::string &why) { refusals.push_back({{"api", "opencl"}, {"reason", why}}); };
#if defined(SE_STATIC)
  refuse("a statically linked program cannot load drivers");
#elif defined(SE_WITH_TVM)
  try {
    const cl::Device &gpu = cl::Device::open();
    gpus.push_back({{"api", "opencl"},
                    {"name", to_utf8(gpu.name())},
                    {"driver", to_utf8(gpu.driver())},
                    {"platform", to_utf8(gpu.platform())},
                    {"memory_bytes", gpu.memory_bytes()},
                    {"half_precision", gpu.computes_half()},
                    {"unified", gpu.is_unified()}});
  } catch (const Error &error) {
    refuse(error.message);
  }
#endif
  return OrderedJson{{"gpus", gpus}, {"refusals", refusals}}.dump();
}

std::string model_info_json(const fs::path &path) {
  // llama.cpp's tables of architectures and types log unknown names.
  adopt_engine_logs();
  if (fs::is_directory(path)) return text_of(describe(read_bundle(path)));
  if (has_whisper_magic(path)) return text_of(describe(read_whisper(path)));
  const GgufHeader header = read_gguf(path);
  if (header.architecture == kImageEncoder) return text_of(describe(header, image_encoder_facts(path)));
  return text_of(describe(header));
}

}  // namespace se
